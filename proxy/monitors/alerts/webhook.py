"""Alerts as signed webhooks (Standard Webhooks, specification 1.0.0)."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from proxy.errors import AlertNotDelivered
from proxy.model.finding import Alert

MIN_SECRET_BYTES = 24
TIMEOUT_S = 5.0

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
MIN_TEXT_CHARS = 32  # of one's own, which is seldom all chance
_SERIALIZED = "whsec_"


class HttpResponse(Protocol):
    """The part of a response that counts; the body is never read."""

    @property
    def status_code(self) -> int:
        """HTTP status."""
        ...


class HttpClient(Protocol):
    """What is needed of `httpx.AsyncClient`; make it with `trust_env=False`."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        follow_redirects: bool,
    ) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request; inside the block the status is known."""
        ...


class WebhookSink:
    """Posts each alert to one URL, signed with a shared secret of at least 24 bytes.

    The body is `{"type", "timestamp", "data": {…}}`; `webhook-id` is the alert's id, the same at
    every try, so that a receiver can drop repeats. Raises ValueError for a short secret or a URL
    that is not http(s).
    """

    def __init__(self, url: str, secret: bytes, http: HttpClient) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a webhook needs an http or https URL")
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a webhook secret needs at least {MIN_SECRET_BYTES} bytes")
        self.name = f"webhook {parts.hostname}"
        self._url = url
        self._secret = secret
        self._http = http

    async def deliver(self, alert: Alert) -> None:
        """Post once, five seconds at most; any 2xx is delivered, a redirect is not followed.

        Raises AlertNotDelivered, TimeoutError, or an error of the client.
        """
        body = _body(alert)
        timestamp = str(int(datetime.now(UTC).timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "detent",
            "webhook-id": alert.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": _signature(self._secret, alert.id, timestamp, body),
        }
        async with (
            asyncio.timeout(TIMEOUT_S),
            self._http.stream(
                "POST", self._url, content=body, headers=headers, follow_redirects=False
            ) as response,
        ):
            status = response.status_code
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise AlertNotDelivered(f"the receiver answered {status}")


def verify(
    headers: Mapping[str, str], body: bytes, secret: bytes, tolerance_s: float, now: float
) -> bool:
    """Whether a webhook is genuine and fresh: what a receiver has to check.

    `headers` with lower-case names; `body` as received, before any parsing; `now` in seconds since
    the epoch. A receiver must also remember each `webhook-id` for `tolerance_s` seconds and drop
    repeats.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or _TIMESTAMP.fullmatch(timestamp) is None:
        return False
    if abs(now - int(timestamp)) > tolerance_s:
        return False
    expected = _signature(secret, message_id, timestamp, body).encode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, each.encode()) for each in given)


def webhook_secret(text: str) -> bytes:
    """Return the key of a secret in text: `whsec_` and base64, or the text's own bytes.

    Raises ValueError for broken base64, and for a text of less than 32 characters.
    """
    text = text.strip()
    if not text.startswith(_SERIALIZED):
        if len(text) < MIN_TEXT_CHARS:
            least = f"a webhook secret has at least {MIN_TEXT_CHARS} characters"
            raise ValueError(f"{least}: `openssl rand -hex 32`")
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_SERIALIZED), validate=True)
    except binascii.Error:
        raise ValueError(
            f"what follows {_SERIALIZED} in a webhook secret is not base64; copy it again"
        ) from None


def _signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body)
    digest = hmac.digest(secret, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _body(alert: Alert) -> bytes:
    data = {
        "id": alert.id,
        "severity": alert.severity,
        "message": alert.message,
        "tenant": alert.tenant,
        "agent": alert.agent,
        "session_id": alert.session_id,
        "step_id": alert.step_id,
    }
    document = {
        "type": f"detent.{alert.kind}",
        "timestamp": alert.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "data": {name: value for name, value in data.items() if value},
    }
    return json.dumps(document, separators=(",", ":")).encode()
