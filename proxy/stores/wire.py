"""The store port as JSON: what a sidecar asks a gateway, and what it gets.

Built from the port's own annotations, so that a method whose types change changes on both sides.
Arguments travel as an array in the order of the parameters, results as they are; datetimes are
RFC 3339, enums their values, bytes the JSON text that they are everywhere in the port.
"""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from proxy.errors import BadRequest
from proxy.stores.base import Approvals, Hooks, KillLog, Ledger, Outbox, Sessions

REMOTE = frozenset(
    {
        "announce",
        "approval",
        "ask_approval",
        "carry",
        "claimed",
        "dry_run_scopes",
        "end_session",
        "enqueue_alert",
        "hook_session",
        "is_carried",
        "kill_log",
        "lock_agent",
        "mark_sending",
        "open_hook_session",
        "open_session",
        "record",
        "record_kill_verdict",
        "reserve",
        "session",
        "session_by_token",
        "settle",
        "step_of",
        "standing_approval",
        "view",
    }
)
"""What a sidecar may ask for: what a call needs. Lists and rulings are for operators."""

_PORTS = (Sessions, Hooks, Ledger, Approvals, KillLog, Outbox)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of the port: how its arguments and its result are written."""

    name: str
    arguments: TypeAdapter[Any]
    result: TypeAdapter[Any]
    defaults: tuple[Any, ...]
    count: int

    def pack(self, given: tuple[Any, ...]) -> bytes:
        """Return arguments as JSON; those left out have their defaults."""
        missing = self.count - len(given)
        return self.arguments.dump_json(given + self.defaults[len(self.defaults) - missing :])

    def unpack(self, body: bytes) -> tuple[Any, ...]:
        """Return arguments. Raises BadRequest."""
        try:
            arguments: tuple[Any, ...] = self.arguments.validate_json(body, strict=True)
        except ValidationError:
            cure = f"The arguments of {self.name} do not fit; use the same Detent on both sides."
            raise BadRequest("invalid-arguments", cure) from None
        return arguments


@cache
def operations() -> dict[str, Operation]:
    """Return what can be asked for, by name."""
    methods = {name: method for port in _PORTS for name, method in vars(port).items()}
    return {name: _operation(name, methods[name]) for name in sorted(REMOTE)}


def _operation(name: str, method: Any) -> Operation:
    hints = get_type_hints(method)
    result = hints.pop("return")
    parameters = [one for one in inspect.signature(method).parameters.values() if one.name in hints]
    defaults = tuple(one.default for one in parameters if one.default is not one.empty)
    shape: Any = tuple.__class_getitem__(tuple(hints[one.name] for one in parameters))
    return Operation(name, TypeAdapter(shape), TypeAdapter(result), defaults, len(parameters))
