import json
from collections.abc import AsyncIterator

import pytest

from credentials.key_cache import KeysUnavailable
from proxy.egress.addresses import AddressPolicy
from proxy.egress.key_set import MAX_BYTES, KeySetClient
from proxy.errors import EgressRefused
from tests.harness.issuer import Issuer

LOCAL = AddressPolicy(allow_private=True)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that is up."""
    issuer = await Issuer().start()
    yield issuer
    await issuer.stop()


@pytest.fixture
async def client(issuer: Issuer) -> AsyncIterator[KeySetClient]:
    """What fetches its keys; a query is part of the URL."""
    client = KeySetClient(f"{issuer.jwks_uri}?p=agents", LOCAL)
    yield client
    await client.close()


async def test_the_document_is_fetched_each_time(issuer: Issuer, client: KeySetClient) -> None:
    """As it is served."""
    for _ in range(2):
        assert json.loads(await client.fetch()) == issuer.jwks()
    assert issuer.asked == 2


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_any_other_status_is_no_key_set(
    issuer: Issuer, client: KeySetClient, status: int
) -> None:
    """A redirect is not followed."""
    issuer.status = status
    with pytest.raises(KeysUnavailable, match=f"it answers {status}"):
        await client.fetch()
    assert issuer.asked == 1


async def test_a_huge_answer_is_cut(issuer: Issuer, client: KeySetClient) -> None:
    """Nobody needs that many keys."""
    issuer.document = b" " * (MAX_BYTES + 1)
    with pytest.raises(KeysUnavailable, match="larger than"):
        await client.fetch()


async def test_an_issuer_that_is_gone_is_unavailable(issuer: Issuer, client: KeySetClient) -> None:
    """The text holds no address."""
    await issuer.stop()
    with pytest.raises(KeysUnavailable, match="cannot be reached") as unavailable:
        await client.fetch()
    assert "127.0.0.1" not in str(unavailable.value)


async def test_closing_without_a_fetch_does_nothing() -> None:
    """No connection was made for it."""
    await KeySetClient("https://idp.example/jwks", AddressPolicy()).close()


@pytest.mark.parametrize(
    "url",
    ["http://idp.example/jwks", "https://10.0.0.1/jwks", "https://user@idp.example/", "jwks", ""],
)
def test_an_address_that_is_not_admitted_is_refused(url: str) -> None:
    """When it is configured, not when it is needed."""
    with pytest.raises(EgressRefused):
        KeySetClient(url, AddressPolicy())
