"""A58: a server answers with a redirect, to have the call and its credential sent elsewhere."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressRequest
from tests.harness.certificates import make_certificates
from tests.harness.reached import Reached
from tests.harness.wire import Received, Wire, answer

STATUSES = [300, 301, 302, 303, 304, 305, 307, 308]
PLACES = {
    "the same server": "{own}/elsewhere",
    "the same path": "/write",
    "another server": "{other}/write",
    "another server without a scheme": "//{other_host}/write",
    "a server with userinfo": "http://{own_host}@{other_host}/write",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "a file": "file:///etc/passwd",
}
KEY = {"X-Api-Key": "lent", "Authorization": "Bearer lent"}


@pytest.fixture
async def other() -> AsyncIterator[Wire]:
    """Where the redirects point."""
    async with Wire() as wire:
        yield wire


def redirecting(status: int, location: str, **fields: str) -> object:
    async def redirect(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"{}", status, location=location, **fields))

    return redirect


def place(template: str, own: Wire, other: Wire) -> str:
    hosts = {"own_host": f"127.0.0.1:{own.port}", "other_host": f"127.0.0.1:{other.port}"}
    return template.format(own=own.url, other=other.url, **hosts)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("template", PLACES.values(), ids=PLACES)
async def test_a_redirect_is_not_followed(
    reached: Reached, other: Wire, status: int, template: str
) -> None:
    """One request with one credential, no other connection, and no success for the agent."""
    reached.on_call = redirecting(status, place(template, reached.wire, other))  # type: ignore[assignment]  # a handler
    before = reached.wire.connections
    assert await reached.outcome(headers=KEY) in {"error", "failed", "unknown"}
    assert len(reached.calls) == 1
    assert reached.calls[0].header("x-api-key") == "lent"
    assert other.connections == 0
    assert reached.wire.connections <= before + 1


@pytest.mark.parametrize(
    "fields",
    [
        {"refresh": "0; url={other}"},
        {"content_location": "{other}/write"},
        {"alt_svc": 'h2="{other_host}"'},
        {"link": "<{other}>; rel=canonical"},
    ],
    ids=lambda fields: str(*fields),
)
async def test_no_other_header_leads_elsewhere(
    reached: Reached, other: Wire, fields: dict[str, str]
) -> None:
    """Nor the next call of the same tool."""
    (named,) = fields.items()
    header = {named[0]: place(named[1], reached.wire, other)}
    reached.on_call = redirecting(200, "", **header)  # type: ignore[assignment]  # a handler
    for _ in range(2):
        await reached.outcome(headers=KEY)
    assert (len(reached.calls), other.connections) == (2, 0)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_tls_is_not_left(tmp_path: Path, other: Wire, status: int) -> None:
    """A downgrade to plain text is one redirect more that is not followed."""
    authority, server = make_certificates(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    handler = redirecting(status, other.url)
    async with Wire(handler, context) as wire:  # type: ignore[arg-type]  # a handler
        url = f"https://localhost:{wire.port}"
        client = EgressClient(url, AddressPolicy(allow_private=True), None, str(authority))
        given = EgressRequest("POST", url + "/write", KEY, b"{}", timeout_s=5)
        assert (await client.request(given, lambda: None)).status == status
        await client.close()
    assert other.connections == 0
