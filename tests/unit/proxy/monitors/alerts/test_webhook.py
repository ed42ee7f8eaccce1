import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from proxy.errors import AlertNotDelivered
from proxy.model.finding import Alert, Severity
from proxy.monitors.alerts import webhook
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.monitors.alerts.webhook import WebhookSink, verify, webhook_secret
from proxy.observability.metrics import Metrics
from proxy.stores.sqlite.store import SqliteStore
from tests.harness.wire import Received, Wire, answer

SECRET = b"0123456789abcdef01234567"
NOW = 1_795_000_000.0
ALERT = Alert(
    id="alr_1",
    at=datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC),
    kind="canary",
    severity=Severity.CRITICAL,
    message='The call touched "bait".',
    tenant="acme",
    agent="loop",
    step_id="stp_1",
)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Wire]:
    async with Wire() as receiver:
        yield receiver


def headers_of(received: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in received.headers}


async def test_an_alert_arrives_signed(receiver: Wire, http: httpx.AsyncClient) -> None:
    """A receiver that follows Standard Webhooks can trust it, with the alert's own id."""
    await WebhookSink(f"{receiver.url}/hook", SECRET, http).deliver(ALERT)
    [request] = receiver.requests
    headers = headers_of(request)
    assert request.line == "POST /hook HTTP/1.1"
    assert headers["webhook-id"] == "alr_1"
    assert headers["content-type"] == "application/json"
    assert verify(headers, request.body, SECRET, 60, time.time())


async def test_the_body_says_what_happened(receiver: Wire, http: httpx.AsyncClient) -> None:
    """Type, time and data as the standard has them; what is empty is left out."""
    await WebhookSink(receiver.url, SECRET, http).deliver(ALERT)
    assert json.loads(receiver.requests[0].body) == {
        "type": "detent.canary",
        "timestamp": "2026-11-22T12:00:00.123+00:00",
        "data": {
            "id": "alr_1",
            "severity": "critical",
            "message": 'The call touched "bait".',
            "tenant": "acme",
            "agent": "loop",
            "step_id": "stp_1",
        },
    }


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_is_delivered(receiver: Wire, http: httpx.AsyncClient, status: int) -> None:
    """Receivers answer as they like."""

    async def reply(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status))

    receiver.handler = reply
    await WebhookSink(receiver.url, SECRET, http).deliver(ALERT)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500, 503])
async def test_anything_else_is_not_delivered(
    receiver: Wire, http: httpx.AsyncClient, status: int
) -> None:
    """A redirect is not followed, wherever it points and whatever the client would do."""
    http.follow_redirects = True

    async def reply(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status, location=f"{receiver.url}/elsewhere"))

    receiver.handler = reply
    with pytest.raises(AlertNotDelivered, match=str(status)):
        await WebhookSink(receiver.url, SECRET, http).deliver(ALERT)
    assert len(receiver.requests) == 1


