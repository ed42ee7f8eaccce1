"""The agents' port: one FastAPI application with the tool-call paths in front of its router.

Tool calls go by plain ASGI: a FastAPI route costs more than the rest of the walk. The other paths
are FastAPI routes. Documentation pages are off, the port tells strangers nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.ingress.agents_openapi import CALLS
from proxy.ingress.base import Gate
from proxy.ingress.calls import CallsDoor
from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.hooks import HooksDoor
from proxy.ingress.http import HttpDoor
from proxy.ingress.mcp import McpDoor
from proxy.ingress.mcp_rounds import Seal
from proxy.ingress.oauth import (
    METADATA_ROUTES,
    Challenged,
    ProtectedResource,
    metadata_router,
)
from proxy.ingress.openapi import DescribedApi
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
    "/hooks/*": ("POST",),
    "/http/*/**": ("GET", "POST", "PUT", "PATCH", "DELETE"),
}


def agents_app(
    gate: Gate,
    settings: GuardSettings,
    *,
    jwks: Callable[[], Mapping[str, Any]],
    version: str,
    resource: ProtectedResource | None = None,
    seal: Seal | None = None,
) -> ASGIApp:
    """Return the application of the agents' port, guard and problems around it.

    `jwks` gives the public keys of call tokens (RFC 7517) at every request; `version` is what MCP
    clients are told. With a `resource` the port is an OAuth protected resource. `seal` closes what
    MCP clients carry; without one nobody but this process can open it.
    """
    api = agents_api(gate, jwks)
    routes = ROUTES
    mcp: ASGIApp = McpDoor(gate, version, seal=seal)
    if resource is not None:
        api.include_router(metadata_router(resource))
        routes = ROUTES | METADATA_ROUTES
        mcp = Challenged(mcp, resource)
    return LastResort(Guard(Doors(gate, api, mcp), settings, routes))


def agents_api(gate: Gate, jwks: Callable[[], Mapping[str, Any]]) -> FastAPI:
    """Return the FastAPI application of every path that is no tool call."""
    api = DescribedApi("Detent, agents' plane", CALLS)
    install_problems(api)
    api.include_router(sessions_router(gate))

    @api.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """Say that the process answers."""
        return Response(status_code=200)

    @api.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        """Say whether calls can be taken; nothing about why not."""
        return Response(status_code=200 if await gate.healthy() else 503)

    @api.get("/.well-known/jwks.json", include_in_schema=False)
    async def keys() -> Response:
        """Publish the keys call tokens are verified with."""
        return JSONResponse(dict(jwks()))

    return api


class Doors:
    """Sends tool calls to their doors and everything else to FastAPI."""

    def __init__(self, gate: Gate, api: ASGIApp, mcp: ASGIApp) -> None:
        self._api = api
        self._calls = CallsDoor(gate)
        self._mcp = mcp
        self._http = HttpDoor(gate)
        self._hooks = HooksDoor(gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by path; the guard has let only known paths through."""
        path = scope.get("path", "")
        if path == "/v1/calls":
            await self._calls(scope, receive, send)
        elif path == "/mcp" or path.startswith("/mcp/"):
            await self._mcp(scope, receive, send)
        elif path.startswith("/http/"):
            await self._http(scope, receive, send)
        elif path.startswith("/hooks/"):
            await self._hooks(scope, receive, send)
        else:
            await self._api(scope, receive, send)
