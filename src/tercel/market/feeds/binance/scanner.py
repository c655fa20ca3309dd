"""The fast way of a trade or a best quote: from the text as the venue writes it straight to a row, without an object in between.

It takes a frame only if it has the venue's own shape to the byte (`shapes`), all bounds hold and its id is the one to come, so that it
gives exactly one row. Everything else, be it a blank, a repeat, a gap or nonsense, it leaves untouched to the slow way (`decoder`,
`wire`), the only judge of refusals. What it takes, the slow way would take with the same row to the bit.

Both ways share one state: numbers of messages, and for each instrument the last ids, in one flat array (`S_…`). Compiled code is entered
once for all frames that came together, through a built-in that reads the list and its bytes where they lie; where the interpreter does not
allow that, there is no fast way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.builtin import BYTES_TEXT, HEADER_BYTES, LIST_ITEMS, OB_LENGTH, OB_TYPE, built_in, lists_usable
from tercel.base.kernel import COMPILED, Entry, F, I, address_of, entry, i64, kernel, plain, pointer_f, pointer_i, word_at
from tercel.base.records import (
    BODY,
    FLAGS_SHIFT,
    HEAD,
    INSTRUMENT_MASK,
    KIND_SHIFT,
    LAST,
    QUOTE,
    RECORD_BYTES,
    SIDE_SHIFT,
    TRADE,
    TS_EVENT,
    TS_RECV,
    WORDS,
)
from tercel.market.book import NAN, NO_ID
from tercel.market.feeds.binance.wire import AWAY_NS_MAX, ID_MAX, ID_STEP_MAX, PRICE_MAX, SIZE_MAX
from tercel.market.feeds.shapes import DECIMAL, DIGITS_MAX, EXACT_MAX, INTEGER, POWERS, TRUTH, has_shape, shape_words

# Words of the state: messages, then of each instrument the last ids and whether a stream gave something new since the last disconnect.
S_RECEIVED, S_TRADES, S_QUOTES, S_DEPTHS, S_LINES = 0, 1, 2, 3, 4
L_TRADE_ID, L_QUOTE_ID, L_TRADE_NEW, L_QUOTE_NEW, LINE_WORDS = 0, 1, 2, 3, 4
# Words of the block that the kernels are handed.
K_SHAPES, K_TABLE, K_STATE, K_ROWS, K_MASK, K_RECV, K_STEP, K_FIRST, K_LIST, K_BYTES, K_WORDS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
# What a stream of ours is: its shape, what its rows begin with, and its words in the state.
W_KIND, W_LINE, W_INSTRUMENT, W_TIMED, W_SHAPE = 0, 1, 2, 3, 4
STREAM = 11  # where a frame names its stream, behind {"stream":"
FRAME_BYTES_MIN = 48
RECV_MAX = 2**62
MS_MAX, US_MAX = 9 * 10**12, 9 * 10**15  # so many milli- or microseconds fit into 64 bits as nanoseconds
REF = BODY + 4
ROWS_MAX: Final = 256  # of one entry, whose duration the interpreter lock is held: some 30 us
LOW_31, MIX = 0x7FFFFFFF, 0x9E3779B1
assert EXACT_MAX < SIZE_MAX, "no size that a shape can have is out of bounds"
assert 10**DIGITS_MAX < ID_MAX, "nor is an id"

FIELDS: Final = {
    "any": (INTEGER, TS_RECV), "time": (INTEGER, TS_EVENT), "id": (INTEGER, REF), "maker": (TRUTH, HEAD),
    "price": (DECIMAL, BODY), "size": (DECIMAL, BODY + 1), "price2": (DECIMAL, BODY + 2), "size2": (DECIMAL, BODY + 3),
}  # fmt: skip
"""Fields of a shape, and the words of a row that they are read into; what is of no use goes where the row's own value comes later."""

