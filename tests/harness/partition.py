"""A network between two processes that can be cut: what is sent then waits, nobody is told."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Self


class Link:
    """Listens on a free port of 127.0.0.1 and passes everything on to another."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._up = asyncio.Event()
        self._up.set()
        self._server: asyncio.Server | None = None
        self._ways: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    def cut(self) -> None:
        """Deliver nothing more, in either direction, and close nothing."""
        self._up.clear()

    def mend(self) -> None:
        """Deliver again, beginning with what has waited."""
        self._up.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._join(reader, writer))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._ways.add(task)
        task.add_done_callback(self._ways.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._up.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        self._start(self._pass_on(reader, far_writer))
        self._start(self._pass_on(far_reader, writer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while part := await source.read(65_536):
                    await self._up.wait()
                    sink.write(part)
                    await sink.drain()
        finally:
            sink.close()
