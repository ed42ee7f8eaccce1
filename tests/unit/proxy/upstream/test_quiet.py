"""Servers that say nothing outside of calls."""

import asyncio

import pytest

from proxy.upstream.quiet import silence


async def test_silence_lasts_while_somebody_listens() -> None:
    """Nothing comes, and the stream does not end by itself."""
    async with silence() as notifications:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(notifications), 0.01)
