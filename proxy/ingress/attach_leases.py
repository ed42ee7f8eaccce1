"""Kill leases on the attach port: asked for so often that each is answered without waiting.

One request may renew for many holders: whoever carries it for them is trusted with no time. Each
holder's lease still counts from when its own renewal was sent, and is at most our remainder.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from proxy.errors import BadRequest
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import KillEntry
from proxy.model.lease import Grant, Grants, Renewal, Renewals
from proxy.model.sidecar import Sidecar

MAX_AT_ONCE = 1_000  # holders in one request
MAX_NAME = 256

_RENEWAL = TypeAdapter(Renewal)
_GRANT = TypeAdapter(Grant)
_RENEWALS = TypeAdapter(Renewals)
_GRANTS = TypeAdapter(Grants)
_ACKNOWLEDGED = TypeAdapter(tuple[str, int])
_LEFT = TypeAdapter(tuple[str])


@dataclass(frozen=True, slots=True)
class AttachedLeases:
    """Answers the requests about leases. No await: what is told is what is obeyed here."""

    kill_switch: KillSwitch
    relay: Relay

    def answer(self, sidecar: Sidecar, asked: str, body: bytes) -> bytes | None:
        """Return the body of the answer, None when this is about no lease. Raises BadRequest."""
        match asked:
            case "lease":
                return self._renew(sidecar, read(_RENEWAL, body))
            case "leases":
                return self._renew_many(sidecar, read(_RENEWALS, body))
            case "acknowledge":
                holder, epoch = read(_ACKNOWLEDGED, body)
                self.relay.acknowledged(name_of(sidecar, holder), epoch)
                return b"null"
            case "leave":
                self.relay.left(name_of(sidecar, read(_LEFT, body)[0]))
                return b"null"
            case _:
                return None

    def _renew(self, sidecar: Sidecar, renewal: Renewal) -> bytes:
        remaining_s, granted = self.relay.grant(((name_of(sidecar, renewal.holder), renewal),))
        if not granted:
            raise _no_room()
        news = self._news(sidecar, renewal.known)
        return _GRANT.dump_json(Grant(renewal.nonce, remaining_s, news, self.relay.now()))

    def _renew_many(self, sidecar: Sidecar, asked: Renewals) -> bytes:
        """Grant to all there is room for; the news are those after what the last of them knows."""
        holders = asked.holders
        if not 0 < len(holders) <= MAX_AT_ONCE:
            raise BadRequest("invalid-arguments", f"Renew for 1 to {MAX_AT_ONCE} holders at once.")
        named = [(name_of(sidecar, one.holder), one) for one in holders]
        remaining_s, granted = self.relay.grant(named)
        if not granted:
            raise _no_room()
        news = self._news(sidecar, min(one.known for one in holders))
        return _GRANTS.dump_json(Grants(granted, remaining_s, news, self.relay.now()))

    def _news(self, sidecar: Sidecar, known: int) -> tuple[KillEntry, ...]:
        return tuple(map(sidecar.told, self.kill_switch.since(known)))


def name_of(sidecar: Sidecar, holder: str) -> str:
    """Return the name of a holder that no other sidecar can take. Raises BadRequest."""
    if len(holder) > MAX_NAME:
        raise BadRequest("invalid-arguments", f"A holder's name has at most {MAX_NAME} characters.")
    return f"{sidecar.name}/{holder}"


def read(shape: TypeAdapter[Any], body: bytes) -> Any:
    """Return what a sidecar asks. Raises BadRequest when it does not fit."""
    try:
        return shape.validate_json(body, strict=True)
    except ValidationError:
        cure = "The request does not fit; use the same Detent on both sides."
        raise BadRequest("invalid-arguments", cure) from None


def _no_room() -> BadRequest:
    return BadRequest("too-many-holders", "Too many sidecars are attached.", 503)
