"""The attach port: what sidecars ask of the gateway that keeps their ledger.

| request | does |
|---|---|
| `POST /attach/v1/lease` | grants what is left of our own kill lease, and what is new in the log |
| `POST /attach/v1/leases` | the same for many holders: `{"holders": […]}` |
| `POST /attach/v1/acknowledge` | a holder obeys every kill up to an epoch |
| `POST /attach/v1/leave` | a holder starts nothing any more |
| `POST /attach/v1/kills` | `[7]`: answers when there is a newer epoch, or after 20 s |
| `GET /attach/v1/kills?known=7` | the same, as older sidecars ask |
| `POST /attach/v1/store/{method}` | one method of the ledger, for the sidecar's own agents |
| `GET /attach/v1/bundle` | the policy in force, by its revision as ETag |

Every sidecar has a token of its own, or shows one of an issuer, made for this port alone; those of
agents and operators mean nothing here.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

from pydantic import Field, TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import BadRequest, Refused
from proxy.ingress.attach_leases import AttachedLeases, name_of, read
from proxy.ingress.attach_news import News
from proxy.ingress.attach_rights import Rights
from proxy.ingress.attach_tokens import SidecarTokens
from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.problems import LastResort
from proxy.ingress.repeats import Forget, Write, keep_head
from proxy.ingress.wire import JSON, bearer, header, read_body, respond
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.finding import Alert
from proxy.model.ledger import Reservation
from proxy.model.sidecar import Sidecar
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from proxy.stores.base import Store
from proxy.stores.wire import operations

log = logging.getLogger(__name__)

POLL_S = 20.0
PREFIX = "/attach/v1/"
REPEATED = frozenset({"acknowledge", "kills", "lease", "leases"})

ROUTES: dict[str, tuple[str, ...]] = {
    "/attach/v1/acknowledge": ("POST",),
    "/attach/v1/bundle": ("GET",),
    "/attach/v1/kills": ("GET", "POST"),
    "/attach/v1/lease": ("POST",),
    "/attach/v1/leases": ("POST",),
    "/attach/v1/leave": ("POST",),
    "/attach/v1/store/*": ("POST",),
}

_KNOWN = re.compile(r"known=(0|[1-9][0-9]{0,17})")
_NEWEST = TypeAdapter(tuple[Annotated[int, Field(ge=0)]])
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
        self._leases = AttachedLeases(ports.kill_switch, ports.relay)
        self._news = News(ports.kill_switch, lambda: POLL_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises BadRequest, Refused, StoreUnavailable."""
        token = _token(scope)
        sidecar = self._known(token)
        if sidecar is None and kind_of_token(token) is not TokenKind.SIDECAR:
            sidecar = await self._ports.tokens.sidecar(token)
        if sidecar is None:
            log.warning("sidecar refused", extra={"path": scope["path"]})
            raise Refused.because("not-authenticated", _NOT_AUTHENTICATED)
        asked, body = scope["path"].removeprefix(PREFIX), await read_body(receive)
        answer = await self._answer(sidecar, scope, asked, body)
        if asked in REPEATED:
            keep_head(scope, body, partial(self._again, token, asked))
        await respond(send, answer.status, answer.body, answer.headers)

    def _known(self, token: str) -> Sidecar | None:
        """Return whom a token stands for if that needs nobody's answer."""
        if kind_of_token(token) is TokenKind.SIDECAR:
            return self._ports.sidecars.get(token_sha256(token))
        return self._ports.tokens.remembered(token)

    def _again(self, token: str, asked: str, body: bytes, write: Write) -> bytes | Forget | None:
        """Answer a request that repeats one of this token; the long way tells what is wrong."""
        sidecar = self._known(token)
        if sidecar is None:
            return None
        try:
            if asked == "kills":
                return self._news.ask(read(_NEWEST, body)[0], write)
            return self._leases.answer(sidecar, asked, body)
        except BadRequest:
            return None

    async def _answer(self, sidecar: Sidecar, scope: Scope, asked: str, body: bytes) -> Answer:
        leased = self._leases.answer(sidecar, asked, body)
        if leased is not None:
            return Answer(leased)
        match asked:
            case "kills":
                return Answer(await self._news.after(_newest_of(scope, body)))
            case "bundle":
                return await self._bundle(scope)
            case method:
                return await self._store(sidecar, method.removeprefix("store/"), body)

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
    intent = replace(asked.intent, holder=name_of(sidecar, asked.intent.holder))
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


def _newest_of(scope: Scope, body: bytes) -> int:
    """Return the newest epoch that a sidecar knows. Raises BadRequest."""
    if scope["method"] == "POST":
        known: int = read(_NEWEST, body)[0]
        return known
    asked = _KNOWN.fullmatch(scope["query_string"].decode("latin-1"))
    if asked is None:
        raise BadRequest("invalid-epoch", "`known` is the last epoch you know.")
    return int(asked[1])


def _token(scope: Scope) -> str:
    """Return the token that was sent, empty when none was."""
    with suppress(Refused):
        return bearer(scope)
    return ""
