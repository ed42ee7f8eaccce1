"""The agents' port: one FastAPI application with the tool-call paths in front of its router.

Tool calls go by plain ASGI: a FastAPI route costs more than the rest of the walk. The other paths
are FastAPI routes. Documentation pages are off, the port tells strangers nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.ingress.base import Gate
from proxy.ingress.calls import CallsDoor
from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.mcp import McpDoor
from proxy.ingress.problems import LastResort, install_problems
from proxy.ingress.sessions import sessions_router

ROUTES = {
    "/healthz": ("GET",),
    "/readyz": ("GET",),
    "/.well-known/jwks.json": ("GET",),
    "/v1/sessions": ("POST",),
    "/v1/sessions/*": ("DELETE",),
    "/v1/calls": ("POST",),
    "/mcp": ("GET", "POST", "DELETE"),
    "/mcp/*": ("GET", "POST", "DELETE"),
}


def agents_app(
    gate: Gate,
    settings: GuardSettings,
    *,
    jwks: Callable[[], Mapping[str, Any]],
    version: str,
) -> ASGIApp:
    """Return the application of the agents' port, guard and problems around it.

    `jwks` gives the public keys of call tokens (RFC 7517) at every request; `version` is what MCP
    clients are told.
    """
    doors = Doors(gate, agents_api(gate, jwks), version)
    return LastResort(Guard(doors, settings, ROUTES))


def agents_api(gate: Gate, jwks: Callable[[], Mapping[str, Any]]) -> FastAPI:
    """Return the FastAPI application of every path that is no tool call."""
    api = FastAPI(title="Detent, agents' plane", docs_url=None, redoc_url=None, openapi_url=None)
    install_problems(api)
    api.include_router(sessions_router(gate))

    @api.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """Say that the process answers."""
        return Response(status_code=200)

    @api.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        """Say whether calls can be taken; nothing about why not."""
        return Response(status_code=200 if gate.ready() else 503)

    @api.get("/.well-known/jwks.json", include_in_schema=False)
    async def keys() -> Response:
        """Publish the keys call tokens are verified with."""
        return JSONResponse(dict(jwks()))

    return api


class Doors:
    """Sends tool calls to their doors and everything else to FastAPI."""

    def __init__(self, gate: Gate, api: ASGIApp, version: str) -> None:
        self._api = api
        self._calls = CallsDoor(gate)
        self._mcp = McpDoor(gate, version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by path; the guard has let only known paths through."""
        path = scope.get("path", "")
        if path == "/v1/calls":
            await self._calls(scope, receive, send)
        elif path == "/mcp" or path.startswith("/mcp/"):
            await self._mcp(scope, receive, send)
        else:
            await self._api(scope, receive, send)
