from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured, BrokerUnavailable, GrantRefused, LeaseRequest
from credentials.secret_source import EnvSecret, FileSecret
from credentials.static_broker import StaticBroker

Wanted = Callable[..., LeaseRequest]
SECRET = "s3cr3t-enough"
SOURCE = EnvSecret("KEY", {"KEY": SECRET})


def static(
    header: str = "X-Api-Key", prefix: str = "", *, allow_writes: bool = False
) -> StaticBroker:
    return StaticBroker("search", header, prefix, SOURCE, allow_writes=allow_writes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "api-key"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


async def test_the_key_is_lent_in_its_header(wanted: Wanted, clock: Callable[[], float]) -> None:
    """Prefix and secret make the value; the expiry is the asked lifetime."""
    broker = StaticBroker("search", "Authorization", "Token ", SOURCE, clock=clock)
    lease = await broker.mint(wanted(write=False))
    assert dict(lease.headers) == {"Authorization": f"Token {SECRET}"}
    assert (lease.id, lease.broker) == ("lse_1", "search")
    assert lease.expires_at == datetime.fromtimestamp(1_800_000_030, UTC)


async def test_a_write_needs_consent(wanted: Wanted) -> None:
    """A key that is not bound to the call changes nothing unless the author allowed it."""
    with pytest.raises(GrantRefused, match="reads only"):
        await static().mint(wanted(write=True))
    with pytest.raises(GrantRefused, match="reads only"):
        static().preview(wanted(write=True))
    assert (await static(allow_writes=True).mint(wanted(write=True))).headers


async def test_a_lifetime_out_of_bounds_is_refused(wanted: Wanted) -> None:
    """The bounds of every grant hold for a static key too."""
    with pytest.raises(GrantRefused, match="lifetime"):
        await static().mint(wanted(write=False, ttl_s=61))


def test_a_preview_names_the_header_only(wanted: Wanted) -> None:
    """It says that the key is not scoped, and shows nothing of it."""
    preview = static().preview(wanted(write=False))
    assert preview["note"] == "static key, not scoped to the call"
    assert (preview["header"], preview["minted"]) == ("X-Api-Key", False)
    assert SECRET not in str(preview)


@pytest.mark.parametrize(
    "header",
    [
        *("Host", "Content-Length", "Transfer-Encoding", "CONNECTION", "Cookie", "Set-Cookie"),
        *("TE", "Upgrade", "Expect", "Content-Type", "Proxy-Authorization", "Idempotency-Key"),
        *("X-Forwarded-For", "Mcp-Session-Id", "X-Detent-Session", "Sec-Fetch-Site"),
        *("", "X Key", "X-Key:", "X-Key\r\nHost", "Xé", ":authority", "x" * 65),
    ],
)
def test_a_header_that_changes_the_request_is_refused(header: str) -> None:
    """Framing, routing, state and identity headers carry no keys, and no name carries a line."""
    with pytest.raises(BrokerMisconfigured):
        static(header)


@pytest.mark.parametrize("prefix", ["Bearer\r\n", "Bearer\0", "é "])
def test_a_prefix_that_is_not_plain_is_refused(prefix: str) -> None:
    """A prefix cannot start another header."""
    with pytest.raises(BrokerMisconfigured, match="prefix"):
        static("Authorization", prefix)


def test_a_bad_secret_is_refused_at_the_start(file: Path) -> None:
    """Not at the first call, when nobody is looking."""
    file.chmod(0o644)
    with pytest.raises(BrokerMisconfigured, match="chmod 600"):
        StaticBroker("search", "X-Api-Key", "", FileSecret(file))


async def test_a_secret_gone_bad_later_is_unavailable(file: Path, wanted: Wanted) -> None:
    """The port's own error, with the cure, and without the chain behind it."""
    broker = StaticBroker("search", "X-Api-Key", "", FileSecret(file))
    file.chmod(0o644)
    with pytest.raises(BrokerUnavailable, match="chmod 600") as refused:
        await broker.mint(wanted(write=False))
    assert refused.value.__suppress_context__


async def test_a_redactor_knows_the_key_and_the_one_before(file: Path, wanted: Wanted) -> None:
    """After a rotation a late answer may still echo the old key; older ones are dropped."""
    broker = StaticBroker("search", "X-Api-Key", "", FileSecret(file))
    assert broker.secrets() == (SECRET,)
    for secret in ("second-secret", "second-secret", "third-secret"):
        file.write_text(secret)
        await broker.mint(wanted(write=False))
    assert broker.secrets() == ("third-secret", "second-secret")


def test_the_broker_s_repr_leaves_the_source_out() -> None:
    """A source may show more of itself than it should."""

    @dataclass
    class Careless:
        secret: str

        def read(self) -> str:
            return self.secret

    assert SECRET not in repr(StaticBroker("search", "X-Api-Key", "", Careless(SECRET)))


async def test_revoking_takes_nothing_back(wanted: Wanted) -> None:
    """The key stays good at the tool, and is lent again."""
    broker = static()
    lease = await broker.mint(wanted(write=False))
    await broker.revoke(lease.id)
    assert (await broker.mint(wanted(write=False))).headers == lease.headers
