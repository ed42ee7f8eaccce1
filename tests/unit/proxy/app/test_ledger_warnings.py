from collections.abc import Callable
from typing import Any

import pytest

from proxy.app import ledger_warnings as module
from proxy.app.ledger_warnings import ledger_warnings
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import StoreUnavailable
from proxy.stores.postgres.standing import Standing
from tests.harness.postgres import Server

SettingsOf = Callable[..., Settings]
SOUND = Standing("*", 2, True, 97)
AT = "postgresql://detent@db.example/ledger"
LOCAL = "postgresql://detent@localhost/ledger"
TWO = "postgresql://detent@db1.example,db2.example/ledger"

# name: (URL, what the server says, workers, words of each warning)
WARNED: dict[str, tuple[str, Standing, int, list[str]]] = {
    "sound": (AT, SOUND, 2, []),
    "plain": (f"{AT}?sslmode=disable", SOUND, 1, ["plain text"]),
    "plain, local": (f"{LOCAL}?sslmode=disable", SOUND, 1, []),
    "unverified": (f"{AT}?sslmode=require", SOUND, 1, ["trusts whoever answers"]),
    "alone": (AT, Standing("", 0, True, 97), 1, []),
    "asynchronous": (AT, Standing("", 1, True, 97), 1, ["synchronous_standby_names"]),
    "failover": (TWO, Standing("", 0, True, 97), 1, ["synchronous_standby_names"]),
    "forgetful": (AT, Standing("*", 1, False, 97), 1, ["set both to on"]),
    "crowded": (AT, SOUND, 5, ["takes 97 connections, we may want 100"]),
    "all": (f"{TWO}?sslmode=disable", Standing("", 1, False, 9), 1, [
        "plain", "asynchronous", "fsync", "max_connections",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("what", WARNED)
async def test_what_a_shared_ledger_may_lose_is_told(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A sentence for each, with its cure."""
    url, standing, workers, told = WARNED[what]

    async def says(_: Any) -> Standing:
        return standing

    monkeypatch.setattr(module, "standing_of", says)
    settings = settings_of(store=url, workers=workers)
    warnings = await ledger_warnings(settings, Secrets(settings, {}))
    assert len(warnings) == len(told)
    for words, warning in zip(told, warnings, strict=True):
        assert words in warning


async def test_a_server_that_does_not_say_is_told(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be known without it is told too."""

    async def fails(_: Any) -> Standing:
        raise StoreUnavailable("It does not tell.")

    monkeypatch.setattr(module, "standing_of", fails)
    settings = settings_of(store=f"{AT}?sslmode=disable")
    warnings = await ledger_warnings(settings, Secrets(settings, {}))
    assert warnings[1:] == ["It does not tell."]


@pytest.mark.parametrize(
    "blocks", [{}, {"attach": {"url": "http://localhost:8789", "token": {"env": "T"}}}]
)
async def test_a_ledger_that_is_not_ours_to_judge_is_not(
    settings_of: SettingsOf, blocks: dict[str, Any]
) -> None:
    """A file of one process; the ledger of the gateway a sidecar is attached to."""
    settings = settings_of(**blocks)
    assert await ledger_warnings(settings, Secrets(settings, {})) == []


async def test_a_real_server_is_asked(settings_of: SettingsOf, postgres: Server) -> None:
    """The one of the tests does not sync what it writes."""
    settings = settings_of(store=postgres.new())
    (warning,) = await ledger_warnings(settings, Secrets(settings, {}))
    assert "fsync" in warning
