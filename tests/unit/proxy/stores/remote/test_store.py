import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import Refused, StoreUnavailable
from proxy.model.approval import ApprovalState, Binding
from proxy.model.finding import Alert, Severity
from proxy.model.hook import HookKey
from proxy.model.kill import GLOBAL, KillVerdict, Scope, ScopeKind
from proxy.model.ledger import Claim, IntentState, ReserveStatus, Settlement
from proxy.stores.remote import RemoteStore
from tests.harness.approving import question, ruling
from tests.harness.attached import OTHER, Attached, LocalGateway
from tests.harness.ledger import LIMITS, NOW, Call, after, decision, kill, session

HASH = "a" * 64
KEY = HookKey("claude-code", "abc")


@pytest.fixture
def gateway(attached: Attached) -> LocalGateway:
    return attached.gateway()


@pytest.fixture
async def store(attached: Attached, gateway: LocalGateway) -> AsyncIterator[RemoteStore]:
    store = attached.store(gateway)
    await store.open()
    yield store
    await store.close()


def settlement(step: str = "stp1") -> Settlement:
    return Settlement(step, IntentState.DONE, after(3), labels=("untrusted",))


async def test_a_call_is_reserved_and_settled_in_the_gateways_ledger(
    store: RemoteStore, attached: Attached
) -> None:
    """As if the sidecar had it itself."""
    opened = await store.open_session(session(), HASH, 10)
    assert await store.session_by_token(HASH) == opened == await store.session("ses1")
    assert (await store.reserve(Call().reservation())).status is ReserveStatus.RESERVED
    await store.mark_sending("stp1")
    await store.settle(settlement())
    view = await store.view(opened, LIMITS, after(4))
    assert (view.budget.used, view.labels) == (5, ("untrusted",))
    (row,) = await attached.ledger.steps("ses1", (), 10)
    assert row.state is IntentState.DONE
    await store.end_session("ses1", after(5))
    ended = await attached.ledger.session("ses1")
    assert ended is not None
    assert not ended.is_open_at(after(6))


async def test_keys_are_the_gateways(store: RemoteStore) -> None:
    """What was done under one is known whichever process is asked."""
    opened = await store.open_session(session(), HASH, 10)
    claim = Claim("key", "ab" * 32)
    assert await store.claimed(opened, claim) is None
    assert await store.step_of(opened, "key") is None
    await store.reserve(replace(Call().reservation(), claim=claim))
    running = await store.claimed(opened, claim)
    assert running is not None
    assert running.status is ReserveStatus.RUNNING
    row = await store.step_of(opened, "key")
    assert row is not None
    assert row.intent.step_id == "stp1"


async def test_sessions_of_hooks_and_what_they_announce(store: RemoteStore) -> None:
    """Joined at the gateway, by whichever door a call comes."""
    opened = await store.open_hook_session(session(), KEY, 10)
    assert await store.hook_session("acme", "loop", KEY) == opened
    await store.announce(opened, "toolu_1", NOW)
    assert await store.is_carried("acme", "loop", "toolu_1") is False
    assert await store.carry("acme", "loop", "toolu_1") == opened


async def test_questions_to_operators_are_the_gateways(
    store: RemoteStore, attached: Attached
) -> None:
    """Asked here, answered there."""
    await store.open_session(session(), HASH, 10)
    asked = await store.ask_approval(question(), 5)
    assert asked is not None
    await attached.ledger.rule_approval(ruling(asked.id))
    standing = await store.standing_approval(asked.binding, after(2))
    assert standing is not None
    assert standing.state is ApprovalState.APPROVED
    assert await store.approval(asked.id, after(2)) == standing


async def test_what_else_a_call_needs(store: RemoteStore, attached: Attached) -> None:
    """Locks, toggles, audit records, alerts, verdicts."""
    await store.record(decision("dec1"))
    await store.lock_agent("acme", "loop", "canary", NOW)
    globex = Scope(ScopeKind.TENANT, "globex")
    for scope in (GLOBAL, globex):
        await attached.ledger.set_dry_run(scope, True, "oncall", NOW)
    assert await store.dry_run_scopes() == (GLOBAL,)
    await store.ping()
    alert = Alert("alr1", NOW, "canary", Severity.CRITICAL, "bait", "acme", "loop")
    await store.enqueue_alert(alert)
    assert [one.id for one, _ in await attached.ledger.due_alerts(NOW, 10)] == ["alr1"]
    killed = await attached.ledger.append_kill(kill("kil_1", GLOBAL))
    await store.record_kill_verdict(killed.epoch, "stp1", KillVerdict.UNKNOWN)
    assert await attached.ledger.kill_verdicts(killed.epoch) == {"stp1": KillVerdict.UNKNOWN}
    assert [entry.epoch for entry in await store.kill_log()] == [killed.epoch]


