"""The scanner takes what the venue writes, and what it takes is what the slow way would have made of it: rows, counts and state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.builtin import lists_usable
from tercel.base.records import QUOTE, TRADE, WORDS
from tercel.market.definitions import guessed
from tercel.market.feeds.binance import Binance, scanner
from tests.market.feeds.binance_frames import T0_NS, instrument, lines, sessions, slow, state, ticker, trade, update
from tests.twins import MODES, twin

pytestmark = pytest.mark.skipif(not lists_usable(), reason="this interpreter has no fast way")

BTC, ETH = instrument("BTCUSDT", 7), instrument("ETHUSDT", 8)
PERPETUALS = (instrument("BTCUSDT-PERP", 7), instrument("ETHUSDT-PERP", 8))
T0_MS = T0_NS // 1_000_000
WRAPPED = [(T0_NS + 2**64) // unit for unit in (1_000_000, 1_000)]  # times that would seem near if the product wrapped


def fast(decoder: Binance) -> Binance:
    """The decoder that fails for a frame that the scanner leaves."""
    decoder._frame = left  # type: ignore[method-assign]
    return decoder


def left(payload: bytes, *rest: object) -> None:
    """What a frame comes to that the scanner did not take."""
    pytest.fail(f"left to the slow way: {payload!r}")


def future_trade(number: int, price: str, size: str, maker: bool = False, symbol: str = "BTCUSDT", stamp: int = T0_MS) -> bytes:
    """A trade of futures as recorded."""
    truth = "true" if maker else "false"
    return (
        f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{stamp},"T":{stamp},"s":"{symbol}","t":{number},'
        f'"p":"{price}","q":"{size}","X":"MARKET","m":{truth}}}}}'
    ).encode()


def future_ticker(number: int, bid: str, ask: str, symbol: str = "BTCUSDT", stamp: int = T0_MS) -> bytes:
    """A best quote of futures as recorded."""
    return (
        f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"e":"bookTicker","u":{number},"s":"{symbol}",'
        f'"b":"{bid}","B":"1.5","a":"{ask}","A":"297","T":{stamp},"E":{stamp}}}}}'
    ).encode()


def test_what_the_venue_writes_is_taken() -> None:
    """Spot and futures, trades and best quotes, one by one and together, more than one entry holds: none goes the slow way."""
    spot = [frame for number in range(400) for frame in (trade(number, "64000.01", "0.5", symbol="ETHUSDT"), ticker(number))]
    futures = [frame for number in range(400) for frame in (future_trade(number, "1", "2.0"), future_ticker(number * 9, "0.1", "0.2"))]
    for instruments, frames in (((BTC, ETH), spot), (PERPETUALS, futures)):
        alone, together = fast(Binance(instruments)), fast(Binance(instruments))
        rows = together.frames(frames, T0_NS)
        assert np.concatenate([alone.frame(memoryview(frame), T0_NS) for frame in frames]).tobytes() == rows.tobytes()
        assert rows["kind"].tolist() == [TRADE, QUOTE] * 400
        assert state(alone) == state(together)
        assert rows.flags.writeable


@pytest.mark.parametrize("count", [1, 340])
def test_every_instrument_is_found(count: int) -> None:
    """As many as a session carries, also names that begin alike or contain each other."""
    symbols = ["A", "AUSDT", *(f"1000000AVERYLONGNAME{number}USDT" for number in range(count - 1)), *("B" * size for size in range(1, 30))]
    instruments = [guessed(symbol, "binance", 2, 2) for symbol in symbols[:340]]
    made = fast(Binance(instruments))
    for number, one in enumerate(instruments):
        rows = made.frames([trade(number, symbol=one.symbol), ticker(number, symbol=one.symbol)], T0_NS)
        assert rows["ref"].tolist() == [number, number]


def test_what_is_not_the_next_message_is_left() -> None:
    """Repeats, gaps, jumps, crossed quotes, times far away, values out of bounds: the slow way judges, from untouched state."""
    frames = [
        trade(5), trade(5), trade(7), trade(4), trade(8, "0"), trade(8, "1000000000000"), trade(8, size="1000000000000000000"),
        trade(8, T=T0_NS // 10**9), trade(8, T=10**17), trade(8, T=0), *(trade(8, T=stamp) for stamp in WRAPPED),
        trade(8, "1.50", "0"), trade(9 + 2**41),
        ticker(5), ticker(5), ticker(4), ticker(6, (2.0, 1.0), (1.0, 1.0)), ticker(6 + 2**41), ticker(7, (1.0, 1.0), (1.0, 0.0)),
        ticker(8, (1.0, 1.0), (1e12, 0.0)), ticker(8, (0.0, 1.0), (1.0, 0.0)),
    ]  # fmt: skip
    quick, judge = Binance([BTC]), slow(Binance([BTC]))
    for frame in frames:
        assert quick.frame(frame, T0_NS).tobytes() == judge.frame(frame, T0_NS).tobytes()
        assert state(quick) == state(judge)
    assert judge.dropped == {"bad_number": 5, "duplicate": 3, "bad_time": 5, "bad_id": 2, "stale": 1, "crossed": 1}
    assert judge.gaps == {"trade": 1}


NUMBER = st.one_of(
    st.floats(0, 2e12).map(repr),
    st.decimals(0, 10**6, places=8).map(lambda value: format(value, "f")),
    st.text("0123456789.e-+ ", max_size=22),
    st.sampled_from(["0", "0.00", "1e5", "999999999999.9999", "1000000000000", "NaN", "", "00.1", "9007199254740993", "0.1", "1"]),
)
STAMP = st.one_of(
    st.sampled_from([T0_MS, T0_NS // 1_000, T0_NS, 0, 1, 10**17, 10**18, 10**19, 9 * 10**12, 9 * 10**15, *WRAPPED]),
    st.integers(T0_MS - 90_000_000, T0_MS + 90_000_000),
    st.integers(T0_NS // 1_000 - 9 * 10**10, T0_NS // 1_000 + 9 * 10**10),
)
IDS = st.one_of(st.integers(0, 12), st.integers(0, 2**63), st.sampled_from([10**17, 10**18 - 1, 10**18, 2**62]))
SYMBOLS = st.sampled_from(["BTCUSDT", "BTCUSDT", "ETHUSDT", "XRPUSDT"])
FRAME = st.one_of(
    st.builds(trade, IDS, NUMBER, NUMBER, maker=st.booleans(), symbol=SYMBOLS, T=STAMP),
    st.builds(ticker, IDS, st.tuples(NUMBER, NUMBER), st.tuples(NUMBER, NUMBER), symbol=SYMBOLS),
    st.builds(future_trade, IDS, NUMBER, NUMBER, st.booleans(), SYMBOLS, STAMP),
    st.builds(future_ticker, IDS, NUMBER, NUMBER, SYMBOLS, STAMP),
    st.builds(update, IDS, IDS, symbol=SYMBOLS),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame with a byte changed, cut out or put in, or as it was."""
    frame = draw(FRAME)
    at = draw(st.integers(0, len(frame) - 1))
    byte = draw(st.sampled_from([bytes([value]) for value in b'\x00 \t\n",.:0179eE{}[]\\\xff']))
    return frame[:at] + draw(st.sampled_from([frame[at : at + 1], byte, b"", byte + frame[at : at + 1]])) + frame[at + 1 :]


