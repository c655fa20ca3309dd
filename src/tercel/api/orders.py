"""Orders by hand: what is asked over HTTP becomes integers, the trader's core decides, and the journal answers for it from then on.

Four orders at most are before the trader at once, half of what its control block holds, so that a halt, a resume or a model never waits
behind them; 64 wait here, the next one is told so. A client_id names an order for good: given again it is answered as it was and sent no
second time, whoever was restarted in between.
"""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tercel.api.answers import body_of, failure, json_answer
from tercel.api.board import Board
from tercel.api.views import instrument_view, slot_of
from tercel.base.codes import REASONS
from tercel.base.errors import DataError, TercelError
from tercel.base.records import client_order_id
from tercel.base.time import NS_PER_S, clock_ns
from tercel.base.written import whole_units
from tercel.execution.lifecycle import STATE_NAMES, SUBMITTED
from tercel.journal.entries import Order, ref_of
from tercel.observe.by_hand import INTEGER_MAX, Answered, Asked, ClientId, read, text_of
from tercel.observe.control import OTHER, TAKEN, UNANSWERED, Ack, ControlClient
from tercel.observe.live import LiveFrame

AT_ONCE: Final = 4
WAITING_MAX: Final = 64
ANSWER_S: Final = 2.0
LEAST_S: Final = 0.5  # with less left for the trader's answer an order is not begun
POLL_S: Final = 0.001
DENIED, NOT_GIVEN, UNKNOWN = "denied", "not_given", "unknown"
AGAIN: Final = "POST it again with this client_id: it is never sent twice"


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/orders. `qty` is in lots; it and `limit` are text or numbers, taken to the digit. Without a limit at the market.

    `client_id`, up to 64 printable characters of ASCII, names the order; without one it is given one.
    """

    symbol: str
    qty: Decimal
    side: Literal["buy", "sell"]
    limit: Decimal | None = None
    client_id: ClientId | None = None


class Full(TercelError):
    """As many orders wait as may."""


class NotGiven(TercelError):
    """The order did not reach the trader, and will not."""


def asked_of(frame: LiveFrame, slot: int, body: OrderBody) -> Asked:
    """The order in integers of its instrument. Raises `DataError` for a number that is none of its size or price."""
    row, name = frame.instruments[slot], frame.instruments["name"][slot].decode()
    size, lot = whole_units(body.qty, int(row["lot"])), int(row["lot"])
    if size is None or not 0 < size <= INTEGER_MAX:
        raise DataError(f"qty: expected lots of {name} above 0, in steps of at least 1/{lot:,}, found {body.qty}; round it first")
    price = 0
    if body.limit is not None:
        decimals = int(row["price_decimals"])
        found = whole_units(body.limit, 10**decimals)
        if found is None or not 0 < found <= INTEGER_MAX:
            raise DataError(
                f"limit: expected a price of {name} above 0 with at most {decimals} decimals, found {body.limit}; round it first"
            )
        price = found
    return Asked(body.client_id or secrets.token_hex(16), int(row["id"]), 1 if body.side == "buy" else -1, size, price)


def order_of(asked: Asked, answered: Answered) -> Order:
    """The trader's answer in the form in which the journal holds it."""
    return Order(
        answered.input_number, ref_of(asked.client_id), asked.client_id, "", asked.instrument, asked.side, asked.size, asked.price,
        answered.time_ns, answered.epoch, answered.order, answered.code,
    )  # fmt: skip


def said(order: Order, client_id: str, frame: LiveFrame) -> dict[str, Any]:
    """What came of an order at once, in units: the id under which it was sent, or the reason for which it was denied."""
    places = [slot for slot, ident in enumerate(frame.instruments["id"].tolist()) if ident == order.instrument]
    view = instrument_view(frame, places[0]) if places else None
    lot = int(frame.instruments["lot"][places[0]]) if places else 1
    found: dict[str, Any] = {
        "client_id": client_id, "status": STATE_NAMES[SUBMITTED] if order.order else DENIED,
        "id": client_order_id(order.epoch, order.order) if order.order else "", "symbol": view.name if view else f"id {order.instrument}",
        "side": "buy" if order.side > 0 else "sell", "qty": order.size / lot,
        "limit": order.price / 10**view.price_decimals if view and order.price else None, "input_number": order.input_number,
    }  # fmt: skip
    if not order.order:
        name, meaning, remedy = REASONS[order.code]
        found |= {"reason": name, "error": f"denied: {name}: {meaning}; {remedy}"}
    return found


