from collections.abc import Callable
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.model.call import Door
from proxy.model.decision import Verdict
from proxy.model.finding import Severity
from proxy.model.kill import ScopeKind
from proxy.model.ledger import IntentState, Outcome
from proxy.observability.metrics import CONTENT_TYPE, Metrics

HOSTILE = 'x"} 1\nforged{a="b"} 2\n'


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("1.2.3", reasons=["write-in-workspace"])
    metrics.know_tools(["repo/git_commit", "tickets/create"])
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return the value of one series as a scraper reads it, None when there is no such series."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples]
    return next(
        (float(each.value) for each in samples if each.name == name and each.labels == labels), None
    )


COUNTED: list[tuple[Callable[[Metrics], None], str, dict[str, str], float]] = [
    (
        lambda m: m.answered(Outcome.DONE, Door.MCP),
        "detent_calls_total",
        {"outcome": "done", "door": "mcp"},
        1,
    ),
    (
        lambda m: m.answered(Outcome.FAILED, Door.CALLS, "repo/git_commit"),
        "detent_tool_calls_total",
        {"tool": "repo/git_commit", "outcome": "failed"},
        1,
    ),
    (lambda m: m.refused("killed"), "detent_refusals_total", {"reason": "killed"}, 1),
    (lambda m: m.shadowed("flip"), "detent_policy_shadow_total", {"result": "flip"}, 1),
    (
        lambda m: m.flipped(Verdict.ALLOW, Verdict.DENY),
        "detent_policy_shadow_flips_total",
        {"live": "allow", "shadow": "deny"},
        1,
    ),
    (
        lambda m: m.refused("write-in-workspace"),
        "detent_refusals_total",
        {"reason": "write-in-workspace"},
        1,
    ),
    (
        lambda m: m.decided(0.002, Verdict.DENY),
        "detent_decision_seconds_count",
        {"verdict": "deny"},
        1,
    ),
    (
        lambda m: m.decided(0.002, Verdict.DENY),
        "detent_decision_seconds_bucket",
        {"verdict": "deny", "le": "0.001"},
        0,
    ),
    (
        lambda m: m.staged(0.25, "reserve"),
        "detent_stage_seconds_sum",
        {"stage": "reserve"},
        0.25,
    ),
    (
        lambda m: m.dispatched(0.5, "repo"),
        "detent_upstream_seconds_sum",
        {"server": "repo"},
        0.5,
    ),
    (lambda m: m.found(Severity.CRITICAL), "detent_findings_total", {"severity": "critical"}, 1),
    (lambda m: m.killed(ScopeKind.AGENT), "detent_kills_total", {"scope": "agent"}, 1),
    (lambda m: m.lifted(), "detent_lifts_total", {}, 1),
    (lambda m: m.halts(2, 7), "detent_halts", {}, 2),
    (lambda m: m.halts(2, 7), "detent_kill_epoch", {}, 7),
    (lambda m: m.policy_refused(), "detent_policy_reloads_total", {"result": "failed"}, 1),
    (lambda m: m.alert_tried(delivered=True), "detent_alerts_total", {"result": "delivered"}, 1),
    (lambda m: m.alert_tried(delivered=False), "detent_alerts_total", {"result": "failed"}, 1),
    (lambda m: m.alerts_pending(3), "detent_alerts_pending", {}, 3),
    (lambda m: m.open_intents(4), "detent_open_intents", {}, 4),
    (lambda _: None, "detent_build_info", {"version": "1.2.3"}, 1),
    (lambda _: None, "detent_refusals_total", {"reason": "killed"}, 0),
]


@pytest.mark.parametrize(("act", "name", "labels", "expected"), COUNTED)
def test_what_happens_is_counted(
    metrics: Metrics,
    act: Callable[[Metrics], None],
    name: str,
    labels: dict[str, str],
    expected: float,
) -> None:
    """Each method moves its own series."""
    act(metrics)
    assert value(metrics, name, **labels) == expected


def test_calls_in_flight_are_counted_when_they_are_asked_for(metrics: Metrics) -> None:
    """Not when they come and go."""
    flights = {"stp1"}
    metrics.count_flights(flights.__len__)
    assert value(metrics, "detent_calls_in_flight") == 1
    flights.clear()
    assert value(metrics, "detent_calls_in_flight") == 0


def test_only_the_loaded_policy_is_shown(metrics: Metrics) -> None:
    """An earlier revision disappears with the next load."""
    metrics.policy_loaded("git:one")
    metrics.policy_loaded("git:two")
    assert value(metrics, "detent_policy_info", revision="git:two") == 1
    assert value(metrics, "detent_policy_info", revision="git:one") is None
    assert value(metrics, "detent_policy_reloads_total", result="ok") == 2


def test_open_effects_are_shown_with_what_became_of_them(metrics: Metrics) -> None:
    """Stuck ones wait for a person."""
    metrics.open_intents(3, 2)
    metrics.recovered(IntentState.STUCK)
    assert value(metrics, "detent_open_intents") == 3
    assert value(metrics, "detent_stuck_intents") == 2
    assert value(metrics, "detent_recovered_total", state="stuck") == 1
    assert value(metrics, "detent_recovered_total", state="done") == 0


UNKNOWN: list[Callable[[Metrics], None]] = [
    lambda m: m.answered(cast("Outcome", HOSTILE), cast("Door", HOSTILE), HOSTILE),
    lambda m: m.answered(Outcome.DONE, Door.MCP, HOSTILE),
    lambda m: m.refused(HOSTILE),
    lambda m: m.decided(1, cast("Verdict", HOSTILE)),
    lambda m: m.staged(1, HOSTILE),
    lambda m: m.dispatched(1, HOSTILE),
    lambda m: m.found(cast("Severity", HOSTILE)),
    lambda m: m.killed(cast("ScopeKind", HOSTILE)),
]


@pytest.mark.parametrize("act", UNKNOWN)
def test_unknown_text_becomes_no_label(metrics: Metrics, act: Callable[[Metrics], None]) -> None:
    """Text from outside the closed sets is counted as other, however often it changes."""
    act(metrics)
    lines = len(metrics.render().splitlines())
    act(metrics)
    assert len(metrics.render().splitlines()) == lines
    assert b"forged" not in metrics.render()


def test_two_sets_of_metrics_do_not_meet() -> None:
    """The registry is its own: a second gateway in one process starts at zero."""
    first, second = Metrics("1"), Metrics("1")
    first.refused("killed")
    assert value(second, "detent_refusals_total", reason="killed") == 0


def test_the_content_type_is_the_text_format(metrics: Metrics) -> None:
    """Scrapers choose their parser by it."""
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
