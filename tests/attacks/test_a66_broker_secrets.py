"""A66: no broker shows a secret in a repr, an error, a preview, a log line or a traceback (I22)."""

import asyncio
import base64
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from credentials.base import BrokerError, Lease, LeaseRequest
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.secret_source import EnvSecret, FileSecret
from credentials.static_broker import StaticBroker
from credentials.verify import InvalidToken, ReplayCache, Verifier

SECRET = "s3cr3t-value-of-a-tool"
REQUEST = LeaseRequest(
    lease_id="lse_1",
    step_id="stp_1",
    session_id="ses_1",
    subject="acme/loop",
    audience="https://records.example",
    scope=("records:read",),
    ttl_s=30,
    tool="records/get",
    arguments_sha256="a" * 64,
    tool_pin="sha256:" + "b" * 64,
    policy_revision="git:abc",
    decision_id="dec_1",
    epoch=0,
    write=False,
)


def shown_in(*things: object) -> str:
    """Everything a log or a debugger's summary would print of these."""
    return "\n".join(f"{thing!r} {thing!s} {[thing]!r}" for thing in things)


def told_by(failing: Callable[[], object]) -> str:
    """Format the whole traceback of a failure, chained exceptions included."""
    with pytest.raises((BrokerError, InvalidToken)) as raised:
        failing()
    return "".join(traceback.format_exception(raised.value)) + repr(raised.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "api-key"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def test_a66_a_static_key_shows_nowhere(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sources, broker, preview and lease keep it to the headers."""
    caplog.set_level(logging.DEBUG)
    sources = FileSecret(file), EnvSecret("KEY", {"KEY": SECRET})
    broker = StaticBroker("search", "X-Api-Key", "", sources[0])
    lease: Lease = asyncio.run(broker.mint(REQUEST))
    assert lease.headers["X-Api-Key"] == SECRET
    assert SECRET not in shown_in(*sources, broker, lease, broker.preview(REQUEST)) + caplog.text


@pytest.mark.parametrize("spoiled", [f"{SECRET}\nX-Evil: 1", f"{SECRET}é", f" {SECRET}"])
def test_a66_a_refused_key_shows_in_no_traceback(file: Path, spoiled: str) -> None:
    """At the start and at the mint the text names the file and not its content."""
    broker = StaticBroker("search", "X-Api-Key", "", FileSecret(file))
    file.write_text(spoiled)
    told = told_by(lambda: asyncio.run(broker.mint(REQUEST)))
    told += told_by(lambda: StaticBroker("search", "X-Api-Key", "", FileSecret(file)))
    assert "api-key" in told
    assert SECRET not in told


def test_a66_a_private_key_shows_nowhere(tmp_path: Path) -> None:
    """Key, directory, broker and key set show neither the PEM nor the number."""
    keys = KeyDirectory.open(tmp_path / "keys")
    broker = JwtBroker(keys, "https://detent.example")
    scalar = keys.active.private.private_numbers().private_value
    pem = next((tmp_path / "keys").glob("*.pem")).read_text().splitlines()[1]
    shown = shown_in(keys, keys.active, keys._keys, broker, keys.jwks(), broker.preview(REQUEST))
    base64_scalar = base64.urlsafe_b64encode(scalar.to_bytes(32, "big")).decode().rstrip("=")
    for secret in (pem, str(scalar), f"{scalar:x}", base64_scalar):
        assert secret not in shown


def test_a66_a_broken_key_shows_in_no_traceback(tmp_path: Path) -> None:
    """The parser's own message is dropped: it may quote what it could not read."""
    KeyDirectory.open(tmp_path / "keys")
    next((tmp_path / "keys").glob("*.pem")).write_text(f"-----BEGIN {SECRET}-----\n{SECRET}")
    assert SECRET not in told_by(lambda: KeyDirectory.open(tmp_path / "keys"))


def test_a66_a_token_shows_in_no_lease_and_no_refusal(tmp_path: Path) -> None:
    """Neither the lease nor the verifier's errors repeat the token or a part of it."""
    keys = KeyDirectory.open(tmp_path / "keys")
    lease = asyncio.run(JwtBroker(keys, "https://detent.example").mint(REQUEST))
    token = lease.headers["Authorization"].removeprefix("Bearer ")
    once = ReplayCache()
    verifier = Verifier(keys.jwks, "https://detent.example", REQUEST.audience, lambda _: 0, once)
    call = verifier.verify(token)
    told = shown_in(lease, call, verifier, once) + told_by(lambda: verifier.verify(token))
    told += told_by(lambda: verifier.verify(token[:-9] + "AAAAAAAAA"))
    assert not any(part in told for part in token.split("."))
