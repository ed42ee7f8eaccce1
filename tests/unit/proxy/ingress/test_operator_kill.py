import asyncio
from typing import Any

import pytest

from proxy.model.kill import GLOBAL, KillVerdict, Scope, ScopeKind, scopes_of
from tests.harness.operators import Plane

ACME, GLOBEX = {"kind": "tenant", "id": "acme"}, {"kind": "tenant", "id": "globex"}
WHY = {"reason": "checked and fixed"}


async def test_a_kill_without_a_body_stops_everything(plane: Plane) -> None:
    """One token, one request."""
    status, answer = await plane.ask("POST", "/killswitch", by="kill")
    assert status == 200
    assert (answer["epoch"], answer["committed"], answer["effective"]) == (1, True, True)
    assert answer["scopes"] == [{"kind": "global", "id": ""}]
    assert answer["holders"] == {"acked": 1, "expired": 0, "outstanding": 0}
    assert plane.kill_switch.covers([GLOBAL])


@pytest.mark.parametrize(("by", "scopes"), [("acme", [ACME]), ("both", [ACME, GLOBEX])])
async def test_everything_is_what_the_operator_covers(
    plane: Plane, by: str, scopes: list[Any]
) -> None:
    """An operator of some tenants stops these and no other, in one epoch."""
    _, answer = await plane.ask("POST", "/killswitch", by=by)
    assert (answer["epoch"], answer["scopes"]) == (1, scopes)
    assert not plane.kill_switch.covers([GLOBAL, Scope(ScopeKind.TENANT, "initech")])


@pytest.mark.parametrize(
    ("scope", "stored"),
    [
        ("agent:acme/loop", Scope(ScopeKind.AGENT, "acme/loop")),
        ({"kind": "tool", "id": "repo/git_commit"}, Scope(ScopeKind.TOOL, "repo/git_commit")),
        ("session:ses_unknown", Scope(ScopeKind.SESSION, "ses_unknown")),
    ],
)
async def test_a_scope_can_be_named(plane: Plane, scope: Any, stored: Scope) -> None:
    """As a text or as an object; actor and reason are in the log."""
    await plane.ask("POST", "/killswitch", {"scope": scope, "reason": "runaway"})
    [entry] = await plane.store.kill_log()
    assert entry.order.scopes == (stored,)
    assert (entry.order.actor, entry.order.reason) == ("chief", "runaway")


FOREIGN = ["global", "tool:repo/git_commit", "tenant:globex", "agent:globex/loop", "session:nope"]


@pytest.mark.parametrize("scope", FOREIGN)
async def test_a_foreign_scope_is_refused(plane: Plane, scope: str) -> None:
    """Nothing is stopped; a session that does not exist looks like a foreign one."""
    status, answer = await plane.ask("POST", "/killswitch", {"scope": scope}, by="acme")
    assert (status, answer["code"]) == (403, "not-covered")
    assert not plane.kill_switch.covers([GLOBAL])
    assert plane.kill_switch.state.epoch == 0


async def test_a_session_is_its_tenants_to_kill(plane: Plane) -> None:
    """The ledger says whose it is."""
    scope = {"scope": f"session:{(await plane.session('acme')).id}"}
    assert (await plane.ask("POST", "/killswitch", scope, by="globex"))[0] == 403
    assert (await plane.ask("POST", "/killswitch", scope, by="acme"))[0] == 200


async def test_an_operator_of_no_tenant_stops_nothing_and_hears_so(plane: Plane) -> None:
    """An empty kill must not look like one that worked."""
    status, answer = await plane.ask("POST", "/killswitch", by="homeless")
    assert (status, answer["code"]) == (403, "not-covered")


