from datetime import UTC, datetime

import pytest

from proxy.model.kill import GLOBAL, KillAction, KillEntry, KillOrder, Scope, ScopeKind
from proxy.model.sidecar import Sidecar

MINE = Sidecar("pod-1", frozenset({"acme/loop"}))
FOREIGN = [Scope(ScopeKind.TENANT, "globex"), Scope(ScopeKind.AGENT, "acme/other")]
TOUCHING = [
    GLOBAL,
    Scope(ScopeKind.TENANT, "acme"),
    Scope(ScopeKind.AGENT, "acme/loop"),
    Scope(ScopeKind.SESSION, "ses1"),
    Scope(ScopeKind.TOOL, "repo/push"),
]


def entry(*scopes: Scope) -> KillEntry:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return KillEntry(7, KillOrder("kil", KillAction.KILL, scopes, "oncall", "runaway", at))


def test_a_sidecar_speaks_for_its_agents_only() -> None:
    """Tenant and agent together."""
    assert MINE.covers("acme", "loop")
    assert not MINE.covers("globex", "loop")
    assert not MINE.covers("acme", "other")


@pytest.mark.parametrize("scope", TOUCHING, ids=lambda scope: scope.kind.value)
def test_what_may_touch_its_agents_is_told_whole(scope: Scope) -> None:
    """By whom and why as well."""
    assert MINE.told(entry(scope)) == entry(scope)


@pytest.mark.parametrize("scope", FOREIGN, ids=lambda scope: scope.kind.value)
def test_of_others_only_the_epoch_is_told(scope: Scope) -> None:
    """It has to be acknowledged all the same."""
    told = MINE.told(entry(scope, GLOBAL))
    assert (told.epoch, told.order.scopes) == (7, (GLOBAL,))
    assert (told.order.actor, told.order.reason) == ("", "")
    assert MINE.told(entry(scope)).order.scopes == ()
