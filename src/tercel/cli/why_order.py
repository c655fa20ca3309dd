"""What the journal knows of one order: the session and settings it was sent under, the signal that asked for it, and what became of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tercel.base import paths
from tercel.base.codes import DENIALS_MIN, REASONS
from tercel.base.errors import ConfigError
from tercel.base.records import OUT_FILL, OUT_INTENT, OUT_NAMES, OUT_SIGNAL, OUTPUT, Records, client_order_id
from tercel.base.time import format_instant
from tercel.journal import entries
from tercel.journal.reader import JournalReader
from tercel.market.catalog import Catalog
from tercel.market.instruments import Instrument

BATCH = 10_000


class Told(NamedTuple):
    """What an account's journal tells: each session and configuration with the input it began behind, orders by hand by their input."""

    outputs: Records
    sessions: list[tuple[int, entries.Session]]
    configs: list[tuple[int, entries.Config]]
    by_hand: dict[int, entries.Order]


def read(account: str) -> Told:
    """The journal of an account, from its beginning."""
    outputs: list[Records] = []
    told = Told(np.zeros(0, OUTPUT), [], [], {})
    with JournalReader(paths.session_dir(account) / "journal") as reader:
        while found := reader.poll(BATCH):
            for entry in found:
                if entry.kind == entries.OUTPUTS:
                    outputs.append(entries.decode_outputs(entry.payload))
                    continue
                payload = entries.decode(entry.kind, entry.payload)
                if isinstance(payload, entries.Session):
                    told.sessions.append((entry.input_number, payload))
                elif isinstance(payload, entries.Config):
                    told.configs.append((entry.input_number, payload))
                elif isinstance(payload, entries.Order):
                    told.by_hand[payload.input_number] = payload
    return told._replace(outputs=np.concatenate(outputs)) if outputs else told


def explain(account: str, order: int | None, instrument: str | None = None) -> dict[str, Any]:
    """An order of an account (None: its last one), why it was sent and what became of it. Raises `ConfigError` when there is none."""
    outputs, sessions, configs, by_hand = read(account)
    catalog = Catalog()
    intents = outputs[outputs["kind"] == OUT_INTENT]
    if instrument is not None:
        intents = intents[intents["instrument"] == catalog.resolve(instrument).id]
    chosen = intents[intents["order"] == order] if order is not None else intents[-1:]
    if not len(chosen):
        numbers = f"its orders are {int(intents['order'].min())} to {int(intents['order'].max())}" if len(intents) else "it has sent none"
        asked = f"order {order}" if order is not None else "an order"
        raise ConfigError(f"why: account {account}: expected {asked}, found none in its journal; {numbers}")
    intent = chosen[0]
    one = catalog.instrument(int(intent["instrument"]))
    mine = outputs[outputs["instrument"] == intent["instrument"]]
    before = mine[(mine["kind"] == OUT_SIGNAL) & (mine["input"] <= intent["input"])]
    held = mine[(mine["kind"] == OUT_FILL) & (mine["input"] < intent["input"])]
    hand = by_hand.get(int(intent["input"]))
    first, session = next(pair for pair in reversed(sessions) if pair[0] <= int(intent["input"]))
    config = next((text for began, text in reversed(configs) if began == first), None)
    return {
        "account": account, "order": int(intent["order"]), "id": client_order_id(int(intent["epoch"]), int(intent["order"])),
        "instrument": one.name, "input": int(intent["input"]), "time": format_instant(int(intent["time"])),
        "side": "buy" if intent["side"] > 0 else "sell", "size": int(intent["size"]) / 10**one.size_decimals,
        "type": "limit" if intent["price"] else "market", "limit": int(intent["price"]) / 10**one.price_decimals or None,
        "mid": float(intent["mid"]), "score": float(intent["score"]), "confidence": float(intent["confidence"]),
        "position_before": (int(held[-1]["position"]) if len(held) else 0) / 10**one.size_decimals,
        "by_hand": {"client_id": hand.client_id, "who": hand.who} if hand is not None else None,
        "signal": event(before[-1], one) if len(before) and hand is None else None,
        "then": [event(each, one) for each in mine[(mine["order"] == intent["order"]) & (mine["kind"] != OUT_INTENT)]],
        "session": {"epoch": session.epoch, "mode": session.mode, "feed": session.feed, "settings_hash": session.settings_hash},
        "settings": _settings(config),
    }  # fmt: skip


def _settings(config: entries.Config | None) -> Any:
    import msgspec

    return msgspec.json.decode(config.text) if config is not None else None


def event(output: Any, one: Instrument) -> dict[str, Any]:
    """One output of the core as plain values."""
    kind = int(output["kind"])
    found: dict[str, Any] = {"what": OUT_NAMES[kind], "time": format_instant(int(output["time"])), "input": int(output["input"])}
    if kind == OUT_SIGNAL:
        found |= {"direction": int(output["side"]), "score": float(output["score"]), "confidence": float(output["confidence"])}
    if kind == OUT_FILL:
        size = 10**one.size_decimals
        found |= {
            "price": int(output["price"]) / 10**one.price_decimals, "size": int(output["size"]) / size,
            "fee": int(output["fee_micros"]) / 1e6, "position": int(output["position"]) / size,
        }  # fmt: skip
    code = int(output["code"])
    if code >= DENIALS_MIN and code in REASONS and kind not in (OUT_FILL, OUT_SIGNAL):
        found["reason"] = REASONS[code][0]
    return found


def show(found: dict[str, Any]) -> None:
    """Print it for people."""
    from tercel.base.text import console

    lines = [
        f"order {found['order']} of account {found['account']} ({found['id']})",
        f"  sent     {found['time']}, behind input {found['input']:,}: {found['side']} {found['size']:,.10g} {found['instrument']} "
        f"at {'the market' if found['type'] == 'market' else found['limit']}",
        f"  then     mid {found['mid']:.10g}, position {found['position_before']:,.10g}",
    ]
    hand = found["by_hand"]
    if hand is not None:
        lines.append(
            f"  because  given by hand, {hand['who'] or 'nobody knows by whom'}, client_id {hand['client_id'] or 'lost in a crash'}"
        )
    else:
        lines.append(f"  because  score {found['score']:.6g}, confidence {found['confidence']:.3f}")
    signal = found["signal"]
    if signal is not None:
        side = {1: "long", 0: "out", -1: "short"}.get(signal["direction"], str(signal["direction"]))
        lines.append(f"  signal   {side} since {signal['time']} (score {signal['score']:.6g}, confidence {signal['confidence']:.3f})")
    for event in found["then"]:
        facts = ", ".join(
            f"{key} {value:,.10g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in event.items()
            if key not in ("what", "time", "input")
        )
        lines.append(f"  {event['what']:<8} {event['time']}{f': {facts}' if facts else ''}")
    session = found["session"]
    lines.append(f"  session  epoch {session['epoch']}, {session['mode'].lower()}, settings {session['settings_hash']}, {session['feed']}")
    decide = (found["settings"] or {}).get("decide")
    if decide and hand is None:
        lines.append("  decided  " + ", ".join(f"{key} {value}" for key, value in decide.items()))
    out = console()
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
