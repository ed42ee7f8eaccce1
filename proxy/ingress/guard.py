"""What must be true of a request before anything reads it: framing rules on the raw ASGI scope.

Stands in front of both ports. Every rule refuses; none repairs. Bodies are read here, whole, under
a cap and a deadline, so that no door ever sees a part of one.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import BadRequest
from proxy.ingress.body import Body, LargeBodies, too_large
from proxy.ingress.framing import check_framing, headers_of
from proxy.ingress.open_path import segments_of
from proxy.ingress.origins import NO_PAGES, Origins, permit
from proxy.ingress.problems import problem_of, send_problem
from proxy.ingress.protocol import TARGET

log = logging.getLogger(__name__)

_HOST = re.compile(r"(?:[a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~@:!$'()*,+&=-]+/)*[A-Za-z0-9._~@:!$'()*,+&=-]*")
_JSON = re.compile(r'application/json(?:; ?charset="?utf-8"?)?', re.IGNORECASE)
_OUR_TOKEN = re.compile(r"dt[aosx]_[A-Za-z0-9_-]{20}")
_SECRET_NAME = re.compile(
    r"(?:.*[_-])?(?:token|api_?key|key|secret|password|passwd|authorization|auth|bearer|jwt"
    r"|credentials?|signature)",
    re.IGNORECASE,
)
_DOTS = frozenset({".", ".."})
_SEGMENTS = {"*": "[^/]+", "**": "(?s:.*)"}
_DEFAULT_PORTS = (80, 443)  # clients leave these out of Host


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What a port accepts. `hosts` are allowed Host values in lower case, with their port."""

    hosts: frozenset[str]
    origins: Origins = NO_PAGES
    max_body_bytes: int = 1_048_576
    max_headers: int = 64
    max_header_bytes: int = 16_384
    max_query_bytes: int = 2_048
    max_open_query_bytes: int = 8_192
    body_timeout_s: float = 10.0
    large_bodies: int = 64


def loopback_hosts(port: int) -> frozenset[str]:
    """Return the Host values that name this machine's own loopback at that port."""
    suffixes = ("", f":{port}") if port in _DEFAULT_PORTS else (f":{port}",)
    names = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(name + suffix for name in names for suffix in suffixes)


