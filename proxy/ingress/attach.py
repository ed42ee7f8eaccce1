"""The attach port: what sidecars ask of the gateway that keeps their ledger.

| request | does |
|---|---|
| `POST /attach/v1/lease` | grants what is left of our own kill lease, and what is new in the log |
| `POST /attach/v1/acknowledge` | a holder obeys every kill up to an epoch |
| `POST /attach/v1/leave` | a holder starts nothing any more |
| `GET /attach/v1/kills?known=7` | answers when there is a newer epoch, or after 20 s |
| `POST /attach/v1/store/{method}` | one method of the ledger, for the sidecar's own agents |
| `GET /attach/v1/bundle` | the policy in force, by its revision as ETag |

Every sidecar has a token of its own, or shows one of an issuer, made for this port alone; those of
agents and operators mean nothing here.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import BadRequest, Refused
from proxy.ingress.attach_rights import Rights
from proxy.ingress.attach_tokens import SidecarTokens
from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.problems import LastResort
from proxy.ingress.wire import JSON, bearer, header, read_body, respond
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.finding import Alert
from proxy.model.lease import Grant, Renewal
from proxy.model.ledger import Reservation
from proxy.model.sidecar import Sidecar
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from proxy.stores.base import Store
from proxy.stores.wire import operations

log = logging.getLogger(__name__)

POLL_S = 20.0

ROUTES: dict[str, tuple[str, ...]] = {
    "/attach/v1/acknowledge": ("POST",),
    "/attach/v1/bundle": ("GET",),
    "/attach/v1/kills": ("GET",),
    "/attach/v1/lease": ("POST",),
    "/attach/v1/leave": ("POST",),
    "/attach/v1/store/*": ("POST",),
}

_KNOWN = re.compile(r"known=(0|[1-9][0-9]{0,17})")
_RENEWAL = TypeAdapter(Renewal)
_GRANT = TypeAdapter(Grant)
_ACKNOWLEDGED = TypeAdapter(tuple[str, int])
_LEFT = TypeAdapter(tuple[str])
_NOT_AUTHENTICATED = "Send a sidecar's token: Authorization: Bearer dtx_…, or its issuer's."


@dataclass(frozen=True, slots=True)
class AttachPorts:
    """What the port works on. `sidecars` maps the SHA-256 (hex) of a token to its sidecar.

    `tokens` verifies those of issuers.
    `bundle` returns the revision of the policy in force and its archive.
    """

    sidecars: Mapping[str, Sidecar]
    store: Store
    kill_switch: KillSwitch
    relay: Relay
    bundle: Callable[[], Awaitable[tuple[str, bytes]]]
    tokens: SidecarTokens = field(default_factory=SidecarTokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and further headers; JSON unless they say otherwise."""

    body: bytes = b"null"
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = JSON


def attach_app(ports: AttachPorts, settings: GuardSettings) -> ASGIApp:
    """Return the application of the attach port, guard and problems around it."""
    return LastResort(Guard(AttachDoor(ports), settings, ROUTES))


