"""The alert rules speak of series that exist."""

import re

import pytest

from proxy.model.finding import Severity
from proxy.model.reasons import REASONS
from proxy.observability.by_worker import by_worker
from proxy.observability.metrics import Metrics
from tests.harness.chart import CHART, Manifest, render

VALUES = {
    "reason": set(REASONS),
    "severity": {str(one) for one in Severity},
    "result": {"ok", "failed", "delivered"},
    "namespace": {"detent"},
}


@pytest.fixture
def rules(helm: str) -> list[Manifest]:
    (rule,) = render(helm, CHART / "values/gateway.yaml").of("PrometheusRule")
    (group,) = rule["spec"]["groups"]
    return list(group["rules"])


def series() -> set[str]:
    """Return the names a gateway exposes."""
    metrics = Metrics("0")
    metrics.policy_loaded("git:abc")
    metrics.irregular({"tool-drift": 0})
    text = by_worker({1: metrics.render()}).decode()
    return set(re.findall(r"^(detent_\w+)[{ ]", text, re.MULTILINE))


def test_every_series_is_exposed(rules: list[Manifest]) -> None:
    """A rule about a name nobody writes would never fire."""
    named = {name for rule in rules for name in re.findall(r"detent_\w+", rule["expr"])}
    assert named <= series()


def test_every_label_has_a_value_that_occurs(rules: list[Manifest]) -> None:
    """Reasons and severities stand in tables; a misspelt one would never match."""
    pairs = [pair for rule in rules for pair in re.findall(r'(\w+)="([^"]*)"', rule["expr"])]
    assert pairs
    assert all(value in VALUES[label] for label, value in pairs)


def test_every_alert_says_what_it_means(rules: list[Manifest]) -> None:
    """One name each, a severity, a sentence."""
    assert len({rule["alert"] for rule in rules}) == len(rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"] for rule in rules)
