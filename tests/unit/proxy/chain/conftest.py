from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.recovering import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "ledger" / "detent.db")
    yield bench
    await bench.recovery.stop()
    await bench.store.close()
