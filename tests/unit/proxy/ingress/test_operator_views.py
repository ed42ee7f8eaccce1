import json
from datetime import UTC, datetime
from functools import partial

import pytest
from starlette.requests import Request

from proxy.ingress.operator_access import Access
from proxy.ingress.operator_views import Views
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import IntentState, Settlement
from proxy.model.session import Operator
from proxy.model.tool import Tier
from proxy.monitors.integrity import Irregularity, Kind
from tests.harness.operators import Plane


async def test_sessions_are_listed_newest_first(plane: Plane) -> None:
    """With what the table of `detent sessions` shows."""
    first, second = await plane.session(), await plane.session(agent="other")
    _, answer = await plane.ask("GET", "/v1/sessions")
    assert [row["id"] for row in answer["sessions"]] == [second.id, first.id]
    row = answer["sessions"][1]
    assert (row["tenant"], row["agent"], row["mode"], row["state"]) == (
        "acme",
        "loop",
        "read_write",
        "open",
    )
    assert row["opened_at"].endswith("Z")


async def test_only_sessions_of_ones_tenants_are_listed(plane: Plane) -> None:
    """Rows of others do not use up the limit either."""
    own = await plane.session("acme")
    for _ in range(3):
        await plane.session("globex")
    _, answer = await plane.ask("GET", "/v1/sessions?limit=1", by="acme")
    assert [row["id"] for row in answer["sessions"]] == [own.id]


async def test_a_chain_is_a_session_with_its_steps(plane: Plane) -> None:
    """Newest first, as many as asked for, of no other session."""
    session = await plane.session()
    steps = [await plane.step(session) for _ in range(3)]
    await plane.step(await plane.session(agent="other"))
    _, answer = await plane.ask("GET", f"/v1/chains/{session.id}?limit=2", by="acme")
    assert answer["session"]["id"] == session.id
    assert [step["step_id"] for step in answer["steps"]] == [steps[2], steps[1]]


async def test_a_foreign_chain_does_not_exist(plane: Plane) -> None:
    """The answer is the one for an id nobody ever had."""
    session = await plane.session("globex")
    foreign = await plane.ask("GET", f"/v1/chains/{session.id}", by="acme")
    assert foreign == await plane.ask("GET", "/v1/chains/ses_never", by="acme")
    assert foreign[0] == 404


async def test_decisions_are_those_of_ones_tenants(plane: Plane) -> None:
    """Newest first; all of them for operators of all tenants."""
    for tenant in ("acme", "globex", "acme"):
        await plane.step(await plane.session(tenant))
    for by, tenants in (("acme", ["acme", "acme"]), ("chief", ["acme", "globex", "acme"])):
        _, answer = await plane.ask("GET", "/v1/decisions", by=by)
        assert [row["tenant"] for row in answer["decisions"]] == tenants
    _, answer = await plane.ask("GET", "/v1/decisions?limit=1")
    assert len(answer["decisions"]) == 1


async def test_open_questions_are_listed_without_asking(plane: Plane) -> None:
    """Steps of unknown outcome are what a person has to settle."""
    session = await plane.session()
    step, other = await plane.step(session), await plane.step(session)
    settled = Settlement(step, IntentState.UNKNOWN, datetime.now(UTC))
    await plane.store.settle(settled)
    _, answer = await plane.ask("GET", "/v1/intents", by="acme")
    assert [row["step_id"] for row in answer["intents"]] == [step]
    _, answer = await plane.ask("GET", "/v1/intents?state=intent")
    assert [row["step_id"] for row in answer["intents"]] == [other]


async def test_only_intents_of_ones_tenants_are_listed(plane: Plane) -> None:
    """Another tenant's stuck step is none of one's business."""
    await plane.step(await plane.session("globex"))
    _, answer = await plane.ask("GET", "/v1/intents?state=intent", by="acme")
    assert answer == {"intents": []}


@pytest.mark.parametrize(
    "query", ["state=lost", "state=", "limit=0", "page=2", "state=done&state=x"]
)
async def test_a_bad_query_is_refused(plane: Plane, query: str) -> None:
    """Not answered with something else."""
    assert (await plane.ask("GET", f"/v1/intents?{query}"))[0] == 400


async def test_dry_run_scopes_are_those_that_touch_ones_tenants(plane: Plane) -> None:
    """The global one touches everybody."""
    for scope in (GLOBAL, Scope(ScopeKind.TENANT, "acme"), Scope(ScopeKind.AGENT, "globex/loop")):
        await plane.store.set_dry_run(scope, True, "test", datetime.now(UTC))
    _, answer = await plane.ask("GET", "/v1/dry-run", by="acme")
    assert sorted(scope["kind"] for scope in answer["scopes"]) == ["global", "tenant"]
    _, answer = await plane.ask("GET", "/v1/dry-run")
    assert len(answer["scopes"]) == 3


async def test_a_step_is_shown_with_the_tier_of_its_tool(plane: Plane) -> None:
    """What a kill could do to it; a tool that is gone has none."""
    session = await plane.session()
    await plane.step(session)
    operator = Operator("x", (), ("*",))
    access = Access({}, plane.store)
    request = Request({"type": "http", "query_string": b"state=intent", "headers": []})
    for tiers, tier in (({"repo/git_commit": Tier.C}, "C"), ({}, None)):
        views = Views(plane.store, access, partial(dict, tiers))
        answer = json.loads(bytes((await views.intents(operator, request)).body))
        assert [step.get("tier") for step in answer["intents"]] == [tier]


DRIFT = Irregularity(Kind.DRIFT, "repo/git_commit")
SHADOW = Irregularity(Kind.SHADOWING, "notes/git_commit", "repo/git_commit")
LIKE = Irregularity(Kind.CONFUSABLE, "notes/git_c0mmit", "wiki/git_cOmmit")
BROKEN = Irregularity(Kind.MALFORMED, "wiki/read", why="its schema is none")


async def test_what_is_wrong_with_tools_is_listed(plane: Plane) -> None:
    """As alerts tell it, for as long as it stands; as much as is asked for."""
    plane.found = (DRIFT, SHADOW, BROKEN)
    _, answer = await plane.ask("GET", "/v1/findings", by="view")
    assert [row["kind"] for row in answer["findings"]] == [
        "tool-quarantined",
        "tool-shadowing",
        "tool-malformed",
    ]
    assert answer["findings"][1] == {
        "kind": "tool-shadowing",
        "severity": "critical",
        "tool": "notes/git_commit",
        "other": "repo/git_commit",
        "message": SHADOW.message,
    }
    assert (answer["findings"][2]["severity"], answer["findings"][2]["other"]) == ("warning", None)
    _, answer = await plane.ask("GET", "/v1/findings?limit=1")
    assert len(answer["findings"]) == 1


async def test_operators_of_some_tenants_see_what_is_about_tools_of_theirs(plane: Plane) -> None:
    """Tools that agents of theirs asked for: names of others are not theirs to read (I20)."""
    plane.found = (DRIFT, SHADOW, LIKE, BROKEN)
    await plane.step(await plane.session("acme"), "git_commit")
    found = {}
    for by in ("acme", "globex", "both", "homeless", "chief"):
        _, answer = await plane.ask("GET", "/v1/findings", by=by)
        found[by] = len(answer["findings"])
    assert found == {"acme": 2, "globex": 0, "both": 2, "homeless": 0, "chief": 4}
