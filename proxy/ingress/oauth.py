"""The gateway as an OAuth protected resource: its metadata (RFC 9728), and where a 401 points.

MCP clients read here which authorization servers to ask for a token. The token is for the gateway
and ends there: servers get credentials of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.ingress.wire import header

WELL_KNOWN = "/.well-known/oauth-protected-resource"
METADATA_ROUTES = {
    WELL_KNOWN: ("GET",),
    f"{WELL_KNOWN}/mcp": ("GET",),
    f"{WELL_KNOWN}/mcp/*": ("GET",),
}


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """Who we are to OAuth clients: our public URL without a path, and whom to ask for tokens."""

    public_url: str
    authorization_servers: Sequence[str]

    def metadata(self, path: str) -> dict[str, Any]:
        """Return the document for a path under `WELL_KNOWN` (RFC 9728 sections 2 and 3.1).

        Its `resource` is the URL whose path stands behind the well-known one.
        """
        return {
            "resource": self.public_url + path.removeprefix(WELL_KNOWN),
            "authorization_servers": list(self.authorization_servers),
            "bearer_methods_supported": ["header"],
            "resource_name": "Detent",
        }

    def challenge(self, path: str, *, has_token: bool) -> bytes:
        """Return the `WWW-Authenticate` of a 401 at that path (RFC 9728 section 5.1, RFC 6750)."""
        error = 'error="invalid_token", ' if has_token else ""
        where = f"{self.public_url}{WELL_KNOWN}{path}"
        return f'Bearer realm="detent", {error}resource_metadata="{where}"'.encode()


def metadata_router(resource: ProtectedResource) -> APIRouter:
    """Return the routes of the metadata: of the whole port, of `/mcp`, of `/mcp/{server}`."""
    router = APIRouter(include_in_schema=False)

    async def metadata(request: Request) -> Response:
        """Say for whom tokens have to be, and who issues them."""
        return JSONResponse(resource.metadata(request.scope["path"]))

    for path in (WELL_KNOWN, f"{WELL_KNOWN}/mcp", WELL_KNOWN + "/mcp/{server}"):
        router.add_api_route(path, metadata, methods=["GET"])
    return router


class Challenged:
    """Pure ASGI around an application: its every 401 says where the metadata are."""

    def __init__(self, app: ASGIApp, resource: ProtectedResource) -> None:
        self._app = app
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; only the challenge of a 401 is written anew."""

        async def challenging(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == _UNAUTHORIZED:
                has_token = header(scope, b"authorization") is not None
                challenge = self._resource.challenge(scope["path"], has_token=has_token)
                kept = [field for field in message["headers"] if field[0] != _CHALLENGE]
                message = {**message, "headers": [*kept, (_CHALLENGE, challenge)]}
            await send(message)

        await self._app(scope, receive, challenging)


_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
_CHALLENGE = b"www-authenticate"
