"""What monitors see, and the alerts people get."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class FindingAction(StrEnum):
    """What a finding makes the gateway do."""

    NOTE = "note"
    REDACT_AND_LOCK = "redact_and_lock"
    DENY_AND_LOCK = "deny_and_lock"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a monitor saw; `subject` names the thing (a canary's name), never a secret's value."""

    monitor: str
    severity: Severity
    action: FindingAction
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One message for people; `id` is the same at every delivery."""

    id: str
    at: datetime
    kind: str
    severity: Severity
    message: str
    tenant: str = ""
    agent: str = ""
    session_id: str = ""
    step_id: str = ""
