from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.attached import Attached
from tests.harness.attached import attached as serve


@pytest.fixture
async def attached(tmp_path: Path) -> AsyncIterator[Attached]:
    async with serve(tmp_path) as gateway:
        yield gateway
