"""From what a run left behind, its history: notes of processes, logs, rows of the ledger."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from proxy.model.kill import KillAction, KillVerdict, Scope, ScopeKind
from proxy.model.tool import Recovery
from tests.harness.postgres import Server
from tests.history.records import (
    Account,
    Arrival,
    Entry,
    Extension,
    Flag,
    Kill,
    Renewal,
    Seen,
    Start,
    Step,
    Subject,
    Verdict,
)
from tests.soak.faults import Operators
from tests.soak.fleet import TIMEOUT_S, Replica
from tests.soak.observed import now_s

LATE = b"started after its kill lease"
LEDGER = "ledger"
LEDGER_OFF_S = 0.005  # the time of day is slewed, and logs round it to milliseconds

_STEPS = "SELECT to_jsonb(steps) AS row FROM steps ORDER BY seq"
_KILLS = "SELECT to_jsonb(kills) AS row FROM kills ORDER BY epoch"
_VERDICTS = "SELECT to_jsonb(kill_verdicts) AS row FROM kill_verdicts"
_ACCOUNTS = """
SELECT jsonb_build_object('account', account, 'used', accounts.used, 'held', held,
    'limit', risk_limit,
    'bucketed', (SELECT coalesce(sum(account_buckets.used), 0) FROM account_buckets
                 WHERE account_buckets.account = accounts.account)) AS row
FROM accounts LEFT JOIN sessions ON account = 'session:' || id
"""
AGENT_LIMIT = 1_000_000


def wall_offset_s() -> float:
    """Return what to add to the time of day to get the reference clock."""
    return now_s() - time.time()


class Ledger:
    """The rows of the database, as records."""

    def __init__(self, server: Server, database: str) -> None:
        self._server = server
        self._database = database

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows that are JSON."""
        found = await self._server.execute(self._database, "SET search_path = detent", query)
        return [json.loads(one["row"]) for one in found]

    async def steps(self) -> tuple[Step, ...]:
        """Return the steps as they stand."""
        offset = wall_offset_s()
        return tuple(_step(row, offset) for row in await self.rows(_STEPS))

    async def unsettled(self) -> int:
        """Return how many steps are neither final nor stuck."""
        return sum(step.state in {"intent", "sending", "unknown"} for step in await self.steps())

    async def accounts(self, *, is_last: bool) -> tuple[Account, ...]:
        """Return the budgets as they stand."""
        at = now_s()
        return tuple(
            Account(
                at,
                row["account"],
                row["limit"] or AGENT_LIMIT,
                row["used"] + row["bucketed"],
                row["held"],
                is_last,
                row["limit"] is None,
            )
            for row in await self.rows(_ACCOUNTS)
        )

    async def log(self) -> tuple[tuple[Entry, ...], dict[str, int]]:
        """Return the kill log, and the epoch of each reason."""
        rows = await self.rows(_KILLS)
        entries = tuple(
            Entry(row["epoch"], KillAction(row["action"]), _scopes(row), row["lifts"])
            for row in rows
        )
        return entries, {row["reason"]: row["epoch"] for row in rows}

    async def verdicts(self) -> tuple[Verdict, ...]:
        """Return what became of calls that kills met."""
        return tuple(
            Verdict(row["epoch"], row["step_id"], KillVerdict(row["verdict"]))
            for row in await self.rows(_VERDICTS)
        )


def _scopes(row: dict[str, Any]) -> tuple[Scope, ...]:
    pairs = (one.partition(":") for one in json.loads(row["scopes"]))
    return tuple(Scope(ScopeKind(kind), id_) for kind, _, id_ in pairs)


