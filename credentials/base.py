"""The broker port: what is asked for, what is lent, how it fails.

BrokerError
├── BrokerMisconfigured  settings, keys or secrets that must not be used
├── GrantRefused         the request is wider than this broker may ever give
└── BrokerUnavailable    the provider did not answer
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class BrokerError(Exception):
    """A credential could not be lent. The text never carries a provider's message or a secret."""


class BrokerMisconfigured(BrokerError):
    """Settings, keys or secrets that must not be used: refused at start; the text has the cure."""


class GrantRefused(BrokerError):
    """The request is wider than this broker may give."""


class BrokerUnavailable(BrokerError):
    """The provider did not answer; try again."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """One call that needs a credential.

    `lease_id` becomes the token's `jti`; `subject` is `tenant/agent`; `ttl_s` in seconds (1 to 60);
    `tool` is `server/tool`; `tool_pin` names its definition; `write` says that the call changes
    something. `ends_by_s` (Unix seconds): what the target checks itself ends by then at the latest.
    """

    lease_id: str
    step_id: str
    session_id: str
    subject: str
    audience: str
    scope: tuple[str, ...]
    ttl_s: int
    tool: str
    arguments_sha256: str
    tool_pin: str
    policy_revision: str
    decision_id: str
    epoch: int
    write: bool
    ends_by_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Lease:
    """A lent credential: the headers it puts on the request. Headers never show in a repr."""

    id: str
    broker: str
    expires_at: datetime
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


class Broker(Protocol):
    """Lends credentials of one kind.

    `is_fenced`: its targets check the end of each credential themselves, so that a call that leaves
    late is refused there. Anything else only ends in our own books.
    """

    name: str
    is_fenced: bool

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        """Describe the credential that would be lent, without minting anything or any secret.

        Raises GrantRefused.
        """
        ...

    async def mint(self, request: LeaseRequest) -> Lease:
        """Lend one credential. Raises GrantRefused, BrokerUnavailable."""
        ...

    async def revoke(self, lease_id: str) -> None:
        """Take a credential back, as far as the provider can. Raises BrokerUnavailable."""
        ...