class AttachDoor:
    """Plain ASGI: a sidecar's every call passes here twice."""

    def __init__(self, ports: AttachPorts) -> None:
        self._ports = ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises BadRequest, Refused, StoreUnavailable."""
        sidecar = await self._sidecar(scope)
        body = await read_body(receive)
        answer = await self._answer(sidecar, scope, body)
        await respond(send, answer.status, answer.body, answer.headers)

    async def _sidecar(self, scope: Scope) -> Sidecar:
        token = ""
        with suppress(Refused):
            token = bearer(scope)
        if kind_of_token(token) is TokenKind.SIDECAR:
            sidecar = self._ports.sidecars.get(token_sha256(token))
        else:
            sidecar = await self._ports.tokens.sidecar(token)
        if sidecar is None:
            log.warning("sidecar refused", extra={"path": scope["path"]})
            raise Refused.because("not-authenticated", _NOT_AUTHENTICATED)
        return sidecar

    async def _answer(self, sidecar: Sidecar, scope: Scope, body: bytes) -> Answer:
        match scope["path"].removeprefix("/attach/v1/"):
            case "lease":
                return self._renew(sidecar, _read(_RENEWAL, body))
            case "acknowledge":
                holder, epoch = _read(_ACKNOWLEDGED, body)
                self._ports.relay.acknowledged(_name(sidecar, holder), epoch)
                return Answer()
            case "leave":
                self._ports.relay.left(_name(sidecar, _read(_LEFT, body)[0]))
                return Answer()
            case "kills":
                return await self._kills(scope)
            case "bundle":
                return await self._bundle(scope)
            case method:
                return await self._store(sidecar, method.removeprefix("store/"), body)

    def _renew(self, sidecar: Sidecar, renewal: Renewal) -> Answer:
        """Grant what is left of our own lease; no await, so what is told is what is obeyed here."""
        ports = self._ports
        named = replace(renewal, holder=_name(sidecar, renewal.holder))
        try:
            remaining_s = ports.relay.grant(named)
        except LookupError:
            raise BadRequest("too-many-holders", "Too many sidecars are attached.", 503) from None
        news = tuple(sidecar.told(one) for one in ports.kill_switch.since(renewal.known))
        grant = Grant(renewal.nonce, remaining_s, news, ports.relay.now())
        return Answer(_GRANT.dump_json(grant))

    async def _kills(self, scope: Scope) -> Answer:
        """Wait for a newer epoch; a lease is not renewed by this."""
        asked = _KNOWN.fullmatch(scope["query_string"].decode("latin-1"))
        if asked is None:
            raise BadRequest("invalid-epoch", "`known` is the last epoch you know.")
        known = int(asked[1])
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                while self._ports.kill_switch.synced <= known:
                    await self._ports.kill_switch.changed()
        return Answer(b"%d" % self._ports.kill_switch.synced)

    async def _bundle(self, scope: Scope) -> Answer:
        revision, archive = await self._ports.bundle()
        tag = f'"{revision}"'.encode()
        if header(scope, b"if-none-match") == tag.decode():
            return Answer(b"", 304, ((b"etag", tag),))
        return Answer(archive, 200, ((b"content-type", b"application/gzip"), (b"etag", tag)))

    async def _store(self, sidecar: Sidecar, method: str, body: bytes) -> Answer:
        operation = operations().get(method)
        if operation is None:
            raise BadRequest("unknown-method", "A sidecar cannot ask the ledger for that.", 404)
        arguments = operation.unpack(body)
        rights = Rights(sidecar, self._ports.store)
        await rights.check(method, arguments)
        if method in _NAMED:
            arguments = (_NAMED[method](sidecar, *arguments),)
        result = await getattr(self._ports.store, method)(*arguments)
        return Answer(operation.result.dump_json(rights.shown(result)))


def _carried(sidecar: Sidecar, asked: Reservation) -> Reservation:
    """Say who carries a call that is reserved here: a holder whose name no other can take."""
    intent = replace(asked.intent, holder=_name(sidecar, asked.intent.holder))
    return replace(asked, intent=intent)


def _told_by(sidecar: Sidecar, alert: Alert) -> Alert:
    """Say who tells what is about no agent: it would read as the gateway's own word."""
    if alert.tenant:
        return alert
    return replace(alert, message=f"sidecar {sidecar.name}: {alert.message}")


_NAMED: dict[str, Callable[..., Reservation | Alert]] = {
    "enqueue_alert": _told_by,
    "reserve": _carried,
}


def _name(sidecar: Sidecar, holder: str) -> str:
    """Return the name of a holder that no other sidecar can take."""
    return f"{sidecar.name}/{holder}"


def _read(shape: TypeAdapter[Any], body: bytes) -> Any:
    try:
        return shape.validate_json(body, strict=True)
    except ValidationError:
        cure = "The request does not fit; use the same Detent on both sides."
        raise BadRequest("invalid-arguments", cure) from None