SENT = st.lists(st.tuples(st.one_of(FRAME, damaged()), st.integers(0, 9)), max_size=40)


@settings(max_examples=300)
@given(st.booleans(), SENT, st.sampled_from([T0_NS, T0_NS, 0, -1, 2**62]), st.sampled_from([0, 1, 10**13]))
def test_both_ways_give_the_same(futures: bool, sent: list[tuple[bytes, int]], recv_ns: int, step_ns: int) -> None:
    """Any frames, good, damaged, out of bounds, in any order, cut into any batches, with disconnects: rows, counts and state are equal."""
    quick, judge = (Binance(PERPETUALS if futures else (BTC, ETH)) for _ in range(2))
    slow(judge)
    batch: list[bytes] = []
    for frame, turn in [*sent, (b"", 0)]:
        batch.append(frame)
        if turn < 3:
            rows = quick.frames(batch, recv_ns, step_ns)
            assert rows.tobytes() == b"".join(judge.frame(one, recv_ns + step_ns * at).tobytes() for at, one in enumerate(batch))
            batch = []
        if turn == 1:
            assert quick.disconnected(recv_ns).tobytes() == judge.disconnected(recv_ns).tobytes()
        if not batch:
            assert state(quick) == state(judge)


@settings(max_examples=40)
@given(st.lists(st.one_of(FRAME, damaged()), max_size=12))
def test_the_scanner_is_its_twin(frames: list[bytes]) -> None:
    """Compiled, plain and with checked memory: the same frames are taken, with the same rows, and the state is the same after."""
    found = [scanned(frames, mode) for mode in MODES]
    assert all(one == found[0] for one in found)


