"""Prometheus metrics, in a registry of their own.

Every label value comes from a closed set: enumerations of the model, the reason table, the tools
and servers of the catalogue, names from the configuration. Anything else is counted as `other`, so
no agent can grow a series or write text into a scrape.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from itertools import permutations, product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from proxy.model.call import Door
from proxy.model.decision import Verdict
from proxy.model.finding import Severity
from proxy.model.kill import ScopeKind
from proxy.model.ledger import IntentState, Outcome
from proxy.model.reasons import REASONS

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER = "other"
STAGES = (
    "authenticate",
    "admit",
    "resolve",
    "decide",
    "enforce",
    "reserve",
    "lease",
    "dispatch",
    "settle",
)

SHADOWED = ("same", "flip", "change", "error", "skipped")
LOGGED = ("written", "withheld", "dropped", "failed")
RECOVERED = (IntentState.DONE, IntentState.FAILED, IntentState.ABORTED, IntentState.STUCK)

_M = TypeVar("_M", Counter, Histogram)
_OWN_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_TOOL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts what happens. `reasons` are the policies' own ids, beside those of the gateway."""

    def __init__(self, version: str, reasons: Iterable[str] = ()) -> None:
        # A second series for each counter that nobody reads. The function has no annotations.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._tools: frozenset[str] = frozenset()
        self._servers: frozenset[str] = frozenset()
        self._count_calls()
        self._count_halting()
        logged = self._counter("decision_log", "Records of the decision log.", "result")
        self._logged = _children(logged, LOGGED)
        refusals = self._counter("refusals", "Refusals by reason id.", "reason")
        self._refusals = _children(refusals, (*REASONS, *reasons))
        findings = self._counter("findings", "What monitors saw.", "severity")
        self._findings = _children(findings, Severity)
        alerts = self._counter("alerts", "Attempts to deliver an alert.", "result")
        self._alerts = _children(alerts, ("delivered", "failed"))
        self._pending = self._gauge("alerts_pending", "Alerts not yet delivered.")
        reloads = self._counter("policy_reloads", "Policy loads.", "result")
        self._reloads = _children(reloads, ("ok", "failed"))
        self._count_shadow()
        self._policy = self._gauge("policy_info", "The loaded policy.", "revision")
        wrong = "Tools that are not what was reviewed, now."
        self._irregular = self._gauge("tool_irregularities", wrong, "kind")
        self._gauge("build_info", "This build.", "version").labels(version).set(1)

    def _count_shadow(self) -> None:
        shadow = self._counter("policy_shadow", "Decisions beside the candidate's.", "result")
        self._shadow = _children(shadow, SHADOWED)
        flips = "Decisions that the candidate policy makes otherwise."
        self._flips = self._counter("policy_shadow_flips", flips, "live", "shadow")
        for live, other in permutations(Verdict, 2):
            self._flips.labels(live, other)

    def _count_calls(self) -> None:
        calls = self._counter("calls", "Calls answered.", "outcome", "door")
        self._calls = {
            (outcome, door): calls.labels(outcome, door)
            for outcome, door in product((*Outcome, OTHER), (*Door, OTHER))
        }
        tool_calls = self._counter("tool_calls", "Calls answered.", "tool", "outcome")
        self._tool_call = cache(tool_calls.labels)
        self._in_flight = self._gauge("calls_in_flight", "Calls between admission and answer.")
        self._intents = self._gauge("open_intents", "Effects whose outcome is not known.")
        self._stuck = self._gauge("stuck_intents", "Effects whose outcome only a person can tell.")
        recovered = self._counter("recovered", "Open effects that recovery settled.", "state")
        self._recovered = _children(recovered, RECOVERED)
        decisions = self._seconds("decision", "Time of a policy decision.", _OWN_S, "verdict")
        self._decisions = _children(decisions, Verdict)
        stages = self._seconds("stage", "Time in a stage of the walk.", _OWN_S, "stage")
        self._stages = _children(stages, STAGES)
        upstream = self._seconds("upstream", "Time of a call at its tool.", _TOOL_S, "server")
        self._upstream_of = cache(upstream.labels)

    def _count_halting(self) -> None:
        kills = self._counter("kills", "Kills by kind of scope.", "scope")
        self._kills = _children(kills, ScopeKind)
        self._lifts = self._counter("lifts", "Kills lifted.")
        late = "Calls sent after their kill lease had ended."
        self._late_starts = self._counter("late_starts", late)
        self._halts = self._gauge("halts", "Kills in force, halts not yet committed included.")
        self._epoch = self._gauge("kill_epoch", "The last kill epoch.")

    def know_tools(self, resource_ids: Collection[str]) -> None:
        """Set the catalogue, `server/tool` each: the only values of the labels tool and server."""
        self._tools = frozenset(resource_ids)
        self._servers = frozenset(known.partition("/")[0] for known in resource_ids)

    def answered(self, outcome: Outcome, door: Door, resource_id: str = "") -> None:
        """Count an answer, and under its tool (`server/tool`) when the catalogue has that."""
        call = self._calls.get((outcome, door), self._calls[OTHER, OTHER])
        call.inc()
        if resource_id in self._tools:
            self._tool_call(resource_id, outcome).inc()

    def refused(self, reason_id: str) -> None:
        """Count a refusal under its reason."""
        _of(self._refusals, reason_id).inc()

    def decided(self, seconds: float, verdict: Verdict) -> None:
        """Record a policy decision; its count by verdict is the histogram's."""
        _of(self._decisions, verdict).observe(seconds)

    def shadowed(self, compared: str) -> None:
        """Count how the candidate's decision stands to the live one, one of SHADOWED."""
        _of(self._shadow, compared).inc()

    def flipped(self, live: str, shadow: str) -> None:
        """Count a candidate's other verdict, beside those that `shadowed` counts."""
        self._flips.labels(live, shadow).inc()

    def decision_logged(self, result: str) -> None:
        """Count what became of a decision's record, one of LOGGED."""
        _of(self._logged, result).inc()

    def staged(self, seconds: float, stage: str) -> None:
        """Record the time a call spent in a stage."""
        _of(self._stages, stage).observe(seconds)

    def dispatched(self, seconds: float, server: str) -> None:
        """Record the time of a call at its tool."""
        self._upstream_of(server if server in self._servers else OTHER).observe(seconds)

    def count_flights(self, count: Callable[[], int]) -> None:
        """Ask this for the number of calls in flight whenever there is a scrape."""
        self._in_flight.set_function(count)

    def found(self, severity: Severity) -> None:
        """Count a finding."""
        _of(self._findings, severity).inc()

    def irregular(self, counts: Mapping[str, int]) -> None:
        """Set how many tools are wrong in which way; the kinds are always the same."""
        for kind, count in counts.items():
            self._irregular.labels(kind).set(count)

    def killed(self, kind: ScopeKind) -> None:
        """Count a kill."""
        _of(self._kills, kind).inc()

    def late_start(self) -> None:
        """Count a call that was sent after its kill lease had ended."""
        self._late_starts.inc()

    def lifted(self) -> None:
        """Count a lift."""
        self._lifts.inc()

    def halts(self, active: int, epoch: int) -> None:
        """Set how many kills are in force and the last epoch."""
        self._halts.set(active)
        self._epoch.set(epoch)

    def policy_loaded(self, revision: str) -> None:
        """Count a load that succeeded; `revision` is what decisions are stamped with."""
        self._reloads["ok"].inc()
        self._policy.clear()
        self._policy.labels(revision).set(1)

    def policy_refused(self) -> None:
        """Count a load that failed; the last good policy stays."""
        self._reloads["failed"].inc()

    def alert_tried(self, *, delivered: bool) -> None:
        """Count one attempt to deliver an alert to one sink."""
        self._alerts["delivered" if delivered else "failed"].inc()

    def alerts_pending(self, count: int) -> None:
        """Set how many alerts wait for delivery."""
        self._pending.set(count)

    def open_intents(self, count: int, stuck: int = 0) -> None:
        """Set how many effects are of unknown outcome, and how many are stuck."""
        self._intents.set(count)
        self._stuck.set(stuck)

    def recovered(self, state: IntentState) -> None:
        """Count an open effect that recovery has settled as this."""
        _of(self._recovered, state).inc()

    def render(self) -> bytes:
        """Return the Prometheus text format 0.0.4, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="detent", registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="detent", registry=self._registry)

    def _seconds(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(
            f"{name}_seconds",
            text,
            labels,
            namespace="detent",
            registry=self._registry,
            buckets=buckets,
        )


def _children(metric: _M, values: Iterable[str]) -> dict[str, _M]:
    """Make every series now: a scrape shows zeros, and the hot path makes none."""
    return {str(value): metric.labels(value) for value in (*values, OTHER)}


def _of(children: dict[str, _M], value: str) -> _M:
    return children.get(value) or children[OTHER]
