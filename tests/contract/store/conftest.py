"""Every store passes this suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.model.session import Session
from proxy.stores.base import Store
from tests.harness.ledger import session
from tests.harness.stores import STORES, Place, Places


@pytest.fixture(params=sorted(STORES))
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    return Places(request.param, tmp_path, request)


@pytest.fixture
def place(places: Places) -> Place:
    return places.new()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    opened = place.store()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def opened(store: Store) -> Session:
    """A session that is open in the store."""
    return await store.open_session(session(), "a" * 64, 10)