_TRADE_SPOT: Final = '"e":"trade","E":<any>,"s":"{symbol}","t":<id>,"p":"<price>","q":"<size>","T":<time>,"m":<maker>,"M":true'
_TRADE_FUTURES: Final = (
    '"e":"trade","E":<any>,"T":<time>,"s":"{symbol}","t":<id>,"p":"<price>","q":"<size>","X":"MARKET","m":<maker>'
)  # fmt: skip
_BEST: Final = '"u":<id>,"s":"{symbol}","b":"<price>","B":"<size>","a":"<price2>","A":"<size2>"'
SHAPES: Final = {  # by whether it is futures: kind of record, kind of stream, what "data" holds
    False: ((TRADE, "trade", _TRADE_SPOT), (QUOTE, "bookTicker", _BEST)),
    True: ((TRADE, "trade", _TRADE_FUTURES), (QUOTE, "bookTicker", f'"e":"bookTicker",{_BEST},"T":<time>,"E":<any>')),
}


@kernel
def place_of(first: i64, second: i64) -> i64:
    """Where to look for a stream in the table, before the mask, by the first 16 bytes from its name on."""
    folded = (first ^ (first >> 32)) + 3 * ((second ^ (second >> 32)) & LOW_31)
    return ((folded & LOW_31) * MIX) >> 24


@kernel
def event_ns(stamp: i64, recv: i64) -> i64:
    """Nanoseconds of a time of the venue in milli- or microseconds, whichever is near the arrival; 0 when neither is."""
    if stamp <= MS_MAX and abs(stamp * 1_000_000 - recv) <= AWAY_NS_MAX:
        return stamp * 1_000_000
    if stamp <= US_MAX and abs(stamp * 1_000 - recv) <= AWAY_NS_MAX:
        return stamp * 1_000
    return 0


@kernel
def find(K: I, A: I, O: I, OF: F, end: i64, o: i64) -> i64:
    """Which stream of ours has the shape of this text; its fields are then in the row at o. -1 when none has."""
    T = pointer_i(K[K_SHAPES])
    table = pointer_i(K[K_TABLE])
    place = place_of(word_at(A, STREAM), word_at(A, STREAM + 8)) & K[K_MASK]
    while True:
        stream: int = table[place]
        if stream < 0 or has_shape(T, A, O, OF, stream + W_SHAPE, end, o) == 1:
            return stream
        place = (place + 1) & K[K_MASK]


@kernel
def scan(K: I, address: i64, end: i64, o: i64, recv: i64) -> i64:
    """Turn the frame of `end` bytes at an address into a row at word o and count it; 0, and no more than that row touched, when not."""
    if end < FRAME_BYTES_MIN or recv < 0 or recv > RECV_MAX:
        return 0
    O = pointer_i(K[K_ROWS])
    OF = pointer_f(K[K_ROWS])
    stream = find(K, pointer_i(address), O, OF, end, o)
    if stream < 0:
        return 0
    T = pointer_i(K[K_SHAPES])
    S = pointer_i(K[K_STATE])
    kind = T[stream + W_KIND]
    line = T[stream + W_LINE]
    event = event_ns(O[o + TS_EVENT], recv) if T[stream + W_TIMED] == 1 else recv
    price = OF[o + BODY]
    if event == 0 or not 0.0 < price < PRICE_MAX:
        return 0
    number = O[o + REF]
    side = 0
    if kind == TRADE:
        last = S[line + L_TRADE_ID]
        if last != NO_ID and number != last + 1:
            return 0
        S[line + L_TRADE_ID] = number
        S[line + L_TRADE_NEW] = 1
        S[S_TRADES] += 1
        side = 0xFF if O[o + HEAD] == 1 else 1
        OF[o + BODY + 2] = NAN
        OF[o + BODY + 3] = NAN
    else:
        last = S[line + L_QUOTE_ID]
        if number <= last or (last != NO_ID and number > last + ID_STEP_MAX):
            return 0
        if not price <= OF[o + BODY + 2] < PRICE_MAX:
            return 0
        S[line + L_QUOTE_ID] = number
        S[line + L_QUOTE_NEW] = 1
        S[S_QUOTES] += 1
    S[S_RECEIVED] += 1
    O[o + TS_EVENT] = event
    O[o + TS_RECV] = recv
    O[o + HEAD] = T[stream + W_INSTRUMENT] | (kind << KIND_SHIFT) | (side << SIDE_SHIFT) | (LAST << FLAGS_SHIFT)
    return 1


