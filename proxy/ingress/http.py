"""`/http/{server}/…`: HTTP tools for unchanged REST clients.

Method and path name the tool by the reviewed manifests; path, query, body and the headers a
manifest names become the arguments of one canonical call. It is sent by the manifest's template:
nothing the client wrote is forwarded. HEAD and OPTIONS are not taken: a HEAD would have the cost
and the effect of its GET and show nothing of it, and OPTIONS is what browsers ask.
"""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.canonical import make_call
from proxy.ingress.http_answers import send_answer
from proxy.ingress.http_arguments import Sent, arguments_of
from proxy.ingress.http_routes import Routes
from proxy.ingress.open_path import segments_of
from proxy.ingress.wire import bearer, header, read_body
from proxy.model.call import Door, ToolCall
from proxy.model.tool import ToolManifest

DRY_RUN = b"detent-dry-run"


class HttpDoor:
    """Plain ASGI application for everything below `/http/`, behind the guard.

    A client that hangs up does not stop its call, as on `/v1/calls`.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._manifests: Mapping[tuple[str, str], ToolManifest] = {}
        self._routes = Routes(self._manifests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, route, run, answer. Raises BadRequest (audited), Refused."""
        caller = await self._gate.authenticate(bearer(scope))
        body = await read_body(receive)
        try:
            call = self._call(scope, body)
        except BadRequest as error:
            await self._gate.reject(error, caller, Door.HTTP)
            raise
        await send_answer(send, await self._gate.run(caller, call))

    def _call(self, scope: Scope, body: bytes) -> ToolCall:
        manifests = self._gate.manifests()
        if manifests is not self._manifests:
            self._manifests, self._routes = manifests, Routes(manifests)
        _, server, *rest = segments_of(scope["raw_path"])
        found = self._routes.find(server, scope["method"], tuple(rest))
        if found is None:
            raise BadRequest("unknown-tool", "No tool has this method and path.", 404)
        sent = Sent(found.values, scope["query_string"], scope["headers"], body)
        return make_call(
            server,
            found.tool,
            arguments_of(found.binding, sent),
            Door.HTTP,
            dry_run=_is_dry_run(scope),
            idempotency_key=header(scope, b"idempotency-key"),
        )


def _is_dry_run(scope: Scope) -> bool:
    """Return whether the client asks for less than its session permits."""
    given = [value for name, value in scope["headers"] if name == DRY_RUN]
    if given and given != [b"true"]:
        raise BadRequest("invalid-dry-run", "Send Detent-Dry-Run: true once, or not at all.")
    return bool(given)
