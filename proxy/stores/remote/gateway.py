"""One gateway's attach port: requests, and what their failures mean."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from proxy.egress.client import EgressClient, EgressRequest, EgressResponse
from proxy.errors import (
    OutcomeUnknown,
    Refused,
    StoreRejected,
    StoreUnavailable,
    UpstreamFailed,
)

DEADLINE_S = 2.0
JSON_TYPE = {"Content-Type": "application/json"}
_FOR_GOOD = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class Gateway:
    """Asks with the sidecar's token. Whatever is not an answer is StoreUnavailable.

    `token` gives the token as it is now, at every request: those of a pod are renewed while it
    runs. It may raise StoreUnavailable.
    """

    def __init__(self, http: EgressClient, url: str, token: Callable[[], str]) -> None:
        self._http = http
        self._url = url.rstrip("/") + "/attach/v1/"
        self._token = token

    async def post(self, path: str, body: bytes, timeout_s: float = DEADLINE_S) -> bytes:
        """Return the body of a 200. Raises StoreUnavailable, or Refused when that is the answer."""
        request = EgressRequest(
            "POST", self._url + path, self._headers() | JSON_TYPE, body, timeout_s
        )
        return await self._send(request)

    async def bundle(self, known: str, timeout_s: float) -> tuple[str, bytes]:
        """Return the policy's revision and archive; nothing of one that is known.

        Raises StoreUnavailable.
        """
        headers = self._headers() | ({"If-None-Match": f'"{known}"'} if known else {})
        request = EgressRequest("GET", self._url + "bundle", headers, timeout_s=timeout_s)
        answer = await self._answer(request)
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return known, b""
        body = answered(answer.status, answer.body)
        return answer.headers.get("ETag", "").strip('"'), body

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}

    async def _send(self, request: EgressRequest) -> bytes:
        answer = await self._answer(request)
        return answered(answer.status, answer.body)

    async def _answer(self, request: EgressRequest) -> EgressResponse:
        try:
            return await self._http.request(request, lambda: None)
        except (UpstreamFailed, OutcomeUnknown) as error:
            raise StoreUnavailable(f"The gateway cannot be asked: {error}.") from error


def answered(status: int, body: bytes) -> bytes:
    """Return the body of a 200; raise what any other answer means.

    Raises Refused, StoreUnavailable, and StoreRejected for what is wrong in itself.
    """
    if status == HTTPStatus.OK:
        return body
    code = _code(body)
    if code in ("agent-locked", "too-many-sessions"):
        raise Refused.because(code)
    kind = StoreRejected if status in _FOR_GOOD else StoreUnavailable
    raise kind(f"The gateway refused: {status} {code}.")


def _code(body: bytes) -> str:
    """Return the code of a problem document (RFC 9457)."""
    try:
        problem: Any = json.loads(body)
    except ValueError:
        return ""
    return str(problem.get("code", "")) if isinstance(problem, dict) else ""
