"""What a client carries from one round of a call to the next (MCP 2026-07-28, multi round-trip).

The state is opaque to the client and sealed: HMAC-SHA256 over what the next round has to know,
bound to the principal, its session, the request and a time. A state that was changed, is too old,
or belongs to somebody or something else opens nothing. Replicas share the key, so any of them goes
on with a call whose tool keeps nothing between two rounds.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from credentials.base64url import decode, encode
from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import INVALID_PARAMS
from proxy.model.call import ToolCall
from proxy.pipeline.authenticate import Caller

LIFETIME_S = 600.0

_MAC_BYTES = 32
_FIRST_ROUNDS_SUCCESSOR = 2


@dataclass(frozen=True, slots=True)
class Carried:
    """What the next round has to know.

    `step_id` is the step of the first round ("" when there was none that we know), `number` that
    of the next round. `state` is the tool's own request state, `parked` names a call that waits.
    """

    step_id: str = ""
    number: int = _FIRST_ROUNDS_SUCCESSOR
    state: str | None = None
    parked: str | None = None


class Seal:
    """Seals and opens states.

    `key` gives the 32 random bytes that replicas share, `clock` seconds as they all count them.
    """

    def __init__(
        self,
        key: Callable[[], bytes],
        lifetime_s: float = LIFETIME_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._lifetime_s = lifetime_s
        self._clock = clock

    def sealed(self, carried: Carried, caller: Caller, call: ToolCall) -> str:
        """Return the state of the next round of this caller's call."""
        until = self._clock() + self._lifetime_s
        members = [until, carried.step_id, carried.number, carried.state, carried.parked]
        payload = json.dumps(members, separators=(",", ":")).encode()
        return encode(self._mac(payload, caller, call) + payload)

    def opened(self, state: object, caller: Caller, call: ToolCall) -> Carried:
        """Return what was sealed for this caller's call. Raises BadRequest."""
        try:
            raw = decode(state) if isinstance(state, str) else b""
        except ValueError:
            raw = b""
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, caller, call)):
            raise _refused()
        until, step_id, number, own, parked = json.loads(payload)
        if until < self._clock():
            raise _refused()
        return Carried(step_id, number, own, parked)

    def _mac(self, payload: bytes, caller: Caller, call: ToolCall) -> bytes:
        principal = caller.principal
        owner = [principal.tenant, principal.agent, caller.session.id, call.request_sha256]
        bound = json.dumps(owner).encode()
        return hmac.digest(self._key(), bound + b"\0" + payload, hashlib.sha256)


def own_seal() -> Seal:
    """Return a seal that nobody else can open."""
    key = secrets.token_bytes(32)
    return Seal(lambda: key)


def _refused() -> BadRequest:
    return BadRequest(
        "invalid-request-state",
        "The requestState is not one of this request, or too old; start the call again without it.",
        rpc_code=INVALID_PARAMS,
    )
