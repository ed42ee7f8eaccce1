import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from proxy.app.delivered import candidate_delivered, delivered_of, follow, source_of, trust_of
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import ConfigError, PolicyInvalid, PolicyUnavailable
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


class Looked:
    """Finds what it is told to, one after the other; `over` is set after the last."""

    def __init__(self, found: list[Any]) -> None:
        self.found = found
        self.over = asyncio.Event()

    async def look(self) -> bool:
        if not self.found:
            self.over.set()
            return False
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return bool(found)


class Live:
    """A policy in force that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def reload(self, *, older: bool = False) -> str:
        del older
        self.heard.append("reload")
        raise PolicyInvalid("its suites fail")

    async def refuse(self, kind: str, message: str) -> None:
        self.heard.append(f"{kind}: {message}")


async def followed(*found: Any) -> list[str]:
    """Follow through all of these; return what the live policy heard."""
    policy, live, started = Looked(list(found)), Live(), asyncio.Event()
    following = asyncio.create_task(follow(cast("Any", policy), live, 0, started.wait))
    await asyncio.sleep(0.01)
    assert len(policy.found) == len(found)  # not before the gateway has started
    started.set()
    async with asyncio.timeout(5):
        await policy.over.wait()
    following.cancel()
    return live.heard


async def test_what_is_new_is_loaded() -> None:
    """One that does not load ends nothing: the reload has told."""
    assert await followed(False, True, False, True) == ["reload", "reload"]


async def test_a_trouble_is_told_once() -> None:
    """And again after it was over, or when it is another."""
    away, older = PolicyUnavailable("away"), PolicyInvalid("older")
    assert await followed(away, away, older, away, False, away) == [
        "policy-bundle-unavailable: away",
        "policy-bundle-refused: older",
        "policy-bundle-unavailable: away",
        "policy-bundle-unavailable: away",
    ]
