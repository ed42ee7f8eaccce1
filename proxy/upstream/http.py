"""HTTP tools: one reviewed method and URL template each, called with canonical arguments."""

import base64
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

from proxy.egress.client import EgressClient, EgressRequest, EgressResponse
from proxy.errors import ConfigError, OutcomeUnknown, UpstreamFailed
from proxy.model.json_text import is_json, line_of
from proxy.model.mcp import Notification
from proxy.model.tool import Effect, HttpBinding, Recovery, ToolDefinition, ToolManifest
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.definitions import definitions_of
from proxy.upstream.headers import outgoing
from proxy.upstream.jsonrpc import dumps, loads
from proxy.upstream.placement import Placed, Placement, placement_of
from proxy.upstream.quiet import silence

MAX_RESULT_BYTES = 16 * 1024 * 1024
SHOWN_HEADERS = ("etag", "last-modified", "retry-after")
_SAID_ELSEWHERE = frozenset({301, 304, 307, 308})  # RFC 9110 section 15.4: not done here
log = logging.getLogger(__name__)


class HttpUpstream:
    """The HTTP tools of one server.

    `client` is this server's own and is closed by `stop`. `manifests` gives the reviewed entries of
    this server as they are now; those without an HTTP binding are no tools of it.
    """

    kind = "http"

    def __init__(
        self, name: str, client: EgressClient, manifests: Callable[[], Sequence[ToolManifest]]
    ) -> None:
        self.name = name
        self._client = client
        self._origin = client.origin.url
        self._prefix = client.origin.path.rstrip("/")
        self._manifests = manifests

    async def start(self) -> None:
        """Do nothing: connections are made by calls."""

    async def stop(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return one definition for each manifest: name, description and schema as reviewed.

        A manifest whose binding contradicts itself is logged and left out.
        """
        return definitions_of(
            self.name, (_wire(one, one.http) for one in self._manifests() if one.http)
        )

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        """Make one request. See Upstream.call for `sending` and what is raised.

        A status below 400 or above tells what happened: 2xx done; 4xx and a plain redirect are the
        tool's own failure; 5xx and what else may hide an effect is OutcomeUnknown for a write.
        """
        request = self._request(call)
        response = await self._client.request(request, sending)
        if _ambiguous(response.status, call.manifest.effect):
            raise OutcomeUnknown(f"it answered with status {response.status}")
        return UpstreamResult(_result(response), is_error=not 200 <= response.status < 300)  # noqa: PLR2004 the class 2xx

    def watch(self, session: str) -> AbstractAsyncContextManager[AsyncIterator[Notification]]:
        """Hear nothing."""
        del session
        return silence()

    async def forget(self, session: str) -> None:
        """Do nothing: no session is kept."""

    def _request(self, call: UpstreamCall) -> EgressRequest:
        binding = call.manifest.http
        if binding is None:
            raise UpstreamFailed("the tool has no HTTP binding")
        placement = _placement(binding)
        placed = placement.place(call.arguments)
        ours = {"Accept": "application/json, */*;q=0.5"}
        if placed.body is not None:
            ours["Content-Type"] = "application/json"
        if call.idempotency_key and call.manifest.recovery is Recovery.IDEMPOTENCY_KEY:
            ours["Idempotency-Key"] = call.idempotency_key
        return EgressRequest(
            binding.method,
            self._url(placement, placed),
            outgoing(ours, call.headers, placed.headers),
            placed.body or b"",
            call.timeout_s,
            MAX_RESULT_BYTES,
        )

    def _url(self, placement: Placement, placed: Placed) -> str:
        """Return the URL, read again and compared with where it has to point."""
        query = f"?{placed.query}" if placed.query else ""
        url = f"{self._origin}{self._prefix}{placed.path}{query}"
        parts = urlsplit(url)
        same = (
            f"{parts.scheme}://{parts.netloc}" == self._origin
            and parts.path.startswith(self._prefix)
            and placement.template.matches(parts.path[len(self._prefix) :])
            and parts.query == placed.query
            and not parts.fragment
        )
        if not same:
            raise UpstreamFailed("the arguments would change where the request goes")
        return url


def _placement(binding: HttpBinding) -> Placement:
    try:
        return placement_of(binding)
    except ConfigError as problem:
        raise UpstreamFailed("the tool's HTTP binding contradicts itself") from problem


def _wire(manifest: ToolManifest, binding: HttpBinding) -> Any:
    """Return the wire object of an HTTP tool, None when its manifest does not make one."""
    try:
        placement_of(binding)
        schema = loads(binding.input_schema)
    except (ConfigError, ValueError) as problem:
        log.error("%s: %s", manifest.resource_id, problem)
        return None
    return {"name": manifest.tool, "description": binding.description, "inputSchema": schema}


def _ambiguous(status: int, effect: Effect) -> bool:
    if effect is Effect.READ:
        return False
    return not 200 <= status < 500 or (300 <= status < 400 and status not in _SAID_ELSEWHERE)  # noqa: PLR2004 status classes


def _result(response: EgressResponse) -> bytes:
    """Return `{"status", "content_type", "body"}`, a JSON body spelled as it came.

    `encoding` says when the body is another string than its type lets expect: `base64` of what is
    no UTF-8 text, `text` of what is labelled as JSON and is none. `headers` has those of the answer
    that a later request can depend on.
    """
    content_type = response.headers.get("Content-Type", "")
    head = b'{"status":%d,"content_type":%b' % (response.status, dumps(content_type))
    shown = {name: response.headers[name] for name in SHOWN_HEADERS if name in response.headers}
    if shown:
        head += b',"headers":%b' % dumps(shown)
    body, encoding = _body(response.body, content_type)
    tail = b',"encoding":%b' % dumps(encoding) if encoding else b""
    return head + b',"body":%b' % body + tail + b"}"


def _body(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return a body as JSON, and what encoding it is in besides."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return dumps(base64.b64encode(body).decode()), "base64"
    if not is_json(content_type):
        return dumps(text), ""
    try:
        return line_of(text).encode(), ""
    except ValueError:
        return dumps(text), "text"
