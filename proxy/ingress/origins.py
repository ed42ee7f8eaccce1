"""Browsers: which pages may ask a port, and what they are told (Fetch standard, CORS protocol).

A browser sends Origin with every request that could change something, and with every one of
another site. A request without Origin is no such request. No cookie is ever read here, so no
answer permits credentials.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Message, Scope, Send

from proxy.errors import BadRequest

MAX_AGE_S = 600
_EXPOSED = b"mcp-session-id, www-authenticate, allow"
_ASKED_HEADERS = b"authorization, *"  # the star is for any other, Authorization has to be named
_VARY = (b"vary", b"origin")
_METHOD = b"access-control-request-method"


@dataclass(frozen=True, slots=True)
class Origins:
    """`listed` pages of others that may ask. `own_scheme`: pages of this very port may as well.

    No page is served here, so one of this port's own origin is made by nobody but its owner; it
    has to name in Origin the host it names in Host. Empty: none of those either.
    """

    listed: frozenset[str] = frozenset()
    own_scheme: str = ""

    def check(self, headers: Mapping[bytes, str]) -> None:
        """Refuse pages of other sites: DNS rebinding ends here at the latest. Raises BadRequest."""
        origin = headers.get(b"origin")
        if origin is None or origin in self.listed:
            return
        own = f"{self.own_scheme}://{headers.get(b'host', '').lower()}"
        if not self.own_scheme or origin != own:
            raise BadRequest("wrong-origin", "Requests from that origin are not taken.", 403)

    def readable(self, scope: Scope, send: Send) -> Send:
        """Return a `send` whose answer a listed page may read; for all others the one given."""
        given = [value for name, value in scope["headers"] if name == b"origin"]
        if len(given) != 1 or given[0].decode("latin-1") not in self.listed:
            return send
        fields = [
            (b"access-control-allow-origin", given[0]),
            (b"access-control-expose-headers", _EXPOSED),
            _VARY,
        ]

        async def with_permission(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return with_permission

    def is_preflight(self, scope: Scope, headers: Mapping[bytes, str]) -> bool:
        """Whether a browser asks for a listed page what it may send."""
        return (
            scope["method"] == "OPTIONS"
            and headers.get(b"origin") in self.listed
            and _METHOD in headers
        )


NO_PAGES = Origins()


async def permit(send: Send, methods: frozenset[str]) -> None:
    """Answer a preflight."""
    fields = [
        (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
        (b"access-control-allow-headers", _ASKED_HEADERS),
        (b"access-control-max-age", b"%d" % MAX_AGE_S),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": fields})
    await send({"type": "http.response.body", "body": b""})
