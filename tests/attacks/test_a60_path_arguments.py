"""A60: a path argument that climbs out of its segment: plain, encoded (twice), look-alike."""

import json
from collections.abc import AsyncIterator

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import UpstreamFailed
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.http import HttpUpstream
from proxy.upstream.placement import Placement
from tests.harness.wire import Wire

BINDING = HttpBinding("GET", "/users/{user}/notes/{note}", query=("q",))
READ = ToolManifest("notes", "read", Effect.READ, http=BINDING)

CLIMBING = [
    "../admin",
    "..",
    ".",
    "",
    "%2e%2e%2f",
    "%2e%2e",
    "%252e%252e%252f",
    "..%2f..%2fadmin",
    "..;/admin",
    "..;",
    ";x=1",
    "//evil.example",
    "/",
    "a/b",
    "a%2fb",
    "a\\b",
    "..\\admin",
    "a%5cb",
    "a%00b",
    "a\x00b",
    "a\r\nHost: evil",
    "a\nb",
    "\uff0e\uff0e",
    "\u2025",
    "a\uff0fb",
]
DATA = [
    ("a?admin=1", "a%3Fadmin%3D1"),
    ("a#b", "a%23b"),
    ("a;x=1", "a%3Bx%3D1"),
    ("@evil.example", "%40evil.example"),
    (":8080", "%3A8080"),
    ("100% sure", "100%25%20sure"),
    ("a&b=c", "a%26b%3Dc"),
]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Give the tool's server."""
    async with Wire() as server:
        yield server


@pytest.fixture
async def notes(wire: Wire) -> AsyncIterator[HttpUpstream]:
    """Give an HTTP tool with two path arguments below a base path."""
    client = EgressClient(wire.url + "/v1", AddressPolicy(allow_private=True))
    upstream = HttpUpstream("notes", client, lambda: (READ,))
    yield upstream
    await upstream.stop()


def call(user: str, note: str = "1") -> UpstreamCall:
    arguments = rfc8785.dumps({"note": note, "user": user})
    return UpstreamCall(READ, arguments, 5)


def nothing() -> None:
    """Nothing stands against a call."""


@pytest.mark.parametrize("value", CLIMBING)
async def test_a_climbing_argument_sends_no_byte(
    value: str, wire: Wire, notes: HttpUpstream
) -> None:
    """The call failed before anything left."""
    with pytest.raises(UpstreamFailed):
        await notes.call(call(value), nothing)
    assert wire.bytes_seen == 0


@pytest.mark.parametrize(("value", "segment"), DATA)
async def test_what_is_data_stays_in_its_segment(
    value: str, segment: str, wire: Wire, notes: HttpUpstream
) -> None:
    """The tool receives the template's path, with the value encoded in its place."""
    await notes.call(call(value), nothing)
    assert wire.requests[0].target == f"/v1/users/{segment}/notes/1"


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_text_changes_the_shape_of_the_target(user: str, note: str, query: str) -> None:
    """Whatever is filled in, the path has its five segments and the query its one parameter."""
    placement = Placement(BINDING)
    arguments = json.dumps({"note": note, "q": query, "user": user}, separators=(",", ":")).encode()
    try:
        placed = placement.place(arguments)
    except UpstreamFailed:
        return
    _, users, _, notes, _ = placed.path.split("/")
    assert (users, notes) == ("users", "notes")
    assert placed.query.startswith("q=")
    target = placed.path + placed.query[2:]
    assert not set(target) & set("?#&=;\\ \r\n\0")
    assert target.isascii()
