"""What the policy decision point answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Verdict(StrEnum):
    """Deny beats hold beats allow."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a kebab-case id of the one table, and a sentence for people."""

    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Obligation:
    """What must be done for the verdict to stand; an unknown `type` means deny."""

    type: str
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Grant:
    """The credential a decision permits. `ttl_s` in seconds."""

    broker: str
    audience: str = ""
    scope: tuple[str, ...] = ()
    ttl_s: int = 30


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of the policy. `risk` is the cost in points."""

    id: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    policy_revision: str
    obligations: tuple[Obligation, ...] = ()
    grant: Grant | None = None
    risk: int = 0
    labels: tuple[str, ...] = ()
