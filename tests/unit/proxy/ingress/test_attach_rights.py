from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.attach_rights import Rights
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.session import BudgetView, SessionView
from proxy.model.sidecar import Sidecar
from proxy.stores.sqlite import SqliteStore
from proxy.stores.wire import REMOTE
from tests.harness.approving import question
from tests.harness.ledger import LIMITS, NOW, Call, session

MINE = Sidecar("pod-1", frozenset({"acme/loop"}))


@pytest.fixture
def rights(tmp_path: Path) -> Rights:
    return Rights(MINE, SqliteStore(tmp_path / "detent.db"))


def view(**changes: Any) -> SessionView:
    return SessionView(session(**changes), 1, BudgetView(10), BudgetView(10))


@pytest.mark.parametrize("agent", ["loop", "other"])
def test_a_result_about_anothers_agent_is_not_shown(rights: Rights, agent: str) -> None:
    """As if there were none."""
    asked = question(binding=replace(question().binding, agent=agent))
    for result in (session(agent=agent), view(agent=agent), asked):
        assert (rights.shown(result) is result) is (agent == "loop")


def test_what_names_nobody_is_shown(rights: Rights) -> None:
    """Numbers, truth, nothing."""
    assert [rights.shown(one) for one in (None, True, 3)] == [None, True, 3]


def test_toggles_that_cover_its_agents_are_shown(rights: Rights) -> None:
    """Of other tenants and agents not even that there are some."""
    mine = (
        GLOBAL,
        Scope(ScopeKind.TENANT, "acme"),
        Scope(ScopeKind.AGENT, "acme/loop"),
        Scope(ScopeKind.SESSION, "ses1"),
    )
    others = (Scope(ScopeKind.TENANT, "globex"), Scope(ScopeKind.AGENT, "acme/other"))
    assert rights.shown((*mine, *others)) == mine


async def test_every_method_has_a_check(tmp_path: Path) -> None:
    """One that is put on the wire without one is an error, not a hole."""
    store = SqliteStore(tmp_path / "detent.db")
    await store.open()
    nobody = Rights(Sidecar("pod-0", frozenset()), store)
    naming = {
        "announce": (session(), "toolu", NOW),
        "ask_approval": (question(), 5),
        "carry": ("acme", "loop", "toolu"),
        "claimed": (session(), None),
        "end_session": ("ses1", NOW),
        "hook_session": ("acme", "loop", None),
        "is_carried": ("acme", "loop", "toolu"),
        "lock_agent": ("acme", "loop", "", NOW),
        "open_hook_session": (session(), None, 10),
        "open_session": (session(), None, 10),
        "record": (Call().decision,),
        "reserve": (Call().reservation(),),
        "standing_approval": (question().binding, NOW),
        "step_of": (session(), "key"),
        "view": (session(), LIMITS, NOW),
    }
    for name in REMOTE - naming.keys() - {"enqueue_alert"}:
        await nobody.check(name, ())
    for name, arguments in naming.items():
        with pytest.raises(BadRequest, match=r"agent|session"):
            await nobody.check(name, arguments)
    await store.close()