BAD = [
    ({"revert": True}, "revert-unavailable"),
    ({"revert": False}, "revert-unavailable"),
    ({"scope": None}, "invalid-scope"),
    ({"scope": "agent:acme"}, "invalid-scope"),
    ({"reason": 1}, "invalid-reason"),
    ({"scopes": ["global"]}, "unknown-member"),
    (b'{"scope":"tenant:acme","scope":"tenant:globex"}', "duplicate-key"),
    (b"global", "not-json"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
async def test_a_bad_kill_is_refused_and_stops_nothing(plane: Plane, body: Any, code: str) -> None:
    """Never a larger one by mistake."""
    status, answer = await plane.ask("POST", "/killswitch", body)
    assert (status, answer["code"]) == (400, code)
    assert plane.kill_switch.state.epoch == 0


async def test_a_kill_holds_while_the_ledger_is_broken(plane: Plane) -> None:
    """503 says so; it is halted here, and committed as soon as possible."""
    plane.store.broken = True
    status, answer = await plane.ask("POST", "/killswitch", {"scope": "agent:acme/loop"})
    assert (status, answer["committed"], answer["halted_locally"]) == (503, False, True)
    assert (answer["epoch"], answer["effective"], answer["deadline"]) == (None, False, None)
    assert plane.kill_switch.covers([Scope(ScopeKind.AGENT, "acme/loop")])
    _, state = await plane.ask("GET", "/killswitch")
    assert [order["order_id"] for order in state["pending"]] == [answer["order_id"]]


async def test_one_can_wait_until_the_kill_is_committed(plane: Plane) -> None:
    """The answer is then the one of a kill that went well."""
    plane.store.broken = True
    asking = asyncio.create_task(plane.ask("POST", "/killswitch?wait=20"))
    while not plane.kill_switch.pending():
        await asyncio.sleep(0.01)
    plane.store.broken = False
    status, answer = await asking
    assert (status, answer["epoch"], answer["committed"], answer["effective"]) == (
        200,
        1,
        True,
        True,
    )
    assert answer["holders"] == {"acked": 1, "expired": 0, "outstanding": 0}


async def test_waiting_ends(plane: Plane) -> None:
    """With the answer that it is halted here and not committed."""
    plane.store.broken = True
    status, answer = await plane.ask("POST", "/killswitch?wait=0.1")
    assert (status, answer["committed"], answer["halted_locally"]) == (503, False, True)


async def test_a_session_while_the_ledger_is_broken(plane: Plane) -> None:
    """Who may stop any session stops it; who may not is told what to stop instead."""
    scope = {"scope": f"session:{(await plane.session()).id}"}
    plane.store.broken = True
    status, answer = await plane.ask("POST", "/killswitch", scope, by="acme")
    assert (status, answer["code"]) == (503, "store-unavailable")
    assert "agent or tenant" in answer["detail"]
    assert not plane.kill_switch.pending()
    status, answer = await plane.ask("POST", "/killswitch", scope, by="chief")
    assert (status, answer["halted_locally"]) == (503, True)


async def test_kills_and_lifts_are_counted(plane: Plane) -> None:
    """By kind of scope."""
    await plane.ask("POST", "/killswitch", by="both")
    await plane.ask("DELETE", "/killswitch/1", WHY)
    text = plane.metrics.render().decode()
    assert 'detent_kills_total{scope="tenant"} 2.0' in text
    assert "detent_lifts_total 1.0" in text


async def test_the_state_lists_what_is_halted(plane: Plane) -> None:
    """Who, what, why, under which epoch."""
    await plane.ask("POST", "/killswitch", {"scope": "agent:acme/loop", "reason": "runaway"})
    _, state = await plane.ask("GET", "/killswitch")
    [kill] = state["active"]
    assert (state["epoch"], kill["epoch"], kill["actor"]) == (1, 1, "chief")
    assert (kill["reason"], kill["scopes"]) == ("runaway", [{"kind": "agent", "id": "acme/loop"}])
    assert state["pending"] == []


async def test_a_tenants_operator_sees_its_own_and_what_halts_everybody(plane: Plane) -> None:
    """Of the latter not by whom and why; of other tenants nothing."""
    for by, scope in (("chief", "global"), ("globex", "tenant:globex"), ("acme", "tenant:acme")):
        await plane.ask("POST", "/killswitch", {"scope": scope, "reason": f"{by} says"}, by=by)
    _, state = await plane.ask("GET", "/killswitch", by="acme")
    assert [kill["epoch"] for kill in state["active"]] == [1, 3]
    assert "globex" not in str(state)
    assert "chief" not in str(state)
    assert state["active"][1]["reason"] == "acme says"


async def test_of_a_kill_over_several_tenants_each_sees_its_own_part(plane: Plane) -> None:
    """The other tenant's name stays unknown."""
    await plane.ask("POST", "/killswitch", {"reason": "both of them"}, by="both")
    _, state = await plane.ask("GET", "/killswitch", by="acme")
    assert [kill["scopes"] for kill in state["active"]] == [[ACME]]
    assert "globex" not in str(state)
    assert "both" not in str(state)


async def test_a_kill_tells_what_became_of_each_call(plane: Plane) -> None:
    """One row a call the kill met."""

    async def call() -> None:
        with plane.flights.track("stp_1", scopes_of("acme", "loop", "ses_1")) as flight:
            flight.sent = True
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    _, answer = await plane.ask("POST", "/killswitch", {"scope": "agent:acme/loop"})
    await asyncio.gather(task, return_exceptions=True)
    _, kill = await plane.ask("GET", f"/killswitch/{answer['epoch']}", by="acme")
    assert answer["in_flight"] == 1
    assert kill["calls"] == [{"step_id": "stp_1", "verdict": KillVerdict.UNKNOWN.value}]
    assert (kill["active"], kill["actor"]) == (True, "chief")


@pytest.mark.parametrize("epoch", ["0", "2", "-1", "1x", "99999999999999999999", "x", "01"])
async def test_an_epoch_that_is_no_kill_is_not_found(plane: Plane, epoch: str) -> None:
    """For reading and for lifting."""
    await plane.ask("POST", "/killswitch")
    await plane.ask("DELETE", "/killswitch/1", WHY)
    for method, body in (("GET", None), ("DELETE", WHY)):
        status, answer = await plane.ask(method, f"/killswitch/{epoch}", body)
        assert (status, answer["code"]) == (404, "no-such-kill")


async def test_a_lift_takes_a_reason_and_the_next_epoch(plane: Plane) -> None:
    """Then calls go on; the lifted kill can still be read."""
    await plane.ask("POST", "/killswitch")
    status, answer = await plane.ask("DELETE", "/killswitch/1", WHY, by="lift")
    assert status == 200
    assert answer == {"epoch": 2, "lifts": 1, "scopes": [{"kind": "global", "id": ""}]}
    assert not plane.kill_switch.covers([GLOBAL])
    [_, entry] = await plane.store.kill_log()
    assert (entry.order.actor, entry.order.reason) == ("lift", "checked and fixed")
    assert (await plane.ask("GET", "/killswitch/1"))[1]["active"] is False


@pytest.mark.parametrize("body", [None, {}, {"reason": " "}])
async def test_a_lift_without_a_reason_is_refused(plane: Plane, body: Any) -> None:
    """It stays halted."""
    await plane.ask("POST", "/killswitch")
    status, answer = await plane.ask("DELETE", "/killswitch/1", body)
    assert (status, answer["code"]) == (400, "reason-required")
    assert plane.kill_switch.covers([GLOBAL])


async def test_a_kill_tells_who_lifted_it(plane: Plane) -> None:
    """Nobody, as long as it stands."""
    await plane.ask("POST", "/killswitch", by="kill")
    assert (await plane.ask("GET", "/killswitch/1"))[1]["lifted"] is None
    await plane.ask("DELETE", "/killswitch/1", WHY, by="lift")
    lifted = (await plane.ask("GET", "/killswitch/1"))[1]["lifted"]
    assert (lifted["epoch"], lifted["actor"], lifted["reason"]) == (2, "lift", WHY["reason"])


async def test_a_kill_is_lifted_once(plane: Plane) -> None:
    """A second lift finds nothing to lift."""
    await plane.ask("POST", "/killswitch")
    await plane.ask("DELETE", "/killswitch/1", WHY)
    status, answer = await plane.ask("DELETE", "/killswitch/1", WHY)
    assert (status, answer["code"]) == (404, "no-such-kill")


@pytest.mark.parametrize(
    ("scope", "status"), [("global", 403), ("tool:a/b", 403), ("tenant:globex", 404)]
)
async def test_foreign_kills_are_neither_read_nor_lifted(
    plane: Plane, scope: str, status: int
) -> None:
    """What halts everybody is refused; what is another tenant's does not exist."""
    await plane.ask("POST", "/killswitch", {"scope": scope})
    assert (await plane.ask("GET", "/killswitch/1", by="acme"))[0] == status
    assert (await plane.ask("DELETE", "/killswitch/1", WHY, by="acme"))[0] == status
    assert plane.kill_switch.state.active


async def test_an_active_kill_is_read_while_the_log_cannot_be(plane: Plane) -> None:
    """State is in memory; only history needs the ledger."""
    await plane.ask("POST", "/killswitch")
    plane.store.broken = True
    assert (await plane.ask("GET", "/killswitch/1"))[0] == 200
    assert (await plane.ask("GET", "/killswitch/2"))[0] == 503


async def test_a_lift_while_the_ledger_is_broken_is_refused(plane: Plane) -> None:
    """Going on has to be durable first."""
    await plane.ask("POST", "/killswitch")
    plane.store.broken = True
    status, answer = await plane.ask("DELETE", "/killswitch/1", WHY)
    assert (status, answer["code"]) == (503, "store-unavailable")
    assert plane.kill_switch.covers([GLOBAL])
