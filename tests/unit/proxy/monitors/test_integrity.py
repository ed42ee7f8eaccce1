from typing import Any

import pytest

from proxy.model.finding import Alert, Severity
from proxy.model.tool import Effect, ToolDefinition, ToolManifest
from proxy.monitors.integrity import (
    MAX_ALERTS,
    MAX_LISTED,
    MAX_REPEATS,
    REMEMBERED_S,
    IntegrityWatch,
    Irregularity,
    Kind,
    irregularities,
)
from proxy.observability.metrics import Metrics

REVIEWED = {
    (server, tool): ToolManifest(server, tool, Effect.READ)
    for server, tool in [("files", "delete"), ("files", "search"), ("web", "search")]
}


def tool(name: str, problem: str = "") -> ToolDefinition:
    return ToolDefinition(name, b"{}", "sha256:0", b"{}", problem)


def found(server: str, *tools: ToolDefinition) -> list[tuple[Kind, str, str]]:
    return [
        (one.kind, one.tool, one.other) for one in irregularities(REVIEWED, (), {server: tools})
    ]


def test_what_was_reviewed_is_regular_on_two_servers_too() -> None:
    """Both may honestly have a search: people looked at both."""
    assert found("files", tool("delete"), tool("search")) == []
    assert found("web", tool("search")) == []


def test_a_new_name_is_regular() -> None:
    """Nobody reviewed it, so it does not exist; that is no reason to wake anybody."""
    assert found("web", tool("fetch")) == []


def test_the_name_of_another_servers_tool_is_shadowing() -> None:
    """Which of the two would an agent mean?"""
    assert found("web", tool("delete")) == [(Kind.SHADOWING, "web/delete", "files/delete")]


@pytest.mark.parametrize("name", ["Delete", "de1ete", "de-lete"])
@pytest.mark.parametrize("server", ["files", "web"])
def test_a_name_like_a_reviewed_one_is_confusable(name: str, server: str) -> None:
    """On the same server and on another."""
    assert found(server, tool(name)) == [(Kind.CONFUSABLE, f"{server}/{name}", "files/delete")]


@pytest.mark.parametrize(
    ("name", "shown"), [("d\u0435lete", "d\\u0435lete"), ("delete\u200b", "delete\\u200b")]
)
def test_a_name_of_other_letters_is_shown_without_them(name: str, shown: str) -> None:
    """The alert must not be taken in as well."""
    assert found("web", tool(name, "odd name")) == [
        (Kind.CONFUSABLE, f"web/{shown}", "files/delete")
    ]


def test_what_is_no_tool_is_malformed() -> None:
    """And when it has a reviewed name, that name is out of use."""
    (one,) = irregularities(REVIEWED, (), {"web": [tool("x y", "odd name")]})
    assert (one.kind, one.message) == (
        Kind.MALFORMED,
        "web/x y is no tool (odd name); it is refused",
    )
    assert found("web", tool("search", "twice")) == [(Kind.MALFORMED, "web/search", "")]


def test_drift_is_told_with_the_rest() -> None:
    """In one list, sorted."""
    kinds = [
        one.kind for one in irregularities(REVIEWED, ["web/search"], {"web": [tool("delete")]})
    ]
    assert kinds == [Kind.DRIFT, Kind.SHADOWING]


def test_a_list_without_end_is_cut() -> None:
    """A thousand things are enough to know."""
    tools = [tool(f"x {number}", "odd name") for number in range(MAX_LISTED + 5)]
    assert len(irregularities(REVIEWED, (), {"web": tools})) == MAX_LISTED


class Watch:
    """A watch, its clock, and what it told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.alerts: list[Alert] = []
        self.metrics = Metrics("test")
        self.watch = IntegrityWatch(self._alert, self.metrics, lambda: self.now)

    async def note(self, *tools: str) -> list[str]:
        """Take these as drifted now; return the kinds of the new alerts."""
        before = len(self.alerts)
        await self.watch.note([Irregularity(Kind.DRIFT, one) for one in tools])
        return [alert.kind for alert in self.alerts[before:]]

    async def _alert(self, alert: Alert) -> None:
        self.alerts.append(alert)


async def test_each_thing_is_told_once() -> None:
    """However often the list is read."""
    watch = Watch()
    assert await watch.note("a/b") == ["tool-quarantined"]
    assert await watch.note("a/b") == []
    assert watch.alerts[0].severity is Severity.CRITICAL


async def test_what_comes_and_goes_is_told_again_after_a_while() -> None:
    """A definition that flips at every list is three alerts in ten minutes."""
    watch = Watch()
    for _ in range(9):
        await watch.note("a/b")
        await watch.note()
    assert len(watch.alerts) == MAX_REPEATS
    watch.now += REMEMBERED_S + 1
    assert await watch.note("a/b") == ["tool-quarantined"]


async def test_a_flood_of_changes_is_one_alert_more() -> None:
    """People are told that there is more, once, and again when it was over."""
    watch = Watch()
    for round_ in range(3):
        await watch.note(*(f"a/{round_}-{number}" for number in range(MAX_ALERTS)))
    kinds = [alert.kind for alert in watch.alerts]
    assert kinds == ["tool-quarantined"] * MAX_ALERTS + ["tool-integrity-flood"]
    watch.now += REMEMBERED_S + 1
    assert await watch.note("a/new") == ["tool-quarantined"]


async def test_what_is_no_tool_is_a_warning() -> None:
    """It imitates nothing."""
    watch = Watch()
    await watch.watch.note([Irregularity(Kind.MALFORMED, "a/b", why="odd name")])
    assert watch.alerts[0].severity is Severity.WARNING


async def test_the_scrape_shows_what_is_wrong_now() -> None:
    """Back to zero when it is put right."""
    watch = Watch()
    await watch.note("a/b", "a/c")
    assert series(watch.metrics) == 2
    await watch.note()
    assert series(watch.metrics) == 0


def series(metrics: Metrics) -> Any:
    line = 'detent_tool_irregularities{kind="tool-quarantined"}'
    lines = metrics.render().decode().splitlines()
    return float(next(one for one in lines if one.startswith(line)).split()[-1])
