"""The market phase: ticks to bars to features to scores, a pure function of market data, commands and degradations.

One call takes a batch of sequenced inputs and writes *rows*: the closed bars of every instrument with their features, each carrying the
number of the input that closed it. First pass: ticks in order into bars. Second pass: per instrument, the program opcode by opcode over
its new bars, then the model that was in place when each bar closed.

A degradation says that features take too long. The opcodes still advance, because their state must stay whole; the model is not asked, and
a row carries the last good registers and scores, flagged stale, with the close of the bar they are of.

A shard looks only at instruments of its own (slot % shards), so shards run on threads of their own and their merged rows do not depend on
how many there are. Rows of one shard are in the order (input, slot).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.base.kernel import F, I, i64, kernel
from tercel.base.records import (
    BAR,
    BODY,
    BYTE_MASK,
    COMMAND,
    DEGRADE,
    FEATURES_LATE,
    GAP,
    HEAD,
    INSTRUMENT_MASK,
    KIND_SHIFT,
    MODEL,
    QUOTE,
    TIMER,
    TRADE,
    TS_EVENT,
    WORDS,
)
from tercel.features.program import (
    BASE_COUNT,
    BLOCK_ROWS,
    G_CLOCK,
    G_PRICE,
    G_REGISTERS,
    G_STATE_WORDS,
    P_AMOUNT,
    TICK_CLOCK,
    TIME_CLOCK,
    Program,
    run_block,
)
from tercel.market.kernels import (
    BAR_CLOSED_TO,
    BAR_RING,
    BAR_WORDS,
    P_ACTIVE,
    P_COUNT,
    P_START,
    P_VOLUME,
    PENDING,
    PENDING_WORDS,
    bar_gap,
    bar_tick,
    pending_take,
    seconds_of,
)
from tercel.models.scoring import SCORES, find_model, score_sides

NAN = float("nan")

# Header of the market state.
M_SLOTS, M_SLOT_WORDS, M_IDS, M_BASE, M_HEADER = 0, 1, 2, 3, 8
# Words of a row before its registers.
ROW_INPUT, ROW_SLOT, ROW_OPEN, ROW_CLOSE, ROW_NEXT, ROW_MODEL, ROW_STALE, ROW_GOOD, ROW_WORDS = 0, 1, 2, 3, 4, 5, 6, 7, 8
# Behind the opcode state of an instrument: the model in place, whether features are late, the close of the last good row, whose scores it
# has, and that row.
N_MODEL, N_LATE, N_GOOD, N_WHOSE, N_ROW = 0, 1, 2, 3, 4


@kernel
def row_new(A: I, a: i64, M: I, H: I, stride: i64, rows: i64, number: i64, slot: i64, opened: i64, closed: i64, slots: i64) -> i64:
    """Append an empty row to the list of its slot, whose model words begin at `a`; where its registers begin."""
    m = rows * stride
    M[m + ROW_INPUT] = number
    M[m + ROW_SLOT] = slot
    M[m + ROW_OPEN] = opened
    M[m + ROW_CLOSE] = closed
    M[m + ROW_NEXT] = -1
    M[m + ROW_MODEL] = A[a + N_MODEL]
    M[m + ROW_STALE] = A[a + N_LATE]
    M[m + ROW_GOOD] = closed
    head = 1 + slots + slot
    if H[head] == -1:
        H[1 + H[0]] = slot
        H[0] += 1
        H[head] = rows
    else:
        M[H[head + slots] * stride + ROW_NEXT] = rows
    H[head + slots] = rows
    return m + ROW_WORDS


@kernel
def take_control(A: I, T: I, t: i64, n: i64, shard: i64, shards: i64) -> None:
    """A command or degradation at word t, for the slots of this shard; a slot's model words begin `n` words into it."""
    kind = (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK
    code = T[t + BODY]
    value = T[t + BODY + 1]
    if (kind == COMMAND and code != MODEL) or (kind == DEGRADE and code != FEATURES_LATE):
        return
    identifier = T[t + HEAD] & INSTRUMENT_MASK
    only = -1
    if identifier > 0:
        only = A[M_HEADER + identifier] if identifier < A[M_IDS] else -1
        if only < 0:
            return  # about an instrument that is not traded
    for slot in range(shard, A[M_SLOTS], shards):
        if only == -1 or only == slot:
            a = A[M_BASE] + slot * A[M_SLOT_WORDS] + n
            if kind == COMMAND:
                A[a + N_MODEL] = value
            else:
                A[a + N_LATE] = value


@kernel
def market_bars(A: I, AF: F, G: I, P: F, M: I, MF: F, H: I, T: I, TF: F, first: i64, n: i64, shard: i64, shards: i64) -> i64:
    """First pass: n inputs, numbered from `first`, into bars; a row for each that closes. Returns how many rows."""
    slots = A[M_SLOTS]
    slot_words = A[M_SLOT_WORDS]
    base = A[M_BASE]
    stride = ROW_WORDS + G[G_REGISTERS] + SCORES
    model = BAR_WORDS + G[G_STATE_WORDS]
    clock = G[G_CLOCK]
    time_clock = 1 if clock == TIME_CLOCK else 0
    interval = int(P[P_AMOUNT]) if time_clock == 1 else 1
    rows = 0
    for k in range(n):
        t = k * WORDS
        kind = (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK
        if kind == TIMER:
            if time_clock == 0 or T[t + BODY] != interval:
                continue
            boundary = T[t + TS_EVENT]
            for slot in range(shard, slots, shards):
                b = base + slot * slot_words
                # Oldest bucket first: the ring is indexed by bucket number.
                oldest = boundary // interval - PENDING
                for j in range(PENDING):
                    w = b + BAR_RING + ((oldest + j) % PENDING) * PENDING_WORDS
                    if A[w + P_ACTIVE] == 1 and A[w + P_START] + interval <= boundary:
                        closed = A[w + P_START] + interval
                        x = row_new(A, b + model, M, H, stride, rows, first + k, slot, A[w + P_START], closed, slots)
                        pending_take(A, AF, b, w, closed, MF, x)
                        rows += 1
                A[b + BAR_CLOSED_TO] = boundary
            continue
        if kind == COMMAND or kind == DEGRADE:
            take_control(A, T, t, model, shard, shards)
            continue
        if kind != QUOTE and kind != TRADE and kind != BAR and kind != GAP:
            continue
        identifier = T[t + HEAD] & INSTRUMENT_MASK
        if identifier >= A[M_IDS]:
            continue
        slot = A[M_HEADER + identifier]
        if slot < 0 or slot % shards != shard:
            continue
        b = base + slot * slot_words
        if kind == GAP:
            bar_gap(A, AF, b)
            continue
        if kind == BAR:
            x = row_new(A, b + model, M, H, stride, rows, first + k, slot, T[t + TS_EVENT], T[t + 1], slots)
            for j in range(5):
                MF[x + j] = TF[t + BODY + j]
            for j in range(5, BASE_COUNT - 1):
                MF[x + j] = NAN
            MF[x + BASE_COUNT - 1] = seconds_of(T[t + TS_EVENT] + interval if time_clock == 1 else T[t + 1])
            rows += 1
            continue
        w = bar_tick(A, AF, b, T, TF, t, G[G_PRICE], time_clock, interval)
        if w < 0 or time_clock == 1:
            continue
        filled = AF[w + P_COUNT] if clock == TICK_CLOCK else AF[w + P_VOLUME]
        if filled >= P[P_AMOUNT]:
            x = row_new(A, b + model, M, H, stride, rows, first + k, slot, A[w + P_START], T[t + TS_EVENT], slots)
            pending_take(A, AF, b, w, T[t + TS_EVENT], MF, x)
            rows += 1
    return rows


@kernel
def row_scores(T: I, TF: F, K: I, X: F, k: i64, MF: F, o: i64, model: i64) -> None:
    """Scores of row k of the block under a model; NaN without one, or when it is not in the table."""
    place = find_model(T, model) if model != 0 else -1
    if place >= 0:
        score_sides(T, TF, place, K, X, k, BLOCK_ROWS, MF, o)
    else:
        for w in range(SCORES):
            MF[o + w] = NAN


@kernel
def row_stale(A: I, AF: F, a: i64, M: I, MF: F, m: i64, computed: i64) -> None:
    """Put the last good row of the slot into row m: `computed` columns behind the base columns. NaN when there was none.

    Its scores are another model's when the model was exchanged since: then there are none.
    """
    M[m + ROW_GOOD] = A[a + N_GOOD]
    known = computed if A[a + N_WHOSE] == M[m + ROW_MODEL] else computed - SCORES
    for column in range(computed):
        MF[m + ROW_WORDS + BASE_COUNT + column] = AF[a + N_ROW + column] if A[a + N_GOOD] != 0 and column < known else NAN


@kernel
def row_keep(A: I, AF: F, a: i64, M: I, MF: F, m: i64, computed: i64) -> None:
    """Keep row m as the last good row of its slot."""
    A[a + N_GOOD] = M[m + ROW_CLOSE]
    A[a + N_WHOSE] = M[m + ROW_MODEL]
    for column in range(computed):
        AF[a + N_ROW + column] = MF[m + ROW_WORDS + BASE_COUNT + column]


@kernel
def market_features(A: I, AF: F, G: I, P: F, R: I, X: F, T: I, TF: F, K: I, M: I, MF: F, H: I) -> None:
    """Second pass: the program and the model over the new rows of every touched slot, block by block; empties the lists."""
    slots = A[M_SLOTS]
    slot_words = A[M_SLOT_WORDS]
    base = A[M_BASE]
    registers = G[G_REGISTERS]
    stride = ROW_WORDS + registers + SCORES
    computed = registers - BASE_COUNT + SCORES
    for touched in range(H[0]):
        slot = H[1 + touched]
        state = base + slot * slot_words + BAR_WORDS
        row = H[1 + slots + slot]
        H[1 + slots + slot] = -1
        while row >= 0:
            count = 0
            begin = row
            while row >= 0 and count < BLOCK_ROWS:
                x = row * stride + ROW_WORDS
                for column in range(BASE_COUNT):
                    X[column * BLOCK_ROWS + count] = MF[x + column]
                count += 1
                row = M[row * stride + ROW_NEXT]
            run_block(G, P, R, AF, X, state, count)
            model = state + G[G_STATE_WORDS]
            good = -1
            at = begin
            for k in range(count):
                m = at * stride
                x = m + ROW_WORDS
                if M[m + ROW_STALE] != 0:
                    if good >= 0:
                        row_keep(A, AF, model, M, MF, good, computed)
                        good = -1
                    row_stale(A, AF, model, M, MF, m, computed)
                else:
                    for column in range(BASE_COUNT, registers):
                        MF[x + column] = X[column * BLOCK_ROWS + k]
                    row_scores(T, TF, K, X, k, MF, x + registers, M[m + ROW_MODEL])
                    good = m
                at = M[m + ROW_NEXT]
            if good >= 0:
                row_keep(A, AF, model, M, MF, good, computed)
    H[0] = 0


@kernel
def market_run(
    A: I, AF: F, G: I, P: F, R: I, X: F, L: I, LF: F, K: I, M: I, MF: F, H: I, T: I, TF: F, first: i64, n: i64, shard: i64, shards: i64
) -> i64:
    """Both passes over n inputs T; returns the number of rows in M. L is the table of models, K memory for keys of this shard."""
    rows = market_bars(A, AF, G, P, M, MF, H, T, TF, first, n, shard, shards)
    if rows > 0:
        market_features(A, AF, G, P, R, X, L, LF, K, M, MF, H)
    return rows


@kernel
def merge_rows(M: I, N: I, O: I, stride: i64, rows: i64, more: i64) -> i64:
    """Merge two row lists, each in the order (input, slot), into O; returns the sum of their lengths."""
    i = 0
    j = 0
    for k in range(rows + more):
        left = i < rows
        if left and j < more:
            a = i * stride
            b = j * stride
            left = M[a] < N[b] or (M[a] == N[b] and M[a + ROW_SLOT] <= N[b + ROW_SLOT])
        o = k * stride
        if left:
            for w in range(stride):
                O[o + w] = M[i * stride + w]
            i += 1
        else:
            for w in range(stride):
                O[o + w] = N[j * stride + w]
            j += 1
    return rows + more


def rows_per_input(slots: int) -> tuple[int, int]:
    """The most rows (a tick, a timer) can cause: bound for the row buffer."""
    return 1, slots * PENDING


def new_state(program: Program, slot_of: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Market state at the anchor. `slot_of[instrument id]` is the dense slot, -1 for an instrument that is not traded."""
    slots = int(slot_of.max()) + 1
    slot_words = BAR_WORDS + program.state_words + N_ROW + program.registers - BASE_COUNT + SCORES
    base = M_HEADER + len(slot_of)
    state = np.zeros(base + slots * slot_words, np.int64)
    state[M_SLOTS], state[M_SLOT_WORDS], state[M_IDS], state[M_BASE] = slots, slot_words, len(slot_of), base
    state[M_HEADER:base] = slot_of
    return state
