"""A server that says nothing outside of calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.model.mcp import Notification


@asynccontextmanager
async def silence() -> AsyncIterator[AsyncIterator[Notification]]:
    """Yield an iterator that waits for as long as somebody listens."""
    yield _nothing()


async def _nothing() -> AsyncIterator[Notification]:
    await asyncio.Event().wait()
    yield Notification("", b"{}")  # makes this a generator; never reached