async def test_a_receiver_that_says_nothing_is_given_up(
    receiver: Wire, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit covers the whole exchange, so dripping bytes does not stretch it."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)

    async def drip(_: Received, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" * 10:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.05)

    receiver.handler = drip
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await WebhookSink(receiver.url, SECRET, http).deliver(ALERT)
    assert time.monotonic() - started < 1


async def test_an_endless_answer_is_not_read(receiver: Wire, http: httpx.AsyncClient) -> None:
    """The status is enough."""

    async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()

    receiver.handler = endless
    async with asyncio.timeout(2):
        await WebhookSink(receiver.url, SECRET, http).deliver(ALERT)


async def test_a_receiver_that_is_down_is_an_error(receiver: Wire, http: httpx.AsyncClient) -> None:
    """The loop sees an exception and tries again."""
    async with Wire() as gone:
        url = gone.url
    with pytest.raises(httpx.ConnectError):
        await WebhookSink(url, SECRET, http).deliver(ALERT)


async def test_a_receiver_down_then_up_gets_one_id_soon(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Through outbox, loop and sink: the alert waits for its receiver, signed at every try."""
    async with Wire() as gone:
        port = gone.port
    store = SqliteStore(tmp_path / "detent.db")
    await store.open()
    sink = WebhookSink(f"http://127.0.0.1:{port}/", SECRET, http)
    delivery = AlertDelivery(store, [sink], Metrics("1"))
    loop = asyncio.create_task(delivery.run())
    try:
        await delivery.raise_alert(ALERT)
        await asyncio.sleep(0.7)
        async with Wire(port=port) as back:
            await back.until(1)
            await asyncio.sleep(0.3)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await store.close()
    assert [headers_of(request)["webhook-id"] for request in back.requests] == ["alr_1"]
    assert verify(headers_of(back.requests[0]), back.requests[0].body, SECRET, 60, time.time())


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://example.test/", SECRET[:-1]),
        ("https://example.test/", b""),
        ("ftp://example.test/", SECRET),
        ("file:///etc/passwd", SECRET),
        ("https://", SECRET),
        ("example.test", SECRET),
    ],
)
def test_a_bad_url_or_a_short_secret_is_refused(url: str, secret: bytes) -> None:
    """Before anything is sent; the secret is not told."""
    with pytest.raises(ValueError, match="webhook") as raised:
        WebhookSink(url, secret, httpx.AsyncClient())
    assert not secret or secret.decode() not in str(raised.value)


def test_the_sink_hides_path_and_secret() -> None:
    """The name is logged; paths of chat webhooks are secrets."""
    sink = WebhookSink("https://example.test/services/T0/B0/xyz", SECRET, httpx.AsyncClient())
    assert sink.name == "webhook example.test"
    assert "xyz" not in repr(sink)


def signed(timestamp: str = str(int(NOW)), body: bytes = b"{}") -> dict[str, str]:
    """Sign as another implementation of the standard would."""
    text = b"alr_1." + timestamp.encode() + b"." + body
    digest = hmac.new(SECRET, text, hashlib.sha256).digest()
    return {
        "webhook-id": "alr_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def test_a_foreign_signature_of_the_same_standard_is_genuine() -> None:
    """Also beside others in the header, as during a change of keys."""
    headers = signed()
    assert verify(headers, b"{}", SECRET, 300, NOW)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']} v1a,BBBB"
    assert verify(headers, b"{}", SECRET, 300, NOW)


FORGERIES: list[tuple[dict[str, str], bytes, bytes, float]] = [
    ({}, b"{ }", SECRET, NOW),
    ({}, b"{}", SECRET[::-1], NOW),
    ({"webhook-id": "alr_2"}, b"{}", SECRET, NOW),
    ({"webhook-id": ""}, b"{}", SECRET, NOW),
    ({"webhook-timestamp": str(int(NOW) + 1)}, b"{}", SECRET, NOW),
    ({"webhook-timestamp": ""}, b"{}", SECRET, NOW),
    ({"webhook-timestamp": "-1"}, b"{}", SECRET, NOW),
    ({"webhook-timestamp": "9" * 5_000}, b"{}", SECRET, NOW),
    ({"webhook-timestamp": "\N{FULLWIDTH DIGIT ONE}" * 10}, b"{}", SECRET, NOW),
    ({"webhook-signature": ""}, b"{}", SECRET, NOW),
    ({"webhook-signature": "v1,"}, b"{}", SECRET, NOW),
    ({"webhook-signature": "v1,é"}, b"{}", SECRET, NOW),
    ({"webhook-signature": "v2," + signed()["webhook-signature"][3:]}, b"{}", SECRET, NOW),
    ({}, b"{}", SECRET, NOW + 301),
    ({}, b"{}", SECRET, NOW - 301),
]


@pytest.mark.parametrize(("change", "body", "secret", "now"), FORGERIES)
def test_a_forged_old_or_future_webhook_is_refused(
    change: dict[str, str], body: bytes, secret: bytes, now: float
) -> None:
    """Every part is signed, and a recording does not keep."""
    assert not verify(signed() | change, body, secret, 300, now)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(missing: str) -> None:
    """No header is optional."""
    headers = signed()
    del headers[missing]
    assert not verify(headers, b"{}", SECRET, 300, NOW)


def test_a_secret_is_read_in_both_forms() -> None:
    """`whsec_` and base64 as other tools print it, or plain text with its line end."""
    assert webhook_secret("whsec_" + base64.b64encode(SECRET).decode() + "\n") == SECRET
    plain = "whsec-but-not-that-form-and-long"
    assert webhook_secret(f"{plain}\n") == plain.encode()
    with pytest.raises(ValueError, match="base64"):
        webhook_secret("whsec_not*base64")


@pytest.mark.parametrize("short", ["x" * 31, "whsec-x", ""])
def test_a_short_secret_is_none(short: str) -> None:
    """It could be guessed, and alerts forged with it; the message does not repeat it."""
    with pytest.raises(ValueError, match="at least") as refused:
        webhook_secret(short)
    assert not short or short not in str(refused.value)
