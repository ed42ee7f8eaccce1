"""What is checked: the safe model, how sharp its bound is, and the mutants, one macro each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One build of the model. `breaks`: the claim that has to fail; None: all have to hold."""

    name: str
    macro: str | None
    breaks: str | None

    @property
    def safe(self) -> bool:
        """Whether it has to hold, and be searched to the end."""
        return self.breaks is None


CASES = (
    Case("safe", None, None),
    Case("bound less one tick", "SHARP", "BOUND"),
    Case("expiry from receipt", "MUTANT_EXPIRY_FROM_RECEIPT", "BOUND"),
    Case("heartbeat as freshness", "MUTANT_HEARTBEAT", "EFFECTIVE"),
    Case("full relay lease", "MUTANT_FULL_RELAY_LEASE", "BOUND"),
    Case("stale primary", "MUTANT_STALE_PRIMARY", "EFFECTIVE"),
    Case("unbounded pause", "MUTANT_UNBOUNDED_PAUSE", "FLAG"),
    Case("token outlives lease", "MUTANT_TOKEN_OUTLIVES_LEASE", "BOUND"),
    Case("any nonce", "MUTANT_ANY_NONCE", "BOUND"),
    Case("reply overwrites epoch", "MUTANT_REPLY_OVERWRITES", "EFFECTIVE"),
    Case("push extends", "MUTANT_PUSH_EXTENDS", "PUSH"),
    Case("relay acks alone", "MUTANT_RELAY_ACKS_ALONE", "EFFECTIVE"),
    Case("restart keeps row", "MUTANT_RESTART_KEEPS_ROW", "EFFECTIVE"),
    Case("no pause in expiry", "MUTANT_NO_PAUSE_IN_EXPIRY", "EFFECTIVE"),
    Case("plain read", "MUTANT_PLAIN_READ", "INTENT"),
)
