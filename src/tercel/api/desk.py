"""The desk process: the page at `/`, REST below `/api`, the stream at `/ws`. `python -m tercel.api.desk --account NAME --port P`.

It reads shared memory and the journal and asks through the control block; if it dies, the trader does not notice. It runs at a lower
priority than the trader. HALT is one POST and needs nothing but the control block.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import mimetypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from tercel.api.guard import Guard
from tercel.api.handlers import Desk, instruments, positions, reasons
from tercel.api.ports import PORT, free_port
from tercel.base.errors import TercelError
from tercel.base.paths import run_dir, session_dir
from tercel.observe.live import LiveFrame

NICE: Final = 5
CONNECTIONS_MAX: Final = 2_048  # the next one waits until another closes
DESCRIPTORS_BESIDE: Final = 256  # of files, maps and sockets of the desk's own
log: Final = logging.getLogger("tercel.desk")


def static_routes() -> list[Route]:
    """The page and its files, read once; a browser asks whether they changed and is answered by their hash."""
    routes = []
    for path in sorted((Path(__file__).parent / "static").iterdir()):
        data = path.read_bytes()
        kind = {".js": "text/javascript"}.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers = {"etag": f'"{hashlib.sha256(data).hexdigest()[:16]}"', "cache-control": "no-cache"}
        address = "/" if path.name == "index.html" else f"/static/{path.name}"
        routes.append(Route(address, partial(_static, data, kind, headers)))
    return routes


async def _static(data: bytes, kind: str, headers: dict[str, str], request: Request) -> Response:
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(None, 304, headers)
    return Response(data, 200, headers, kind)


def application(run_folder: Path, journal_folder: Path) -> Starlette:
    """The ASGI application of one account; its lifespan owns the refresh loop."""
    desk = Desk(run_folder, journal_folder)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with desk.past, asyncio.TaskGroup() as group:
            loops = [group.create_task(task) for task in (desk.hub.run(), desk.past.care(), desk.foresee())]
            for loop in loops:
                loop.add_done_callback(_stop_when_failed)
            yield
            for loop in loops:
                loop.cancel()

    def reading(make: Callable[[LiveFrame, Request], object]) -> Callable[[Request], Any]:
        return partial(desk.read, make)

    routes = [
        Route("/api/status", desk.status),
        Route("/api/health", desk.health),
        Route("/api/orders", desk.orders.read),
        Route("/api/orders", desk.orders.give, methods=["POST"]),
        Route("/api/signals/current", desk.signals),
        Route("/api/instruments", reading(instruments)),
        Route("/api/positions", reading(positions)),
        Route("/api/latency", desk.latency),
        Route("/api/reasons", reading(reasons)),
        Route("/api/historical/chart-data/{symbol}", desk.chart),
        Route("/api/predictions/{symbol}", desk.predictions),
        Route("/api/halt", desk.halt, methods=["POST"]),
        Route("/api/resume", desk.resume, methods=["POST"]),
        WebSocketRoute("/ws", desk.hub.serve),
    ]
    return Starlette(routes=[*static_routes(), *routes], middleware=[Middleware(Guard)], lifespan=lifespan)


def _stop_when_failed(task: asyncio.Task[None]) -> None:
    """A desk that no longer looks must not go on answering: end the process, say why."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the refresh of the desk failed; the desk stops, the trader is not touched", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def _connections() -> int:
    """How many connections may be open at once: as many as are wanted, or as this process may open."""
    wanted = CONNECTIONS_MAX + DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard > soft):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft) - DESCRIPTORS_BESIDE)


async def _serve(account: str, port: int) -> None:
    chosen, claim = free_port(port)
    url = f"http://127.0.0.1:{chosen}/"
    app = application(run_dir(account), session_dir(account) / "journal")
    server = Server(
        app, address="127.0.0.1", port=chosen, interface=Interfaces.ASGI, http=HTTPModes.http1, log_enabled=False,
        backlog=CONNECTIONS_MAX, backpressure=_connections(),
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    address = run_dir(account) / "desk.url"
    address.write_text(url)
    note = "" if chosen == port else f" (port {port} is taken)"
    log.info("desk of account %s: %s%s", account, url, note)
    try:
        await server.serve()
    finally:
        address.unlink(missing_ok=True)
        os.close(claim)


def serve(account: str, port: int = PORT) -> None:
    """Serve the desk of `account` on the loopback until SIGINT or SIGTERM.

    When the port is taken, the next free one of 20 is used. The address is logged and stands in `desk.url` of the run folder.
    """
    os.nice(NICE)
    asyncio.run(_serve(account, port))


def main() -> None:
    """`python -m tercel.api.desk`."""
    parser = argparse.ArgumentParser(description="Tercel's desk: page, REST and stream of one account")
    parser.add_argument("--account", default="paper")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        serve(options.account, options.port)
    except TercelError as error:
        log.error("error: %s", error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
