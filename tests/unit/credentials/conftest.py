"""One gateway's keys and broker, one resource's verifier, and a clock both look at."""

from collections.abc import Callable
from pathlib import Path

import pytest

from credentials.base import LeaseRequest
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.verify import Verifier

ARGUMENTS_SHA256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}


def lease_request(**changes: object) -> LeaseRequest:
    fields: dict[str, object] = {
        "lease_id": "lse_1",
        "step_id": "stp_1",
        "session_id": "ses_1",
        "subject": "acme/nightly-loop",
        "audience": "https://records.example",
        "scope": ("records:write",),
        "ttl_s": 30,
        "tool": "records/update",
        "arguments_sha256": ARGUMENTS_SHA256,
        "tool_pin": "sha256:" + "b" * 64,
        "policy_revision": "git:abc",
        "decision_id": "dec_1",
        "epoch": 7,
        "write": True,
    }
    return LeaseRequest(**(fields | changes))  # type: ignore[arg-type]  # a table of changes


@pytest.fixture
def wanted() -> Callable[..., LeaseRequest]:
    """Make a lease request; keywords change single fields."""
    return lease_request


@pytest.fixture
def time_s() -> list[float]:
    """Keep the one clock, in Unix seconds: set `time_s[0]` to move it."""
    return [1_800_000_000.0]


@pytest.fixture
def clock(time_s: list[float]) -> Callable[[], float]:
    return lambda: time_s[0]


@pytest.fixture
def keys(tmp_path: Path) -> KeyDirectory:
    return KeyDirectory.open(tmp_path / "keys")


@pytest.fixture
def broker(keys: KeyDirectory, clock: Callable[[], float]) -> JwtBroker:
    return JwtBroker(keys, "https://detent.example", clock)


@pytest.fixture
def verifier(keys: KeyDirectory, clock: Callable[[], float]) -> Verifier:
    return Verifier(
        jwks=keys.jwks,
        issuer="https://detent.example",
        audience="https://records.example",
        epoch_floor=lambda _: 7,
        clock=clock,
    )
