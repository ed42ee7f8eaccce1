import pytest

from proxy.ingress.operator_known import UNKNOWN, KnownScopes
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from tests.harness.operators import Plane

CONFIGURED = frozenset(
    {
        Scope(ScopeKind.TENANT, "initech"),
        Scope(ScopeKind.AGENT, "initech/loop"),
        Scope(ScopeKind.TOOL, "repo/git_commit"),
    }
)


async def matched(plane: Plane, *scopes: Scope) -> bool | None:
    return await KnownScopes(lambda: CONFIGURED, plane.store).match(scopes)


@pytest.mark.parametrize("scope", [GLOBAL, *sorted(CONFIGURED)])
async def test_what_is_configured_is_known(plane: Plane, scope: Scope) -> None:
    """Without a session of it."""
    assert await matched(plane, scope) is True


async def test_what_has_sessions_is_known(plane: Plane) -> None:
    """Tenants and agents that no file names."""
    session = await plane.session("acme", "dynamic")
    for scope in (
        Scope(ScopeKind.SESSION, session.id),
        Scope(ScopeKind.TENANT, "acme"),
        Scope(ScopeKind.AGENT, "acme/dynamic"),
    ):
        assert await matched(plane, scope) is True


@pytest.mark.parametrize(
    "scope",
    [
        Scope(ScopeKind.TENANT, "acne"),
        Scope(ScopeKind.AGENT, "acme/looop"),
        Scope(ScopeKind.AGENT, "globex/loop"),
        Scope(ScopeKind.SESSION, "ses_never"),
        Scope(ScopeKind.TOOL, "repo/git_comit"),
    ],
)
async def test_a_misspelt_scope_is_not_known(plane: Plane, scope: Scope) -> None:
    """Alone or beside one that is."""
    await plane.session("acme", "loop")
    assert await matched(plane, scope) is False
    assert await matched(plane, GLOBAL, scope) is False


async def test_a_ledger_that_cannot_be_read_knows_nothing(plane: Plane) -> None:
    """Neither yes nor no."""
    plane.store.broken = True
    assert await matched(plane, Scope(ScopeKind.SESSION, "ses_1")) is None


async def test_a_kill_of_nobody_says_so_and_holds(plane: Plane) -> None:
    """The scope may be about to exist."""
    scope = Scope(ScopeKind.AGENT, "acme/looop")
    status, answer = await plane.ask("POST", "/killswitch", {"scope": "agent:acme/looop"})
    assert (status, answer["committed"]) == (200, True)
    assert (answer["matched"], answer["warning"]) == (False, UNKNOWN)
    assert plane.kill_switch.covers([scope])


async def test_a_kill_of_somebody_has_no_warning(plane: Plane) -> None:
    """It is told that there was something to stop."""
    session = await plane.session()
    for body in ({"scope": f"session:{session.id}"}, None):
        _, answer = await plane.ask("POST", "/killswitch", body)
        assert answer["matched"] is True
        assert "warning" not in answer