def scanned(frames: list[bytes], mode: str) -> list[object]:
    """What the kernel says of each frame, and its row."""
    there = twin(mode)
    made = there.scanner.Scanner([there.scanner.Line(7, "BTCUSDT"), there.scanner.Line(8, "ETHUSDT")], False)
    enter = there.kernel.entry(there.scanner.scan).bind(made.words)
    rows = made.memory[scanner.K_ROWS]
    found: list[object] = []
    for frame in frames:
        memory = np.zeros(max(1, -(-len(frame) // 8)), np.int64)
        memory.view(np.uint8)[: len(frame)] = np.frombuffer(frame, np.uint8)
        taken = enter(there.kernel.address_of(memory), len(frame), WORDS, T0_NS)
        found.append((taken, rows[WORDS : 2 * WORDS].tolist() if taken else None, made.state.tolist()))
    return found


def recorded(data_dir: Path) -> Iterator[tuple[list[Any], list[tuple[bytes, int]]]]:
    """The recordings: instruments, and frames with the time they came."""
    raw = data_dir / "raw"
    collected = [one for path in sorted((raw / "binance" / "collector" / "usdm").glob("*.gz")) for one in lines(path)]
    yield [instrument("BTCUSDT-PERP")], [(payload, recv_ns) for recv_ns, payload in collected if b"lastUpdateId" not in payload[:20]]
    symbols = ("SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT")
    strange = lines(raw / "websocket" / "BINANCE_FUTURES.ws.1.0.gz")
    yield (
        [guessed(f"{symbol}-PERP", "binance", 5, 0) for symbol in symbols],
        [(payload, recv_ns) for recv_ns, payload in strange],
    )
    for session in sessions(data_dir):
        yield [instrument(session.symbol)], [(message.payload, message.recv_ns) for message in session.messages if not message.snapshot]


def test_recordings_are_the_same_either_way(data_dir: Path) -> None:
    """Every recorded frame: the same rows and state, 500 together too; each trade and best quote is taken."""
    taken = 0
    for instruments, frames in recorded(data_dir):
        alone, together, judge = Binance(instruments), Binance(instruments), slow(Binance(instruments))
        scan = alone._scan
        counted: list[int] = []

        def counting(payload: Any, scan: Any = scan, counted: list[int] = counted) -> bytearray:
            rows = scan(payload)
            counted.append(len(rows) // 64)
            return rows

        alone._scan = counting
        expected = [judge.frame(payload, recv_ns).tobytes() for payload, recv_ns in frames]
        assert [alone.frame(payload, recv_ns).tobytes() for payload, recv_ns in frames] == expected
        assert sum(counted) == judge.delivered["trade"] + judge.delivered["bookTicker"]
        taken += sum(counted)
        assert state(alone) == state(judge)
        batch, recv_ns = [payload for payload, _ in frames[:500]], frames[0][1]
        judge = slow(Binance(instruments))
        assert together.frames(batch, recv_ns).tobytes() == judge.frames(batch, recv_ns).tobytes()
        assert state(together) == state(judge)
    assert taken > 8_000