class Orders:
    """The handlers of `/api/orders` beside a board; `newest` refreshes it when it is old."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def give(self, request: Request) -> Response:
        """Give one order: 201 when it was sent, 422 when a check denied it, with the reason; see "Orders by hand" for the rest."""
        try:
            body = msgspec.json.decode(await body_of(request), type=OrderBody)
        except (msgspec.MsgspecError, DataError) as error:
            return failure(f'expected {{"symbol", "qty", "side"}}, "limit" and "client_id" if wanted: {error}', 400)
        frame = self._board.frame or self._board.newest().frame  # of an older one, what an instrument is is true as well
        if frame is None:
            return self._not_given(body.client_id or "", self._board.problem, 503)
        try:
            slot = slot_of(frame, body.symbol)
        except DataError as error:
            return failure(error, 404)
        try:
            asked = asked_of(frame, slot, body)
        except DataError as error:
            return failure(error, 400)
        known = self._board.by_hand.find(asked.client_id)
        if known is not None:
            return self._again(known, asked, frame)
        return await self._ask(asked, f"api {request.client.host if request.client else ''}", frame)

    async def _ask(self, asked: Asked, who: str, frame: LiveFrame) -> Response:
        try:
            ack = await self._answer(asked, who)
        except Full as error:
            return self._not_given(asked.client_id, str(error), 429)
        except TercelError as error:
            return self._not_given(asked.client_id, str(error), 503)
        self._board.refreshed_ns = 0  # who reads next reads what the journal has by now
        if ack.state == UNANSWERED:
            where = f"GET /api/orders?client_id={quote(asked.client_id, safe='')}"
            why = f"the trader did not answer within {ANSWER_S:g} s: whether it took the order is not known. Ask {where}, or {AGAIN}"
            return json_answer({"client_id": asked.client_id, "status": UNKNOWN, "error": why}, 503, {"retry-after": "1"})
        if ack.state == OTHER:
            return self._other(asked.client_id, read(ack.words, Answered))
        if ack.state != TAKEN:
            return self._not_given(asked.client_id, ack.words or "the trader was late and did not take the order", 503)
        answered = read(ack.words, Answered)
        return self._told(order_of(asked, answered), asked.client_id, frame, answered.repeated)

    async def _answer(self, asked: Asked, who: str) -> Ack:
        """The trader's answer, or UNANSWERED. Raises `Full`, or another error when the trader certainly did not get the order."""
        if self._waiting == WAITING_MAX:
            raise Full(f"{WAITING_MAX} orders wait already; try again in a moment")
        give_up = clock_ns() + int(ANSWER_S * NS_PER_S)
        self._waiting += 1
        try:
            async with asyncio.timeout(ANSWER_S - LEAST_S):
                await self._at_once.acquire()
        except TimeoutError:
            raise NotGiven(f"its turn did not come within {ANSWER_S - LEAST_S:g} s; try again") from None
        finally:
            self._waiting -= 1
        try:
            client = ControlClient(self._board.run_folder, who)
            number = client.post_order(text_of(asked), (give_up - clock_ns()) / NS_PER_S)
            while (ack := client.answer(number)).state == UNANSWERED and clock_ns() < give_up:
                await asyncio.sleep(POLL_S)
            return ack
        finally:
            self._at_once.release()

    def _again(self, known: Order, asked: Asked, frame: LiveFrame) -> Response:
        wanted = (asked.instrument, asked.side, asked.size, asked.price)
        if (known.instrument, known.side, known.size, known.price) != wanted:
            return self._other(asked.client_id, known)
        return self._told(known, asked.client_id, frame, repeated=True)

    def _told(self, order: Order, client_id: str, frame: LiveFrame, repeated: bool) -> Response:
        return json_answer({**said(order, client_id, frame), "repeated": repeated}, 201 if order.order else 422)

    def _other(self, client_id: str, known: Order | Answered) -> Response:
        name = client_order_id(known.epoch, known.order) if known.order else ""
        error = f"client_id {client_id} belongs to another order{f' ({name})' if name else ''}; give this one a client_id of its own"
        return json_answer({"client_id": client_id, "status": NOT_GIVEN, "id": name, "error": error}, 409)

    def _not_given(self, client_id: str, why: str, status: int) -> Response:
        found = {"client_id": client_id, "status": NOT_GIVEN, "error": f"no order was given: {why}"}
        return json_answer(found, status, {"retry-after": "1"})

    async def read(self, request: Request) -> Response:
        """Orders, fills and denials the desk holds, newest first; with `client_id` what came of that order by hand, 404 without one."""
        board = self._board.newest()
        client_id = request.query_params.get("client_id")
        if client_id is None:
            blotter = board.blotter
            return json_answer({"orders": list(reversed(blotter.orders.values())), "events": list(reversed(blotter.events))})
        order, frame = board.by_hand.find(client_id), board.frame
        if order is None and (board.behind or board.journal_problem or frame is None):
            return failure(board.journal_problem or board.problem or "the journal is still being read; ask again", 503)
        if order is None or frame is None:
            return self._not_given(client_id, f"none is known under client_id {client_id[:64]!r}; {AGAIN}", 404)
        found = said(order, client_id, frame)
        view = board.blotter.orders.get(found["id"])
        return json_answer({**found, "status": view.state if view is not None else found["status"], "order": view})
