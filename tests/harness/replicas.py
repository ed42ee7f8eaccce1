"""Several stores on one PostgreSQL database, as so many gateways would have."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from proxy.stores.postgres import PostgresStore
from tests.harness.postgres import store_at


@asynccontextmanager
async def replicas(url: str, count: int) -> AsyncIterator[list[PostgresStore]]:
    """Open so many stores; close them whatever happens."""
    async with AsyncExitStack() as held:
        stores = []
        for _ in range(count):
            store = store_at(url)
            await store.open()
            held.push_async_callback(store.close)
            stores.append(store)
        yield stores
