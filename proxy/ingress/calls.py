"""`POST /v1/calls`: one tool call as plain JSON, answered with its outcome document.

A client that hangs up does not stop its call: an effect that has begun is settled, and can be
asked for again under its idempotency key.
"""

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.canonical import make_call
from proxy.ingress.strict_json import parse
from proxy.ingress.wire import bearer, header, read_body, respond
from proxy.model.call import Door, ToolCall
from proxy.pipeline.document import outcome_document

_MEMBERS = frozenset({"server", "tool", "arguments", "idempotency_key", "dry_run"})


class CallsDoor:
    """Plain ASGI application for one path. Errors are raised for the problems around it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, parse, run, answer. Raises BadRequest (audited), Refused."""
        caller = await self._gate.authenticate(bearer(scope))
        body = await read_body(receive)
        try:
            call = call_of(body, header(scope, b"idempotency-key"))
        except BadRequest as error:
            await self._gate.reject(error, caller, Door.CALLS)
            raise
        answer = await self._gate.run(caller, call)
        stored = answer.stored
        document = outcome_document(answer) if stored is None else stored
        await respond(send, answer.http, document)


def call_of(body: bytes, key_header: str | None) -> ToolCall:
    """Return the canonical call of `{server, tool, arguments, idempotency_key?, dry_run?}`.

    The header `Idempotency-Key` says the same as the member; both must agree. Raises BadRequest.
    """
    members = parse(body)
    if not isinstance(members, dict):
        raise BadRequest("not-an-object", "The body must be a JSON object.")
    if not members.keys() <= _MEMBERS:
        known = ", ".join(sorted(_MEMBERS))
        raise BadRequest("unknown-member", f"The body takes only these members: {known}.")
    key = members.get("idempotency_key", key_header)
    if key_header is not None and key != key_header:
        raise BadRequest("idempotency-key-mismatch", "Header and body name different keys.")
    return make_call(
        members.get("server"),
        members.get("tool"),
        members.get("arguments", {}),
        Door.CALLS,
        dry_run=members.get("dry_run", False),
        idempotency_key=key,
    )
