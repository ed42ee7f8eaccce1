"""The HTTP client of one configured server: pooled, address-checked, sends a request at most once.

No redirects, no cookies, no environment proxies, no decompression, no retries, and no header that
the caller did not give except Host, Content-Length, Accept-Encoding and User-Agent.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import ResolveResult
from yarl import URL

from proxy.egress.addresses import AddressPolicy, Origin, check_address, parse_origin
from proxy.egress.gate import Gate, GatedRequest
from proxy.egress.tls import tls_context
from proxy.errors import EgressRefused, OutcomeUnknown, UpstreamFailed

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?")
_TARGET = re.compile(r"[\x21-\x22\x24-\x5b\x5d-\x7e]+")  # visible, no "#", no backslash


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Bounds of one server's client.

    `keepalive_s` is below the five seconds after which common servers close an idle connection, so
    that a request seldom meets a closing one.
    """

    connections: int = 100
    connect_timeout_s: float = 5.0
    keepalive_s: float = 4.0


@dataclass(frozen=True, slots=True)
class EgressRequest:
    """One request: an absolute URL in its encoded form, within the client's origin.

    `timeout_s` covers everything from waiting for a connection to the last byte of the answer;
    `max_bytes` bounds the answer's body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False, default=b"")
    timeout_s: float = 20.0
    max_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EgressResponse:
    """A whole answer. Header names are matched without regard to case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class EgressStream:
    """An answer whose body is still coming."""

    __slots__ = ("_max_bytes", "_response", "_seen", "headers", "status")

    def __init__(self, response: ClientResponse, max_bytes: int) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._max_bytes = max_bytes
        self._seen = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, up to `max_bytes`."""
        while chunk := await self._chunk():
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body."""
        chunks = []
        while chunk := await self._chunk():
            chunks.append(chunk)
        return b"".join(chunks)

    async def _chunk(self) -> bytes:
        """Return the next part of the body, nothing at its end."""
        chunk = await self._response.content.readany()
        self._seen += len(chunk)
        if self._seen > self._max_bytes:
            raise _AnswerRefused(f"its answer is larger than {self._max_bytes} bytes")
        return chunk

    async def drain(self, grace_s: float = 0.02) -> None:
        """Read over the little that may follow what was wanted, so that the connection is kept."""
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(grace_s):
                while await self._response.content.readany():
                    pass


class _AnswerRefused(ClientError):
    """An answer we do not take; the text says why."""


class EgressClient:
    """Connections to one origin.

    Made inside a running event loop. Raises EgressRefused for a base URL that the policy does not
    admit. Requests raise UpstreamFailed when no byte was sent, OutcomeUnknown when bytes were sent
    and no whole answer came. Texts never carry a URL, a header or a byte of an answer.
    """

    def __init__(
        self,
        base_url: str,
        policy: AddressPolicy,
        limits: EgressLimits | None = None,
        ca_file: str | None = None,
    ) -> None:
        limits = limits or EgressLimits()
        self.origin: Origin = parse_origin(base_url, policy)
        self._session = ClientSession(
            connector=TCPConnector(
                resolver=_CheckedResolver(policy),
                socket_factory=_CheckedSockets(policy),
                ssl=tls_context(ca_file) if self.origin.scheme == "https" else True,
                limit=limits.connections,
                keepalive_timeout=limits.keepalive_s,
            ),
            timeout=ClientTimeout(total=None, sock_connect=limits.connect_timeout_s),
            request_class=GatedRequest,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection; requests under way end as their own errors."""
        await self._session.close()

    async def request(self, request: EgressRequest, on_send: Callable[[], None]) -> EgressResponse:
        """Send a request and return its whole answer, whatever the status.

        `on_send` is called once, right before the first byte, with nothing in between.
        """
        async with self.stream(request, on_send) as answer:
            return EgressResponse(answer.status, answer.headers, await answer.read())

    @asynccontextmanager
    async def stream(
        self, request: EgressRequest, on_send: Callable[[], None]
    ) -> AsyncIterator[EgressStream]:
        """Send a request and give its answer as a stream; leaving early closes the connection.

        The time-out runs until the block is left.
        """
        url = self._checked_url(request.url)
        headers = _checked_headers(request.headers, len(request.body))
        gate = Gate(request.body, on_send)
        try:
            async with (
                asyncio.timeout(request.timeout_s),
                self._session.request(
                    request.method,
                    url,
                    headers=headers,
                    allow_redirects=False,
                    middlewares=(gate.guard,),
                ) as response,
            ):
                _check_answer(response, request.max_bytes)
                yield EgressStream(response, request.max_bytes)
        except (ClientError, OSError, EgressRefused) as problem:
            raise _outcome(problem, gate) from problem

    def _checked_url(self, url: str) -> URL:
        if self._session.closed:
            raise UpstreamFailed("the connections to it are closed")
        if not _TARGET.fullmatch(url):
            raise UpstreamFailed("the URL has characters that do not belong in a URL")
        try:
            parsed = URL(url, encoded=True)
        except ValueError as wrong:
            raise UpstreamFailed("the URL is not one") from wrong
        same = (parsed.scheme, parsed.raw_host, parsed.port) == (
            self.origin.scheme,
            self.origin.host,
            self.origin.port,
        )
        if not same or parsed.raw_user is not None or parsed.raw_password is not None:
            raise UpstreamFailed("the URL leaves the configured server")
        return parsed


class _CheckedResolver(ThreadedResolver):
    """Resolves names; one address that is not admitted refuses the whole answer."""

    def __init__(self, policy: AddressPolicy) -> None:
        super().__init__()
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises EgressRefused, OSError."""
        found = await super().resolve(host, port, family)
        for entry in found:
            check_address(entry["host"], self._policy)
        return found


class _CheckedSockets:
    """Makes the socket of a connection: the last look at the address that is connected to."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    def __call__(
        self, info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        family, kind, protocol, _, address = info
        check_address(address[0], self._policy)
        return socket.socket(family, kind, protocol)


def _checked_headers(headers: Mapping[str, str], length: int) -> dict[str, str]:
    if not all(map(_NAME.fullmatch, headers)) or not all(map(_VALUE.fullmatch, headers.values())):
        raise UpstreamFailed("a header has characters that do not belong in a header")
    checked = {"User-Agent": "detent", "Accept-Encoding": "identity", **headers}
    if length:
        checked["Content-Length"] = str(length)
    return checked


def _check_answer(response: ClientResponse, max_bytes: int) -> None:
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        said = response.headers.getall(name, [plain])
        if [one.strip().lower() for one in said] != [plain]:
            raise _AnswerRefused("its answer is encoded although identity was asked for")
    if (response.content_length or 0) > max_bytes:
        raise _AnswerRefused(f"its answer is larger than {max_bytes} bytes")


_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "it did not answer in time"),
    (ClientConnectorCertificateError, "its TLS certificate does not verify"),
    (ClientConnectorSSLError, "TLS with it failed"),
    (ClientConnectorDNSError, "its name does not resolve"),
    (ClientConnectorError, "it cannot be reached"),
    (ClientResponseError, "its answer is not valid HTTP"),
)


def _outcome(problem: Exception, gate: Gate) -> UpstreamFailed | OutcomeUnknown:
    if isinstance(problem, _AnswerRefused | EgressRefused):
        sentence = str(problem)
    else:
        sentence = next(
            (text for kind, text in _SENTENCES if isinstance(problem, kind)),
            "the connection to it broke",
        )
    return OutcomeUnknown(sentence) if gate.passed else UpstreamFailed(sentence)
