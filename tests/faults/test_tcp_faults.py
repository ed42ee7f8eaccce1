"""The network that fails: what it holds, delays, resets, and what comes through afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.harness.tcp_faults import (
    CUT_OFF,
    HEALTHY,
    REPLIES_LOST,
    REQUESTS_LOST,
    RESET,
    FaultyLink,
    slow,
)

PATIENCE_S = 0.1


class Echo:
    """A server that answers with what it got, and remembers it."""

    def __init__(self) -> None:
        self.got = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while part := await reader.read(1_000):
            self.got += part
            writer.write(part)
        writer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[FaultyLink, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        async with FaultyLink(server.sockets[0].getsockname()[1]) as link:
            yield link, echo
    finally:
        for writer in echo.writers:
            writer.close()
        server.close()


@asynccontextmanager
async def client(
    link: FaultyLink,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def says(reader: asyncio.StreamReader) -> bytes:
    """Return what comes within a moment, nothing if nothing does."""
    try:
        return await asyncio.wait_for(reader.read(1_000), PATIENCE_S)
    except TimeoutError:
        return b""


@pytest.mark.parametrize(
    ("fault", "reaches"), [(CUT_OFF, b""), (REQUESTS_LOST, b""), (REPLIES_LOST, b"hello")]
)
async def test_what_is_held_is_delivered_when_the_network_is_mended(
    fault: object, reaches: bytes
) -> None:
    """In either direction; the connection stays open meanwhile."""
    async with linked() as (link, echo), client(link) as (reader, writer):
        link.set(fault)  # type: ignore[arg-type] # one of the three above
        writer.write(b"hello")
        assert await says(reader) == b""
        assert echo.got == reaches
        link.set(HEALTHY)
        assert await reader.readexactly(5) == b"hello"


async def test_a_connection_made_during_a_partition_waits() -> None:
    """It is neither refused nor answered."""
    async with linked() as (link, echo):
        link.set(CUT_OFF)
        async with client(link) as (reader, writer):
            writer.write(b"hello")
            assert (await says(reader), echo.writers) == (b"", [])
            link.set(HEALTHY)
            assert await reader.readexactly(5) == b"hello"


async def test_a_delay_counts_each_way_and_does_not_add_up() -> None:
    """What is sent together arrives together."""
    async with linked() as (link, _), client(link) as (reader, writer):
        writer.write(b"-")
        await reader.readexactly(1)
        link.set(slow(0.1))
        began = time.monotonic()
        for part in (b"a", b"b", b"c"):
            writer.write(part)
            await asyncio.sleep(0.01)
        assert await reader.readexactly(3) == b"abc"
        assert 0.2 <= time.monotonic() - began < 0.4


async def test_a_reset_breaks_connections_and_refuses_new_ones() -> None:
    """Until it is mended."""
    async with linked() as (link, _), client(link) as (reader, writer):
        writer.write(b"-")
        await reader.readexactly(1)
        link.set(RESET)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        async with client(link) as (again, _):
            with pytest.raises(ConnectionResetError):
                await again.read()
        link.set(HEALTHY)
        async with client(link) as (mended, anew):
            anew.write(b"hello")
            assert await mended.readexactly(5) == b"hello"


async def test_the_end_of_a_connection_passes() -> None:
    """A client that has said everything is answered to the end."""
    async with linked() as (link, echo), client(link) as (reader, writer):
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.write_eof()
        assert await reader.read() == b""
        assert echo.got == b"hello"


async def test_nobody_behind_it_is_a_connection_that_breaks() -> None:
    """As when a process is gone."""
    async with linked() as (link, echo):
        async with client(link) as (reader, writer):
            writer.write(b"-")
            await reader.readexactly(1)
        link._target_port = 1
        async with client(link) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read()
        assert echo.got == b"-"