async def test_a_refusal_of_the_ledger_comes_through(store: RemoteStore) -> None:
    """The agent hears the same reason."""
    await store.lock_agent("acme", "loop", "canary", NOW)
    with pytest.raises(Refused, match="agent-locked"):
        await store.open_session(session(), HASH, 10)


ABOUT_OTHERS: list[Callable[[RemoteStore], Any]] = [
    lambda store: store.lock_agent("globex", "other", "", NOW),
    lambda store: store.end_session("ses-globex", NOW),
    lambda store: store.view(session("ses-globex"), LIMITS, NOW),
    lambda store: store.reserve(Call(session=session("ses-globex")).reservation()),
    lambda store: store.open_session(session(tenant="globex"), HASH, 10),
    lambda store: store.hook_session("globex", "other", KEY),
    lambda store: store.record(decision("dec1", tenant="globex")),
    lambda store: store.standing_approval(
        Binding("globex", "other", "a/b", HASH, "", "sha256:1"), NOW
    ),
    lambda store: store.enqueue_alert(
        Alert("alr1", NOW, "x", Severity.INFO, "", "globex", "other")
    ),
]


@pytest.mark.parametrize("ask", ABOUT_OTHERS, ids=range(len(ABOUT_OTHERS)))
async def test_what_is_anothers_is_refused(
    store: RemoteStore, attached: Attached, ask: Callable[[RemoteStore], Any]
) -> None:
    """A sidecar that was taken over can hurt its own agents only."""
    theirs = attached.store(attached.gateway(OTHER))
    await theirs.open_session(session("ses-globex", tenant="globex", agent="other"), "b" * 64, 10)
    with pytest.raises(StoreUnavailable, match="403 not-your"):
        await ask(store)
    assert await store.session("ses-globex") is None


UNFIT = [
    {"scopes": (GLOBAL,)},
    {"holds": (replace(Call().holds[0], account="session:ses-globex"),)},
    {"decision": decision("dec1", agent="someone")},
]


@pytest.mark.parametrize("changes", UNFIT, ids=["scopes", "accounts", "record"])
async def test_a_reservation_has_to_fit_its_call(
    store: RemoteStore, changes: dict[str, Any]
) -> None:
    """Fewer kill scopes, another's budget, another's record."""
    await store.open_session(session(), HASH, 10)
    with pytest.raises(StoreUnavailable, match="403 reservation-unfit"):
        await store.reserve(replace(Call().reservation(), **changes))


FOR_OPERATORS: list[Callable[[RemoteStore], Any]] = [
    lambda store: store.sessions(10),
    lambda store: store.unlock_agent("acme", "loop"),
    lambda store: store.set_dry_run(GLOBAL, False, "me", NOW),
    lambda store: store.steps(None, (), 10),
    lambda store: store.decisions(10, ("*",)),
    lambda store: store.approvals(None, ("*",), 10, NOW),
    lambda store: store.rule_approval(ruling()),
    lambda store: store.append_kill(kill("kil_1", GLOBAL)),
    lambda store: store.kill_verdicts(1),
    lambda store: store.alert_delivered("alr1", NOW),
    lambda store: store.alert_failed("alr1", NOW),
]


@pytest.mark.parametrize("ask", FOR_OPERATORS, ids=range(len(FOR_OPERATORS)))
async def test_what_operators_do_is_done_at_the_gateway(
    store: RemoteStore, ask: Callable[[RemoteStore], Any]
) -> None:
    """Nothing is asked over the wire."""
    with pytest.raises(StoreUnavailable, match="Ask the gateway"):
        await ask(store)
    assert await store.due_alerts(NOW, 10) == ()
    assert await store.shared_key("seal") == await store.shared_key("seal")
    assert await store.open_intents_to_unknown(NOW) == ()
    assert await store.holders() == {}


async def test_an_outcome_waits_for_the_gateway(
    store: RemoteStore, attached: Attached, gateway: LocalGateway
) -> None:
    """And nothing else does: without the gateway nothing is reserved."""
    await store.open_session(session(), HASH, 10)
    await store.reserve(Call().reservation())
    gateway.away = True
    await store.settle(settlement())
    with pytest.raises(StoreUnavailable):
        await store.reserve(Call("stp2").reservation())
    gateway.away = False
    async with asyncio.timeout(5):
        while (await attached.ledger.steps("ses1", ("done",), 10)) == ():
            await asyncio.sleep(0.01)


async def test_an_answer_that_does_not_fit_is_none(store: RemoteStore, gateway: Any) -> None:
    """Another version, or something else that listens there."""

    async def post(path: str, body: bytes) -> bytes:
        del path, body
        return b'{"surprise":1}'

    gateway.post = post
    with pytest.raises(StoreUnavailable, match="does not fit"):
        await store.session("ses1")
