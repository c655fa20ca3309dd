"""A proxy that stands between a client and a server and can delay, swallow or cut what passes."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

Address = tuple[str, int]


class Proxy:
    """Listens on a port of its own and passes on to `target`. Use inside `async with`."""

    def __init__(self, target: Address) -> None:
        self.target, self.delay_s, self.swallow = target, 0.0, False
        self.address: Address = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = ("127.0.0.1", int(self._server.sockets[0].getsockname()[1]))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection that is open now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            onward = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, onward[1]}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward[1]))
                group.create_task(self._pass(onward[0], writer))
        except asyncio.CancelledError:
            pass  # the proxy ends: asyncio would complain of a handler that was cancelled
        finally:
            for one in (writer, onward[1]):
                self._writers.discard(one)
                one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                while self.swallow:
                    await asyncio.sleep(0.01)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        writer.close()