if COMPILED:
    from numba import types as nt

    _bytearray = nt.ExternalFunction("PyByteArray_FromStringAndSize", nt.int64(nt.int64, nt.int64))

    def scan_all(self: i64, argument: i64) -> i64:
        """The rows, as a bytearray, of one bytes or of those in a list from number `K_FIRST` on, up to the first that is not taken."""
        K = pointer_i(pointer_i(self + HEADER_BYTES)[0])
        given = pointer_i(argument)
        rows = 0
        if given[OB_TYPE] == K[K_BYTES]:
            rows = scan(K, argument + 8 * BYTES_TEXT, given[OB_LENGTH], 0, K[K_RECV])
        elif given[OB_TYPE] == K[K_LIST]:
            items = pointer_i(given[LIST_ITEMS])
            count = min(given[OB_LENGTH] - K[K_FIRST], ROWS_MAX)
            while rows < count:
                number = K[K_FIRST] + rows
                text = pointer_i(items[number])
                recv = K[K_RECV] + K[K_STEP] * number
                if text[OB_TYPE] != K[K_BYTES] or scan(K, items[number] + 8 * BYTES_TEXT, text[OB_LENGTH], rows * WORDS, recv) == 0:
                    break
                rows += 1
        return _bytearray(K[K_ROWS], rows * RECORD_BYTES)  # type: ignore[no-any-return]


def kernels() -> list[Entry]:
    """What must be compiled before the first frame comes, for a progress bar."""
    return [entry(scan_all)] if lists_usable() else []


class Line(NamedTuple):
    """An instrument to the scanner: its id and its symbol on the wire."""

    instrument: int
    symbol: str


class Scanner:
    """The fast way of one session. `state` is the array both ways share, `block` the words `K_…`, both as memory to read and write.

    `rows(frames)` takes a bytes that came at `block[K_RECV]`, or a list, from its item `block[K_FIRST]` on, whose item 0 came then and
    each later one `block[K_STEP]` ns after the one before. It returns a bytearray with a row for each frame that it took, at most
    `ROWS_MAX`, and stops at the first that it leaves.
    """

    def __init__(self, lines: Sequence[Line], futures: bool) -> None:
        self.memory = _memory(lines, futures)
        self.state: memoryview = self.memory[K_STATE].data
        words = np.zeros(K_WORDS, np.int64)
        words[: len(self.memory)] = [address_of(array) for array in self.memory]
        words[[K_MASK, K_LIST, K_BYTES]] = len(self.memory[K_TABLE]) - 1, id(list), id(bytes)
        self.words = words
        self.block: memoryview = words.data
        self.rows: Callable[[Any], bytearray] = _leave
        if lists_usable():
            code = entry(scan_all).compile()
            self.rows = built_in("rows", code.address, words, code, self.memory)

    @staticmethod
    def line_at(number: int) -> int:
        """Where in the state the words of instrument `number` begin."""
        return S_LINES + number * LINE_WORDS


def _leave(frames: Any) -> bytearray:
    """Where there is no fast way."""
    return bytearray()


def _memory(lines: Sequence[Line], futures: bool) -> tuple[npt.NDArray[np.int64], ...]:
    """Shapes behind the powers of ten, the table that finds them, the state, rows: in the order of their addresses in the block."""
    shapes, places = list(POWERS), []
    for number, line in enumerate(lines):
        for kind, stream, data in SHAPES[futures]:
            text = f'{{"stream":"{line.symbol.lower()}@{stream}","data":{{{data.replace("{symbol}", line.symbol)}}}}}'
            name = text[STREAM : STREAM + 16].encode()
            places.append((len(shapes), *(int.from_bytes(part, "little", signed=True) for part in (name[:8], name[8:]))))
            shapes += [kind, Scanner.line_at(number), line.instrument & INSTRUMENT_MASK, int("<time>" in data)]
            shapes += shape_words(text, FIELDS)
    table = np.full(1 << (4 * len(places)).bit_length(), -1, np.int64)
    for shape, first, second in places:
        place = plain(place_of)(first, second) & (len(table) - 1)
        while table[place] >= 0:
            place = (place + 1) & (len(table) - 1)
        table[place] = shape
    state = np.zeros(Scanner.line_at(len(lines)), np.int64)
    for number in range(len(lines)):
        at = Scanner.line_at(number)
        state[[at + L_TRADE_ID, at + L_QUOTE_ID]] = NO_ID
    return np.array(shapes, np.int64), table, state, np.zeros(ROWS_MAX * WORDS, np.int64)
