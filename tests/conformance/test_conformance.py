"""The official conformance suite: our server scores everything, and the gateway loses nothing.

Needs the suite and a Node; `make conformance` and `make test` install both where npm is.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conformance.compare import differences
from tests.conformance.places import fixture, gateway_before
from tests.conformance.suite import REVISIONS, score
from tests.harness.node import SUITE, NotInstalled, command

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("revision", REVISIONS),
    pytest.mark.timeout(600),  # two runs of the suite, and a busy machine
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, str]]:
    """Where the server is, and where it is behind the gateway."""
    try:
        command(SUITE)
    except NotInstalled as missing:
        pytest.skip(str(missing))
    async with (
        fixture() as direct,
        gateway_before(direct, tmp_path_factory.mktemp("gateway")) as (through, _),
    ):
        yield direct, through


async def test_every_point_is_made_and_no_check_differs(
    urls: tuple[str, str], revision: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Direct and through the gateway, check by check."""
    results = tmp_path_factory.mktemp("results")
    direct = await score(urls[0], revision, results / "direct")
    through = await score(urls[1], revision, results / "through")
    assert direct.failed == []
    found = [str(one) for one in differences(direct, through)]
    assert not found, "\n".join(found)