class Guard:
    """Pure ASGI in front of an application.

    `routes` maps a path to its methods; a segment `*` stands for any one segment, `**` at the end
    for any number of them, one at least: below it a path is data and may have escapes, and its
    door knows which parameters there are. A path that is not listed does not exist, a method that
    is not listed is not taken.
    """

    def __init__(
        self, app: ASGIApp, settings: GuardSettings, routes: Mapping[str, Iterable[str]]
    ) -> None:
        self._app = app
        self._settings = settings
        self._large = LargeBodies(settings.large_bodies)
        self._routes = {path: frozenset(methods) for path, methods in routes.items()}
        self._patterns = [
            (_pattern(path), methods) for path, methods in self._routes.items() if "*" in path
        ]
        self._open = tuple(
            path.partition("*")[0].encode() for path in routes if path.endswith("/**")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body at hand, or answer with a problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body, send = Body(receive), self._settings.origins.readable(scope, send)
        try:
            headers = headers_of(scope, self._settings.max_headers, self._settings.max_header_bytes)
            self._check(scope, headers)
            if b"content-length" in headers or b"transfer-encoding" in headers:
                await self._read(body, headers)
        except BadRequest as error:
            log.warning("request refused: %s", error.code)
            fields = _extra(error, self._allowed(scope))
            await body.discard()
            await send_problem(send, problem_of(error), fields)
            return
        if self._settings.origins.is_preflight(scope, headers):
            await permit(send, self._allowed(scope))
        elif not body.gone:
            await self._app(scope, body.replay, send)

    def _check(self, scope: Scope, headers: Mapping[bytes, str]) -> None:
        """Apply every rule that needs no body, the cheapest first."""
        _check_host(headers, self._settings.hosts)
        self._settings.origins.check(headers)
        is_open = scope["raw_path"].startswith(self._open)
        _check_path(scope, is_open=is_open)
        _check_query(scope["query_string"], self._settings, is_open=is_open)
        allowed = self._allowed(scope)
        if not allowed:
            raise BadRequest("not-found", "There is nothing at this path.", 404)
        is_preflight = self._settings.origins.is_preflight(scope, headers)
        if scope["method"] not in allowed and not is_preflight:
            raise BadRequest("method-not-allowed", "See the Allow header for the methods.", 405)
        check_framing(scope, headers)
        _check_body_headers(headers, self._settings.max_body_bytes)

    def _allowed(self, scope: Scope) -> frozenset[str]:
        path = scope["path"]
        known = self._routes.get(path)
        if known is not None:
            return known
        for pattern, methods in self._patterns:
            if pattern.fullmatch(path):
                return methods
        return frozenset()

    async def _read(self, body: Body, headers: Mapping[bytes, str]) -> None:
        """Read the body whole. Raises BadRequest: too large, too slow, not JSON."""
        try:
            settings = self._settings
            await body.read(settings.max_body_bytes, settings.body_timeout_s, self._large)
        except TimeoutError:
            detail = "The body came too slowly; send it again."
            raise BadRequest("body-timeout", detail, 408) from None
        if body.data and _JSON.fullmatch(headers.get(b"content-type", "")) is None:
            raise _unsupported("Send the body as Content-Type: application/json.")


def _check_host(headers: Mapping[bytes, str], allowed: frozenset[str]) -> None:
    host = headers.get(b"host", "").lower()
    if _HOST.fullmatch(host) is None:
        raise BadRequest("invalid-host", "Send one plain Host header.")
    if host not in allowed:
        raise BadRequest("wrong-host", "This gateway does not serve that host name.", 421)


def _check_path(scope: Scope, *, is_open: bool) -> None:
    """Refuse every path that two readers could understand differently."""
    raw: bytes = scope["raw_path"]
    path: str = scope["path"]
    target: bytes = scope.get(TARGET, raw)
    if is_open:
        segments_of(raw)
    plain = is_open or (_PATH.fullmatch(path) is not None and raw == path.encode())
    dotted = not _DOTS.isdisjoint(path.split("/"))
    if not plain or dotted or not target.startswith(raw) or b"#" in target:
        raise BadRequest("invalid-path", "Send a plain absolute path without escapes.")


def _check_query(query: bytes, settings: GuardSettings, *, is_open: bool) -> None:
    """Refuse credentials in the query string: it ends in logs, histories and referrers.

    On an open path a parameter may be called `page_token`: its door takes no parameter that a
    reviewed manifest does not name.
    """
    if not query:
        return
    if len(query) > (settings.max_open_query_bytes if is_open else settings.max_query_bytes):
        raise BadRequest("query-too-long", "The query string is too long.", 414)
    text = unquote_plus(unquote_plus(query.decode("latin-1")))
    names = (part.partition("=")[0].strip() for part in re.split("[&;?]", text))
    is_secretive = not is_open and any(_SECRET_NAME.fullmatch(name) for name in names)
    if is_secretive or _OUR_TOKEN.search(text):
        raise BadRequest("token-in-query", "Send credentials only as Authorization: Bearer.")


def _check_body_headers(headers: Mapping[bytes, str], max_bytes: int) -> None:
    if headers.get(b"content-encoding", "identity").lower() != "identity":
        raise _unsupported("Send the body without Content-Encoding.")
    length = headers.get(b"content-length", "0")
    if not (length.isdigit() and len(length) <= len(str(2**63))):
        raise BadRequest("invalid-length", "Content-Length must be a number.")
    if int(length) > max_bytes:
        raise too_large()


def _unsupported(detail: str) -> BadRequest:
    return BadRequest("unsupported-media-type", detail, 415)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/".join(_SEGMENTS.get(one, re.escape(one)) for one in path.split("/")))


def _extra(error: BadRequest, allowed: frozenset[str]) -> list[tuple[bytes, bytes]]:
    """Return headers of a refusal. It ends the connection: its body may not have come whole."""
    fields = [(b"connection", b"close")]
    if error.code == "method-not-allowed":
        fields.append((b"allow", ", ".join(sorted(allowed)).encode()))
    return fields
