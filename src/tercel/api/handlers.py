"""What each address of the desk answers: reads from the board, asks through the control block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tercel.api.answers import body_of, failure, json_answer
from tercel.api.board import Board
from tercel.api.orders import Orders
from tercel.api.past import EVERY, Past
from tercel.api.stream import Hub
from tercel.api.views import candle_rows, currency_views, instrument_view, reason_views, slot_of, stage_views, status_view
from tercel.base.errors import ConfigError, DataError, NotRunning, TercelError
from tercel.base.time import NS_PER_S, wall_ns
from tercel.observe.control import UNANSWERED, Ack, ControlClient
from tercel.observe.live import LiveFrame

if TYPE_CHECKING:
    from tercel.api.predictions import Forecasts

STALE_NS: Final = 2 * NS_PER_S
RESUME_WORD: Final = "RESUME"
FIRST_S_MAX: Final = 10.0  # the first question about a prediction waits so long for what answers it


class HaltBody(msgspec.Struct, frozen=True):
    """Body of POST /api/halt."""

    why: str = "halted on the page"


class ResumeBody(msgspec.Struct, frozen=True):
    """Body of POST /api/resume; `confirm` must be the word RESUME."""

    confirm: str
    why: str = "resumed on the page"


class Desk:
    """The handlers of one account."""

    def __init__(self, run_folder: Path, journal_folder: Path) -> None:
        self.board = Board(run_folder, journal_folder)
        self.hub = Hub(self.board)
        self.orders = Orders(self.board)
        self.past = Past()
        self.forecasts: Forecasts | None = None
        self._asked, self._ready = asyncio.Event(), asyncio.Event()

    async def read(self, make: Callable[[LiveFrame, Request], object], request: Request) -> Response:
        """Answer from the newest frame; 503 while there is none, 404 for a symbol nobody trades."""
        board = self.board.newest()
        if board.frame is None:
            return failure(board.problem, 503)
        try:
            return json_answer(make(board.frame, request))
        except DataError as error:
            return failure(error, 404)

    async def status(self, request: Request) -> Response:
        """The trader as a whole, and what the desk knows beside it."""
        board = self.board.newest()
        status = status_view(board.frame) if board.frame is not None else None
        age_ms = None if status is None else max(wall_ns() / 1e6 - status.published_ms, 0.0)
        return json_answer({
            "status": status, "published_age_ms": age_ms, "alive": board.alive, "killed": board.control.killed, "problem": board.problem,
            "journal_problem": board.journal_problem, "behind": board.behind, "clients": len(self.hub.clients),
        })  # fmt: skip

    async def signals(self, request: Request) -> Response:
        """The newest signal of each instrument."""
        return json_answer({"signals": list(self.board.newest().blotter.signals.values())})

    async def chart(self, request: Request) -> Response:
        """Candles of one symbol, oldest first: those of the running trader, or with `start` (`end`, `every`) recorded history.

        `lost` (of history): when those candles open (ms) of which a part is not known, because data was lost in it or on its edge.
        """
        start, end, every = (request.query_params.get(name) for name in ("start", "end", "every"))
        if start is None:
            return await self.read(chart, request)
        try:
            found = await self.past.candles(request.path_params["symbol"], start, end, every or EVERY)
        except ConfigError as error:
            return failure(error, 400)
        except (DataError, TimeoutError) as error:
            return failure(str(error) or "the history was not read in time; ask again", 503)
        rows = found.rows
        return json_answer({
            "symbol": found.data.instrument.name, "interval_ms": found.interval_ns / 1e6, "count": len(rows),
            "candles": rows[:, :6].tolist(), "lost": rows[rows[:, 6] > 0.0, 0].tolist(),
        })  # fmt: skip

    async def foresee(self) -> None:
        """Keep predictions from when the first is asked for, until cancelled: a desk that nobody asks does not load what compiles them."""
        await self._asked.wait()
        module = await asyncio.to_thread(import_module, "tercel.api.predictions")
        async with module.Forecasts(self.board.run_folder) as self.forecasts:
            self._ready.set()
            await self.forecasts.care()

    async def predictions(self, request: Request) -> Response:
        """What a registered model (`model`; default: the session's) says at the last `periods` (100) bars of recorded history by `end`."""
        model, periods, end = (request.query_params.get(name) for name in ("model", "periods", "end"))
        self._asked.set()
        try:
            if periods is not None and not (periods.isascii() and periods.isdigit()):
                raise ConfigError(f"predictions: periods: expected 1 to 100, found {periods!r}")
            async with asyncio.timeout(FIRST_S_MAX):
                await self._ready.wait()
            assert self.forecasts is not None
            return json_answer(await self.forecasts.answer(request.path_params["symbol"], model, int(periods or 100), end))
        except ConfigError as error:
            return failure(error, 400)
        except (TercelError, TimeoutError) as error:
            return failure(str(error) or "the prediction was not there in time; ask again", 503)

    async def latency(self, request: Request) -> Response:
        """Every stage of the trader and every part of the predictions asked of this desk, with budget and times since the start."""
        parts = self.forecasts.parts.views() if self.forecasts is not None else []
        return await self.read(lambda frame, _: {"stages": stage_views(frame), "predictions": parts}, request)

    async def health(self, request: Request) -> Response:
        """200 when the trader lives, publishes and has fresh data; 503 otherwise; each part by name."""
        board = self.board.newest()
        frame, now = board.frame, wall_ns()
        published = frame is not None and now - int(frame.status["wall_ns"]) < STALE_NS
        data_age = (int(frame.status["data_age_ns"]) + now - int(frame.status["wall_ns"])) / 1e9 if frame is not None else None
        checks = {
            "trader": board.alive,
            "live_view": published and not board.problem,
            "data_fresh": data_age is not None and data_age < STALE_NS / NS_PER_S,
            "not_halted": frame is not None and not frame.status["halted"] and not board.control.killed,
            "journal": not board.journal_problem,
        }
        healthy = all(checks.values())
        detail = {"healthy": healthy, "checks": checks, "data_age_s": data_age, "problem": board.problem or board.journal_problem}
        return json_answer(detail, 200 if healthy else 503)

    async def halt(self, request: Request) -> Response:
        """Set the kill flag and wait for the trader's answer. 202: the flag is set, the trader did not answer or is not running."""
        try:
            body = msgspec.json.decode(await body_of(request) or b"{}", type=HaltBody)
        except (msgspec.MsgspecError, DataError):
            body = HaltBody("halted over HTTP, reason unreadable")  # a halt is never refused for its wording
        return await self._ask(ControlClient.halt, body.why, request, absent=202)

    async def resume(self, request: Request) -> Response:
        """Ask the trader to trade again; the body must carry the typed confirmation."""
        try:
            body = msgspec.json.decode(await body_of(request), type=ResumeBody)
        except (msgspec.MsgspecError, DataError) as error:
            return failure(f'expected {{"confirm": "{RESUME_WORD}"}}: {error}', 400)
        if body.confirm != RESUME_WORD:
            return failure(f"to resume, type {RESUME_WORD}", 400)
        return await self._ask(ControlClient.resume, body.why, request, absent=409)

    async def _ask(self, ask: Callable[[ControlClient, str], Ack], why: str, request: Request, absent: int) -> Response:
        who = f"page {request.client.host if request.client else ''}"
        client = ControlClient(self.board.run_folder, who)
        try:
            ack = await asyncio.to_thread(ask, client, why)  # its wait is bounded by the control client
        except NotRunning as error:
            return json_answer({"state": "not_running", "killed": client.killed, "error": str(error)}, absent)
        except TercelError as error:
            return json_answer({"state": UNANSWERED, "killed": client.killed, "error": str(error)}, 503)
        self.board.refresh(wall_ns())
        return json_answer({**msgspec.to_builtins(ack), "killed": client.killed}, 202 if ack.state == UNANSWERED else 200)


def positions(frame: LiveFrame, _: Request) -> dict[str, Any]:
    """Instruments with a position, cash or an open order, and sums per currency."""
    touched = [slot for slot, row in enumerate(frame.instruments) if row["position"] or row["cash_micros"] or row["open_orders"]]
    return {"positions": [instrument_view(frame, slot) for slot in touched], "totals": currency_views(frame)}


def instruments(frame: LiveFrame, _: Request) -> dict[str, Any]:
    """Every instrument in the order of the slots."""
    return {"instruments": [instrument_view(frame, slot) for slot in range(len(frame.instruments))]}


def reasons(frame: LiveFrame, _: Request) -> dict[str, Any]:
    """Why evaluations ended without an order, the most frequent reason first."""
    return {"reasons": reason_views(frame)}


def chart(frame: LiveFrame, request: Request) -> dict[str, Any]:
    """Candles of one symbol, oldest first; DataError when nobody trades it."""
    slot = slot_of(frame, request.path_params["symbol"])
    view = instrument_view(frame, slot)
    count, interval_ms = int(frame.instruments["candles"][slot]), int(frame.status["candle_ns"]) / 1e6
    return {"symbol": view.name, "interval_ms": interval_ms, "count": count, "candles": candle_rows(frame, slot)}
