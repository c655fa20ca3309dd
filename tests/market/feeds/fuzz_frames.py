"""Mutated frames against the decoder: `python -m tests.market.feeds.fuzz_frames 1000000 [SEED]` from the root of the repository.

Good frames, and snapshots, are damaged in one to three ways each: bits flipped, parts cut out, two frames joined; numbers made huge,
negative or no numbers; fields removed, doubled or given another type; nesting without end; bytes that are no UTF-8. One decoder lives
through them all, between good frames, so that what one frame does to the state is met by the next. Nothing may raise, each frame must be
accounted for, and each row must be legal. A second decoder, whose scanner takes what it can, gets the same frames in batches: its rows and
its state must be the same.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tercel.base.records import BOOK, BOOK_CLEAR, GAP, LAST, QUOTE, SNAPSHOT, TRADE, Records
from tercel.market.feeds.binance import Binance
from tercel.market.feeds.binance.decoder import HELD_MESSAGES_MAX
from tercel.market.feeds.binance.wire import AWAY_NS_MAX, PRICE_MAX, SIZE_MAX
from tests.market.feeds.binance_frames import T0_NS, framed, instrument, slow, snapshot, state, ticker, trade, update

INSTRUMENTS = (instrument("BTCUSDT", 7), instrument("ETHUSDT", 8))
IDS = {item.id for item in INSTRUMENTS}
WRONG = [
    b"1e999", b"-1", b"0", b'"NaN"', b'"-Infinity"', b'"inf"', b"null", b"true", b"[]", b"{}", b'""', b'"1_000"', b'"0x10"', b"9" * 400,
    b"9223372036854775808", b"-9223372036854775809", b"1" + b"0" * 30, b'"1e-400"', b'"\\ud800"', b"1.5e3", b'"' + b"7" * 5_000 + b'"',
    b"NaN",
]  # fmt: skip
BLOCK = 20  # frames of one arrival, whose rows are judged together
VALUE = re.compile(rb'"[^"]*"(?![":])|-?\d[\d.eE+-]*|true|false|null')
FIELD = re.compile(rb'"\w+":(?:"[^"]*"|-?[\d.]+|true|false),?')


def good(chance: random.Random, number: int) -> bytes:
    """A frame as it should be, its ids near `number`."""
    symbol = chance.choice(("BTCUSDT", "ETHUSDT"))
    near = number + chance.randrange(-2, 4)
    levels = [(round(100.0 - 0.01 * chance.randrange(1, 40), 2), float(chance.randrange(5))) for _ in range(chance.randrange(6))]
    above = [(round(100.0 + 0.01 * chance.randrange(1, 40), 2), float(chance.randrange(5))) for _ in range(chance.randrange(6))]
    kind = chance.randrange(10)
    if kind < 3:
        return trade(near, round(chance.uniform(90, 110), 2), chance.randrange(9), maker=chance.random() < 0.5, symbol=symbol)
    if kind < 6:
        return ticker(near, (99.99, 1.0), (100.01, 2.0), symbol=symbol)
    if kind < 9:
        return update(near, near + chance.randrange(3), levels, above, symbol=symbol)
    return framed(f"{symbol.lower()}@kline_1m", {"e": "kline", "k": {"t": 1}})


def flip(chance: random.Random, frame: bytes) -> bytes:
    """A few bits the other way."""
    made = bytearray(frame)
    for _ in range(chance.randrange(1, 5)):
        if made:
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def cut(chance: random.Random, frame: bytes) -> bytes:
    """An end, a beginning or a middle missing."""
    first, last = sorted((chance.randrange(len(frame) + 1), chance.randrange(len(frame) + 1)))
    return chance.choice((frame[:first], frame[first:], frame[:first] + frame[last:]))


def splice(chance: random.Random, frame: bytes) -> bytes:
    """The beginning of one and the end of another."""
    other = good(chance, chance.randrange(1_000))
    return frame[: chance.randrange(len(frame) + 1)] + other[chance.randrange(len(other) + 1) :]


def digit(chance: random.Random, frame: bytes) -> bytes:
    """Another digit, the damage that still looks right."""
    places = [place for place, byte in enumerate(frame) if 48 <= byte < 58]
    if not places:
        return frame
    place = chance.choice(places)
    return frame[:place] + b"%d" % chance.randrange(10) + frame[place + 1 :]


def wrong(chance: random.Random, frame: bytes) -> bytes:
    """A value of another kind or size."""
    spans = [found.span() for found in VALUE.finditer(frame)]
    if not spans:
        return frame
    first, last = chance.choice(spans)
    return frame[:first] + chance.choice(WRONG) + frame[last:]


def field(chance: random.Random, frame: bytes) -> bytes:
    """A field missing or twice."""
    spans = [found.span() for found in FIELD.finditer(frame)]
    if not spans:
        return frame
    first, last = chance.choice(spans)
    return frame[:first] + frame[first:last] * chance.choice((0, 2)) + frame[last:]


def nest(chance: random.Random, frame: bytes) -> bytes:
    """Depth without end."""
    place = chance.randrange(len(frame) + 1)
    return frame[:place] + chance.choice((b"[", b'{"a":', b'{"data":')) * chance.choice((3, 100, 3_000)) + frame[place:]


def noise(chance: random.Random, frame: bytes) -> bytes:
    """Bytes that are no text."""
    place = chance.randrange(len(frame) + 1)
    return frame[:place] + chance.choice((b"\xff", b"\xc3\x28", b"\x00", b"\xed\xa0\x80", b"\xf8\x88")) + frame[place:]


WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (flip, cut, splice, digit, digit, wrong, wrong, field, nest, noise)


def legal(rows: Records, recv_ns: int) -> None:
    """Every row is one that the rest of the system may meet."""
    kinds, price, size = rows["kind"], rows["price"], rows["size"]
    assert np.isin(kinds, (QUOTE, TRADE, BOOK, BOOK_CLEAR, GAP)).all()
    assert set(rows["instrument"].tolist()) <= IDS
    assert (rows["ts_recv"] == recv_ns).all()
    assert (np.abs(rows["ts_event"] - recv_ns) <= AWAY_NS_MAX).all()
    priced = np.isin(kinds, (QUOTE, TRADE, BOOK))
    assert ((price[priced] > 0) & (price[priced] < PRICE_MAX) & (size[priced] >= 0) & (size[priced] < SIZE_MAX)).all()
    quotes = rows[kinds == QUOTE]
    assert ((quotes["price2"] >= quotes["price"]) & (quotes["price2"] < PRICE_MAX) & (quotes["size2"] >= 0)).all()
    assert (rows["ref"][priced] >= 0).all()
    assert np.isin(rows["side"][(kinds == TRADE) | (kinds == BOOK)], (1, -1)).all()
    assert (rows["flags"] & ~np.uint16(LAST | SNAPSHOT) == 0).all()


def sound(decoder: Binance) -> None:
    """What holds of the decoder after any frame."""
    frames = sum(count for reason, count in decoder.dropped.items() if not reason.startswith("snapshot_"))
    assert decoder.received == sum(decoder.delivered.values()) + frames + decoder.held
    assert decoder.held <= HELD_MESSAGES_MAX * len(INSTRUMENTS)


def run(count: int, seed: int) -> Counter[str]:
    """Feed `count` damaged frames between good ones; what became of all, by reason. Raises AssertionError with the last frame before."""
    chance = random.Random(seed)
    decoder, quick = slow(Binance(INSTRUMENTS)), Binance(INSTRUMENTS)
    told: Counter[str] = Counter()
    for start in range(0, count, BLOCK):
        recv_ns, parts, sent = T0_NS + start, [], []
        for number in range(start, min(start + BLOCK, count)):
            frame = good(chance, number)
            if chance.random() < 0.3:
                sent.append(frame)
                parts.append(decoder.frame(frame, recv_ns))
            for _ in range(chance.randrange(1, 4)):
                frame = chance.choice(WAYS)(chance, frame)
            sent.append(frame)
            try:
                parts.append(decoder.frame(frame, recv_ns))
            except Exception as error:
                raise AssertionError(f"seed {seed}, frame {number}: {error!r}: {frame[:400]!r}") from error
            told["with rows"] += bool(len(parts[-1]))
        cut = chance.randrange(len(sent) + 1)
        batches = [quick.frames(sent[:cut], recv_ns), quick.frames(sent[cut:], recv_ns)]
        for symbol in decoder.wanted_snapshots():
            body = snapshot(start + BLOCK + chance.randrange(-3, 9), [(99.9, 1.0), (99.5, 2.0)], [(100.1, 1.0), (100.5, 3.0)])
            if chance.random() < 0.5:
                body = chance.choice(WAYS)(chance, body)
            parts.append(decoder.snapshot(symbol, body, recv_ns))
            batches.append(quick.snapshot(symbol, body, recv_ns))
        if start % 200 == 0:
            parts.append(decoder.disconnected(recv_ns))
            batches.append(quick.disconnected(recv_ns))
        assert all(part["flags"][-1] & LAST for part in parts if len(part)), f"seed {seed}, frames from {start}"
        legal(np.concatenate(parts), recv_ns)
        assert np.concatenate(parts).tobytes() == np.concatenate(batches).tobytes(), f"seed {seed}, frames from {start}"
        assert state(decoder) == state(quick), f"seed {seed}, frames from {start}"
        sound(decoder)
    return told + Counter(decoder.dropped) + Counter({f"gap in {kind}": times for kind, times in decoder.gaps.items()})


def main(words: list[Any]) -> None:
    """The count, and the seed."""
    count, seed = int(words[0]), int(words[1]) if len(words) > 1 else 1
    print(f"{count} frames, seed {seed}: {dict(run(count, seed).most_common())}")


if __name__ == "__main__":
    main(sys.argv[1:])
