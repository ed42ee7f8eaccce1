"""Three replicas on one database."""

from collections.abc import AsyncIterator

import pytest

from proxy.stores.postgres import PostgresStore
from tests.harness.postgres import Server
from tests.harness.replicas import replicas


@pytest.fixture
def url(postgres: Server) -> str:
    """A new ledger."""
    return postgres.new()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[PostgresStore]]:
    """Three that share it."""
    async with replicas(url, 3) as opened:
        yield opened