def _step(row: dict[str, Any], offset: float) -> Step:
    arguments = json.loads(bytes.fromhex(row["arguments"].removeprefix("\\x")))
    tool = f"{row['server']}/{row['tool']}"
    settled = row["settled_at"]
    return Step(
        step_id=row["step_id"],
        subject=Subject(row["tenant"], row["agent"], row["session_id"], tool),
        marker=arguments.get("text") or arguments.get("id", ""),
        state=row.get("recovered") or row["state"],
        at=row["at"] / 1e6 + offset,
        epoch=row["epoch"],
        risk=row["risk"],
        recovery=Recovery(row["recovery"]),
        detail=row["detail"],
        settled_at=None if settled is None else settled / 1e6 + offset,
        key=row["idempotency_key"] or "",
        request=row["request_sha256"] or "",
        timeout_s=TIMEOUT_S,
        accounts=tuple(hold[0] for hold in row["holds"]),
        clock=LEDGER,
    )


def arrivals_of(path: Path) -> tuple[Arrival, ...]:
    """Return what the tool got."""
    return tuple(
        Arrival(at, marker, tool, had_effect) for _, at, tool, marker, had_effect in _lines(path)
    )


class Noted:
    """What the processes of all replicas noted."""

    def __init__(self, replicas: Iterable[Replica]) -> None:
        self.starts: list[Start] = []
        self.renewals: list[Renewal] = []
        self.extensions: list[Extension] = []
        self.seen: list[Seen] = []
        self.flags: list[Flag] = []
        for replica in replicas:
            for path in replica.notes:
                self._read(replica.name, path)
            for said in replica.said:
                self.flags += _flags(said)

    def _read(self, replica: str, path: Path) -> None:
        written: dict[str, list[float]] = defaultdict(list)
        starts: list[Start] = []
        for kind, at, *values in _lines(path):
            if kind == "start":
                starts.append(_start(replica, at, values))
            elif kind == "written":
                written[values[0]].append(at)
            elif kind == "renewal":
                self.renewals.append(Renewal(at, *values))
            elif kind == "extension":
                self.extensions.append(Extension(at, *values))
            elif kind == "seen":
                self.seen.append(Seen(at, replica, values[0]))
        for start in starts:
            after = next((at for at in written[start.step_id] if at >= start.at), None)
            self.starts.append(replace(start, write_at=after))


def _start(replica: str, at: float, values: list[Any]) -> Start:
    holder, step_id, tenant, agent, session, tool, epoch, until = values
    subject = Subject(tenant, agent, session, tool)
    return Start(at, None, replica, holder, step_id, subject, epoch, until)


def _lines(path: Path) -> Iterator[list[Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def _flags(said: str) -> Iterator[Flag]:
    offset = wall_offset_s()
    for line in said.splitlines():
        if LATE.decode() in line and (found := re.search(r"\{.*\}", line)):
            told = json.loads(found[0])
            at = datetime.fromisoformat(told["time"]).timestamp() + offset
            yield Flag(at + LEDGER_OFF_S, told["step_id"])


def kills_of(
    operators: Operators, epochs: dict[str, int], seen: Iterable[Seen], log: Iterable[Entry]
) -> tuple[Kill, ...]:
    """Return kills and lifts, each with the first time that somebody knew it was committed."""
    known = sorted((one.epoch, one.at) for one in seen)

    def committed_by(epoch: int | None, answered_at: float | None) -> float | None:
        times = [at for reached, at in known if epoch is not None and reached >= epoch]
        return min([*times, *([] if answered_at is None else [answered_at])], default=None)

    kills = [
        Kill(
            one.asked_at,
            KillAction.KILL,
            (one.scope,),
            epoch := one.epoch or epochs.get(one.reason),
            committed_by(epoch, one.answered_at),
            one.acknowledged,
            one.effective_at,
        )
        for one in operators.kills
    ]
    for entry in log:
        lift = operators.lifts.get(entry.lifts or 0)
        if entry.action is KillAction.LIFT and lift is not None:
            by = committed_by(entry.epoch, lift.answered_at)
            kills.append(
                Kill(lift.asked_at, entry.action, entry.scopes, entry.epoch, by, lifts=entry.lifts)
            )
    return tuple(kills)
