import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.app.gateway import Gateway
from proxy.app.recoveries import Told, reaches, terms_of
from proxy.config import load_settings
from proxy.model.finding import Alert, Severity
from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import OpenStep
from proxy.observability.metrics import Metrics
from proxy.stores.sqlite import SqliteStore
from tests.harness.assembled import running, series, stored_alerts
from tests.harness.ledger import NOW, Call, session, settled
from tests.harness.world import World

CHILD = {"repo": {"mcp": {"command": ["server"]}}}


def open_step() -> OpenStep:
    """Return a step that nobody can tell of."""
    return OpenStep(
        StepRow(Call().intent, 1, IntentState.UNKNOWN, "", "dec", "git:abc", 5), None, NOW
    )


async def test_a_stuck_step_is_counted_and_told_to_people() -> None:
    """With where it belongs; whatever else recovery settles is counted only."""
    metrics, alerts = Metrics("test"), list[Alert]()

    async def raise_alert(alert: Alert) -> None:
        alerts.append(alert)

    told = Told(metrics, raise_alert)
    for state in (IntentState.DONE, IntentState.STUCK):
        await told.settled(open_step(), state, "opaque")
    (alert,) = alerts
    assert (alert.kind, alert.severity, alert.step_id) == ("stuck-step", Severity.CRITICAL, "stp1")
    assert (alert.tenant, alert.agent, alert.session_id) == ("acme", "loop", "ses1")
    scrape = metrics.render().decode()
    for name in ("done", "stuck"):
        assert f'detent_recovered_total{{state="{name}"}} 1.0' in scrape


async def test_nobody_is_woken_for_what_an_agent_ran_itself() -> None:
    """It may still say what came of it."""

    async def raise_alert(alert: Alert) -> None:
        raise AssertionError(alert)

    metrics = Metrics("test")
    told = Told(metrics, raise_alert, lambda: frozenset({"repo/git_commit"}))
    await told.settled(open_step(), IntentState.STUCK, "opaque")
    assert 'recovered_total{state="stuck"} 1.0' in metrics.render().decode()


def test_what_is_found_open_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """By its id."""

    async def raise_alert(alert: Alert) -> None:
        raise AssertionError(alert)

    Told(Metrics("test"), raise_alert).found((open_step().row,))
    (record,) = caplog.records
    assert record.__dict__["step_id"] == "stp1"


def test_an_owner_is_gone_when_its_lease_is_and_two_looks_found_it_silent() -> None:
    """Not before it may start nothing any more."""
    terms = terms_of("hld_1", 2.07)
    assert (terms.by, terms.gone_after_s) == ("hld_1", 2.07 + 2 * terms.look_every_s)


@pytest.mark.parametrize(
    ("settings", "server", "holder", "is_ours"),
    [
        ({}, "rec", "hld_1", True),
        ({}, "rec", "pod-1/hld_1", True),
        ({}, "nobody", "hld_1", False),
        ({}, "repo", "hld_1", True),
        ({}, "repo", "pod-1/hld_1", False),
        ({"store": "postgresql://127.0.0.1/x"}, "repo", "hld_1", False),
        ({"store": "postgresql://127.0.0.1/x"}, "rec", "hld_1", True),
    ],
)
def test_a_child_is_asked_by_its_own_gateway_only(
    world: World, settings: dict[str, Any], server: str, holder: str, is_ours: bool
) -> None:
    """Another machine's, or a sidecar's, did something else."""
    world.servers, world.settings = CHILD, settings
    intent = replace(Call().intent, server=server, holder=holder)
    assert reaches(load_settings(world.write(), {}), intent) is is_ours


async def test_a_gateway_recovers_while_it_runs(world: World, staging: Path) -> None:
    """And no longer: what an earlier run left is stuck, told, and counted."""
    before = SqliteStore(world.database)
    await before.open()
    await before.open_session(session(), None, 10)
    await before.reserve(Call().reservation())
    await before.settle(settled(state=IntentState.UNKNOWN))
    await before.close()
    async with running(world) as gateway:
        await _stuck(gateway)
    assert stored_alerts(world).count("stuck-step") == 1
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


async def _stuck(gateway: Gateway) -> None:
    async with asyncio.timeout(20):
        while series(gateway, "stuck_intents") != 1:
            await asyncio.sleep(0.05)
