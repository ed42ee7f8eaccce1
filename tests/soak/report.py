"""What a soak found, as JSON and as a table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from proxy.model.kill import KillAction
from tests.history.lookups import Kills, Steps
from tests.history.records import UNSETTLED
from tests.history.told import History, Violation
from tests.soak.memory import CRITERION, Held

SHOWN = 20


@dataclass(frozen=True)
class Run:
    """How it was run: what was asked for, and what of it happened."""

    seed: int
    minutes: float
    rate: float
    replicas: int
    seconds: float
    offered: int
    load_average: tuple[float, float, float]
    faults: Mapping[str, int]


def report(
    run: Run, history: History, violations: tuple[Violation, ...], held: list[Held]
) -> dict[str, Any]:
    """Return everything, ready for JSON."""
    answered = [call for call in history.calls if call.status]
    states = Counter(step.state for step in history.steps)
    return {
        "run": asdict(run),
        "load": {
            "offered_per_s": round(run.offered / run.seconds, 1),
            "answered_per_s": round(len(answered) / run.seconds, 1),
            "done_per_s": round(sum(c.outcome == "done" for c in answered) / run.seconds, 1),
            "not_answered": len(history.calls) - len(answered),
            "outcomes": dict(Counter(_kind(call.outcome, call.reason) for call in answered)),
        },
        "faults": dict(run.faults),
        "kills": _kills(history),
        "late_starts": sum(one.write_at is not None and one.write_at > one.until
                           for one in history.starts),
        "flagged": len(history.flags),
        "steps": dict(states),
        "stuck": states["stuck"],
        "ambiguous": sum(states[state] for state in UNSETTLED),
        "arrivals": len(history.arrivals),
        "memory": {
            "criterion": CRITERION,
            "processes": [asdict(one) | {"flat": one.is_flat} for one in held],
        },
        "recovery_judged": history.recovery_s is not None,
        "violations": dict(Counter(one.invariant for one in violations)),
        "told": [str(one) for one in violations[:SHOWN]],
    }  # fmt: skip


def _kind(outcome: str, reason: str) -> str:
    return f"{outcome or 'refused'} {reason}" if outcome != "done" else "done"


def _kills(history: History) -> dict[str, Any]:
    kills = [one for one in history.kills if one.action is KillAction.KILL]
    waited = [one.effective_at - one.asked_at for one in kills if one.effective_at is not None]
    return {
        "asked": len(kills),
        "acknowledged": sum(one.acknowledged for one in kills),
        "by_scope": dict(Counter(one.scopes[0].kind.value for one in kills)),
        "effective_s": {"median": _at(waited, 0.5), "latest": _at(waited, 1.0)},
        "latest_start_s": latest_start_s(history),
    }


def _at(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def latest_start_s(history: History) -> float:
    """Return how long after its commit a kill was followed by a call of its scope, at the tool."""
    kills, steps = Kills(history), Steps(history)
    latest = 0.0
    for step_id, arrivals in steps.arrivals.items():
        step = steps.by_id[step_id]
        for window in kills.covering(step.subject):
            since = window.kill.committed_by or 0.0
            for arrival in arrivals:
                if window.holds(arrival.at, since, steps.epoch_of(step, arrival)):
                    latest = max(latest, arrival.at - since)
    return round(latest, 3)


def table(found: Mapping[str, Any]) -> str:
    """Return the same for people, in Markdown."""
    run, load, kills = found["run"], found["load"], found["kills"]
    rows = [
        ("load offered", f"{load['offered_per_s']}/s for {run['seconds']:.0f} s"),
        ("answered", f"{load['answered_per_s']}/s, {load['done_per_s']}/s done"),
        ("not answered (process gone, client gone)", load["not_answered"]),
        ("faults", ", ".join(f"{name} {count}" for name, count in run["faults"].items())),
        ("kills", f"{kills['asked']}, {kills['acknowledged']} acknowledged"),
        ("effective after", _span(kills["effective_s"])),
        ("latest start after a commit, at the tool", f"{kills['latest_start_s']} s of 3 s"),
        ("late starts", f"{found['late_starts']}, {found['flagged']} flagged"),
        ("stuck", found["stuck"]),
        ("ambiguous (open, unknown)", found["ambiguous"]),
        ("steps", ", ".join(f"{name} {count}" for name, count in found["steps"].items())),
        ("violations", sum(found["violations"].values()) or 0),
        ("load average", " ".join(f"{one:.1f}" for one in run["load_average"])),
    ]  # fmt: skip
    lines = [f"Soak, seed {run['seed']}, {run['replicas']} replicas", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    lines += ["", "| process | watched s | mean MiB | MiB/h | flat |", "|---|---|---|---|---|"]
    for one in found["memory"]["processes"]:
        lines.append(
            f"| {one['process']} | {one['watched_s']:.0f} | {one['mean_mib']:.1f} "
            f"| {one['mib_per_hour']:.1f} | {_flat(one['flat'])} |"
        )
    return "\n".join([*lines, "", found["memory"]["criterion"], *found["told"]])


def _span(waited: Mapping[str, Any]) -> str:
    return f"median {waited['median']} s, latest {waited['latest']} s"


def _flat(is_flat: bool | None) -> str:
    return {True: "yes", False: "NO", None: "too short"}[is_flat]
