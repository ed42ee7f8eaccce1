import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from proxy.app.delivered import (
    begun,
    candidate_delivered,
    delivered_of,
    follow,
    source_of,
    trust_of,
)
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import ConfigError, PolicyInvalid
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import write

Make = Callable[..., Settings]


@pytest.fixture
def verify(tmp_path: Path) -> dict[str, str]:
    """`policy.verify`."""
    return BundleKey.make().settings(tmp_path)


def secrets_of(settings: Settings) -> Secrets:
    return Secrets(settings, {"TOKEN": "a-token-of-more-than-32-characters"})


@pytest.mark.parametrize(
    "policy",
    [
        {"bundle": "b.tar.gz"},
        {"bundle": "https://policies.acme/b.tar.gz"},
        {"bundle": "https://policies.acme/b", "pull": {"token": {"env": "TOKEN"}}},
    ],
)
async def test_a_signed_bundle_comes_from_where_it_is(
    settings_of: Make, opa: Path, verify: Any, policy: dict[str, Any]
) -> None:
    """A file, a URL, a URL that wants a token; nothing is asked yet."""
    settings = settings_of(policy={**policy, "verify": verify})
    await delivered_of(settings, secrets_of(settings), opa).close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"verify": {"keyid": "k", "key": "lost.pem"}}, r"policy\.verify\.key: cannot be read"),
        ({"verify": {"keyid": "k", "key": "bad.pem"}}, r"policy\.verify\.key: not a public key"),
        ({"bundle": "https://user@policies.acme/b"}, r"policy\.bundle: .*userinfo"),
        ({"pull": {"token": {"env": "LOST"}}}, r"policy\.pull\.token"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(
    settings_of: Make, opa: Path, verify: Any, tmp_path: Path, change: Any, told: str
) -> None:
    """With its place."""
    (tmp_path / "bad.pem").write_text("x")
    policy = {"bundle": "https://policies.acme/b", "verify": verify, **change}
    settings = settings_of(policy=policy)
    with pytest.raises(ConfigError, match=told):
        delivered_of(settings, secrets_of(settings), opa)


def test_a_directory_needs_no_key(settings_of: Make, opa: Path) -> None:
    """Trust in a key is asked for by what travels."""
    assert candidate_delivered(settings_of(policy={"shadow": "next"}), opa) is None
    with pytest.raises(ConfigError, match=r"policy\.verify"):
        trust_of(settings_of())


async def test_a_check_looks_at_what_would_be_served(
    settings_of: Make, opa: Path, tmp_path: Path
) -> None:
    """A directory as it is; an archive after its verification, under its own revision."""
    key = BundleKey.make()
    (tmp_path / "b.tar.gz").write_bytes(key.deliver(write(tmp_path / "policies"), 1))
    revisions = []
    for policy in ({}, {"bundle": "b.tar.gz", "verify": key.settings(tmp_path)}):
        settings = settings_of(policy=policy)
        async with contextlib.AsyncExitStack() as undo:
            source = await source_of(settings, secrets_of(settings), opa, undo)
            revisions.append(source.stage()[0].revision)
    assert revisions[0] == revisions[1]


class Live:
    """A policy in force that keeps what people were told; `over` is set after the last look."""

    def __init__(self, found: list[str]) -> None:
        self.found = found
        self.told: list[str] = []
        self.over = asyncio.Event()

    async def follow_once(self, told: str = "") -> str:
        self.told.append(told)
        if len(self.told) > len(self.found):
            self.over.set()
            return ""
        return self.found[len(self.told) - 1]


async def test_the_source_is_looked_at_once_the_gateway_has_started() -> None:
    """Each look knows what trouble the one before it told."""
    live, started = Live(["", "away", "older"]), asyncio.Event()
    following = asyncio.create_task(follow(live, 0, started.wait))
    await asyncio.sleep(0.01)
    assert live.told == []
    started.set()
    async with asyncio.timeout(5):
        await live.over.wait()
    following.cancel()
    assert live.told[:4] == ["", "", "away", "older"]


class Newer:
    """A source that has another bundle, or not."""

    def __init__(self, *, is_new: bool) -> None:
        self.is_new = is_new

    async def look(self) -> bool:
        return self.is_new


async def test_a_last_good_policy_that_is_good_no_more_gives_way_to_a_newer_one() -> None:
    """Without a newer one there is no start."""
    tries: list[int] = []

    def assemble() -> str:
        tries.append(len(tries))
        if len(tries) == 1:
            raise PolicyInvalid("refused since the update")
        return "assembled"

    assert await begun(cast("Any", Newer(is_new=True)), assemble) == "assembled"
    tries.clear()
    with pytest.raises(PolicyInvalid, match="since the update"):
        await begun(cast("Any", Newer(is_new=False)), assemble)
