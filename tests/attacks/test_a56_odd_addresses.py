"""A56: a configured server spelled or resolved so that it reaches where nobody may go."""

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import EgressRefused

METADATA = [
    "http://169.254.169.254/latest",
    "https://169.254.169.254",
    "http://[::ffff:169.254.169.254]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[2002:a9fe:a9fe::1]",
    "http://[fd00:ec2::254]",
    "http://[fe80::1]",
    "http://0.0.0.0",
]
PRIVATE = [
    "https://127.0.0.1",
    "https://10.0.0.1",
    "https://100.64.0.1",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
]
SPELLINGS = [
    "https://127.1",
    "https://0x7f.0.0.1",
    "https://2130706433",
    "https://0177.0.0.1",
    "https://127\u30020\u30020\u30021",
    "https://localhost.",
    "https://api.example.com@127.0.0.1",
    "https://api.example.com\\@127.0.0.1",
    "https://api.example.com%2f@127.0.0.1",
    "https://api.example.com#@127.0.0.1",
]


@pytest.mark.parametrize("url", METADATA)
async def test_metadata_is_out_of_reach_whatever_is_allowed(url: str) -> None:
    """allow_private does not open link-local and metadata addresses, wrapped or not."""
    with pytest.raises(EgressRefused):
        EgressClient(url, AddressPolicy(allow_private=True))


@pytest.mark.parametrize("url", PRIVATE)
async def test_private_addresses_need_permission(url: str) -> None:
    """A server may be private only if its own configuration says so."""
    with pytest.raises(EgressRefused):
        EgressClient(url, AddressPolicy())


@pytest.mark.parametrize("url", SPELLINGS)
async def test_odd_spellings_are_not_read(url: str) -> None:
    """What two parsers may read differently is refused, also where private is allowed."""
    with pytest.raises(EgressRefused):
        EgressClient(url, AddressPolicy(allow_private=True))
