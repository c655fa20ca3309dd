"""An order that a person gives, on its way into the core and back: the words it comes in, the input it becomes, the entry it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tercel.base.records import BODY, COMMAND, COMMAND_VIEW, OUT_DENIED, OUT_INTENT, Records, words
from tercel.base.records import ORDER as ORDER_COMMAND
from tercel.core.sequencer import command
from tercel.journal.entries import Order, ref_of
from tercel.observe.by_hand import Answered, Asked, text_of


def input_of(asked: Asked, stamp_ns: int) -> Records:
    """The input (`TICK`[1]) that carries an order, for the sequencer."""
    record = command(ORDER_COMMAND, stamp_ns, asked.size, asked.instrument)
    record["side"], record["ref"] = asked.side, ref_of(asked.client_id)
    words(record)[BODY + 2] = asked.price
    return record


def inputs_in(records: Records) -> list[int]:
    """Where in sequenced inputs (`TICK`[n]) orders by hand lie."""
    found: list[int] = np.flatnonzero((records["kind"] == COMMAND) & (records.view(COMMAND_VIEW)["code"] == ORDER_COMMAND)).tolist()
    return found


def entry_of(number: int, record: Any, outputs: Iterable[Records], client_id: str = "", who: str = "") -> Order:
    """What the journal keeps of input `number`, the record of an order by hand; `outputs` hold the core's answer to it.

    Without a client_id, after a crash, its ref alone names it. Raises StopIteration when there is no answer: a bug of ours.
    """
    answer = next(one for part in outputs for one in part if int(one["input"]) == number and int(one["kind"]) in (OUT_INTENT, OUT_DENIED))
    sent = int(answer["kind"]) == OUT_INTENT
    return Order(
        input_number=number, ref=int(record["ref"]), client_id=client_id, who=who, instrument=int(record["instrument"]),
        side=int(record["side"]), size=int(answer["size"]), price=int(answer["price"]), time_ns=int(answer["time"]),
        epoch=int(answer["epoch"]), order=int(answer["order"]), code=0 if sent else int(answer["code"]),
    )  # fmt: skip


def same(order: Order, asked: Asked) -> bool:
    """Whether what is asked for is what that order was."""
    return (order.instrument, order.side, order.size, order.price) == (asked.instrument, asked.side, asked.size, asked.price)


def answer_to(order: Order, repeated: bool) -> str:
    """What the trader says to whoever gave the order, or gives it again."""
    return text_of(Answered(order.input_number, order.time_ns, order.epoch, order.order, order.code, repeated))
