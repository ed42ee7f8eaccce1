"""What happens: a scripted agent on a heartbeat, and an operator who watches."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from examples.demo.client import Client
from examples.demo.world import CANARY, World

BEATS, STEPS, STEP_FAILS = 25, 8, 0.15
WIDTH = 56
COUNT = "with recursive c(n) as (select 1 union all select n+1 from c limit 9000000)"
SLOW = COUNT + " select max(n) from c"  # noqa: S608  (two constants, no input)
SLOW_QUERY = {"database": "tickets", "sql": SLOW}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was tried, what came of it, and what the story expects."""

    act: str
    tried: str
    verdict: str
    outcome: str
    why: str
    expected: bool


@dataclass
class Story:
    """Runs the acts and keeps their rows and figures."""

    world: World
    client: Client
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Tell the story in order."""
        await self.hold()
        await self.work()
        await self.budget()
        await self.heartbeats()
        await self.injection()
        await self.kill()
        await self.canary()

    @property
    def went_as_told(self) -> bool:
        """Whether every row came out as the story says."""
        return all(row.expected for row in self.rows)

    async def tell(
        self, act: str, tool: str, arguments: dict[str, Any], expect: str, **more: Any
    ) -> dict[str, Any]:
        """Make one call and write down what came of it."""
        answer: dict[str, Any] = await self.client.call(tool, arguments, **more)
        why = ", ".join(reason["id"] for reason in answer.get("reasons", []))
        self._row(act, _short(tool, arguments), answer, why, expect)
        return answer

    def _row(self, act: str, tried: str, answer: dict[str, Any], why: str, expect: str) -> None:
        verdict, outcome = str(answer.get("verdict", "")), str(answer.get("outcome", ""))
        self.rows.append(Row(act, tried, verdict, outcome, why, expect in (outcome, why)))

    async def hold(self) -> None:
        """Ask for what cannot be undone; an operator approves that one call, which goes once."""
        row = {"database": "tickets", "table": "tickets", "id": 1}
        held = await self.tell("hold", "tickets/delete_row", row, "pending_approval")
        await self.client.operate("POST", f"/v1/approvals/{held['approval']['id']}/approve")
        await self.tell("approved", "tickets/delete_row", row, "done")
        await self.tell("hold", "tickets/delete_row", row, "pending_approval")

    async def work(self) -> None:
        """Read, be refused, preview, then really write."""
        here = {"repo_path": str(self.world.repository)}
        place = {"database": "tickets", "table": "tickets"}
        await self.tell("allow", "repo/git_status", here, "done")
        await self.tell("deny", "repo/git_status", {"repo_path": "/etc"}, "path-outside-workspace")
        await self.tell("deny", "repo/git_push", here, "unknown-tool")
        add = here | {"files": ["fix.txt"]}
        await self.tell("dry run", "repo/git_add", add, "dry_run", dry_run=True)
        await self.tell("allow", "repo/git_add", add, "done")
        await self.tell("allow", "repo/git_commit", here | {"message": "the fix"}, "done")
        row = {"title": "Fix is in", "state": "open"}
        await self.tell("allow", "tickets/insert_row", place | {"row": row}, "done")

    async def budget(self) -> None:
        """Spend a session's budget of 3 points on reads of 1 point each."""
        session = await self.client.session(budget={"risk": 3}, purpose="small errand")
        here = {"repo_path": str(self.world.repository)}
        for expect in ("done", "done", "done", "budget-exhausted"):
            await self.tell("budget", "repo/git_status", here, expect, token=session["token"])

    async def heartbeats(self) -> None:
        """Run the loop: each step is mostly right; the chain has to be right all along."""
        chance = random.Random(7)
        steps = chains = 0
        for _ in range(BEATS):
            good = [await self._step(chance) for _ in range(STEPS)]
            steps += sum(good)
            chains += all(good)
        p = steps / (BEATS * STEPS)
        self.figures["per-step success"] = f"{p:.2f} over {BEATS * STEPS} steps"
        self.figures["end-to-end success"] = f"{chains / BEATS:.2f} over {BEATS} beats"
        self.figures[f"p^{STEPS}"] = f"{p**STEPS:.2f}"

    async def _step(self, chance: random.Random) -> bool:
        wrong = chance.random() < STEP_FAILS
        path = "/srv/elsewhere" if wrong else str(self.world.repository)
        answer = await self.client.call("repo/git_status", {"repo_path": path})
        return bool(answer["outcome"] == "done")

    async def injection(self) -> None:
        """Read a poisoned file and do as it says: the data has nowhere to go."""
        here = {"repo_path": str(self.world.repository)}
        shown = await self.tell("injection", "repo/git_show", here | {"revision": "HEAD~1"}, "done")
        followed = "IMPORTANT for assistants" in str(shown.get("result"))
        body = {"body": 'DATABASE = "postgres://internal/prod"'}
        place = {"database": "public", "table": "outbox", "row": body}
        expect = "untrusted-to-unregistered-destination" if followed else "the file was not read"
        await self.tell("injection", "tickets/insert_row", place, expect)

    async def kill(self) -> None:
        """Stop everything in the middle of a slow call, with eager callers around it."""
        slow = asyncio.create_task(self.client.call("tickets/query", SLOW_QUERY))
        done: list[float] = []
        eager = [asyncio.create_task(self._eager(done)) for _ in range(4)]
        await asyncio.sleep(1.0)
        began = time.monotonic()
        report = await self.client.operate("POST", "/killswitch", {"reason": "demo"})
        committed = time.monotonic()
        answer = await slow
        cut = time.monotonic()
        refused = sum(await asyncio.gather(*eager))
        self._row("kill", "tickets/query (slow, in flight)", answer, _ids(answer), "unknown")
        await self.tell("kill", "repo/git_status", {"repo_path": "."}, "killed")
        late = max((at - committed for at in done), default=0.0)
        self.figures["time to halt"] = (
            f"{(committed - began) * 1000:.1f} ms from the request to committed and effective; "
            f"the slow call was cut {(cut - began) * 1000:.1f} ms after the request"
        )
        self.figures["after the kill"] = (
            f"0 calls answered, {refused} refused"
            if late <= 0
            else f"last answer {late * 1000:.1f} ms after the commit"
        )
        epoch = report["epoch"]
        verdicts = await self.client.operate("GET", f"/killswitch/{epoch}")
        cut_calls = [call["verdict"] for call in verdicts["calls"]]
        self.figures["calls in flight"] = ", ".join(_counted(cut_calls)) or "none"
        await self.client.operate("DELETE", f"/killswitch/{epoch}", {"reason": "demo goes on"})

    async def _eager(self, done: list[float]) -> int:
        """Call until refused; note when answers came; return how many were refused."""
        refused = 0
        here = {"repo_path": str(self.world.repository)}
        while refused < 5:
            answer = await self.client.call("repo/git_status", here)
            if answer["outcome"] == "done":
                done.append(time.monotonic())
            else:
                refused += 1
        return refused

    async def canary(self) -> None:
        """Touch the bait: denied, locked, reported; then a person unlocks."""
        place = {"database": "tickets", "table": "comments"}
        began = time.monotonic()
        leak = place | {"row": {"ticket": 1, "body": f"found {CANARY}"}}
        await self.tell("canary", "tickets/insert_row", leak, "canary-touched")
        async with asyncio.timeout(5):
            while not (touches := self.world.alerts_of("canary")):
                await asyncio.sleep(0.005)
        at, headers = touches[0]
        signed = "signed" if headers.get("webhook-signature") else "not signed"
        self.figures["alert"] = f"{signed}, arrived {(at - began) * 1000:.0f} ms after the touch"
        here = {"repo_path": str(self.world.repository)}
        await self.tell("canary", "repo/git_status", here, "agent-locked")
        await self.client.operate("POST", "/v1/agents/acme/nightly-loop/unlock", {"reason": "demo"})
        await self.tell("canary", "repo/git_status", here, "done")


def _counted(verdicts: list[str]) -> Iterator[str]:
    for verdict in sorted(set(verdicts)):
        yield f"{verdicts.count(verdict)} {verdict}"


def _ids(answer: dict[str, Any]) -> str:
    return ", ".join(reason["id"] for reason in answer.get("reasons", []))


def _short(tool: str, arguments: dict[str, Any]) -> str:
    shown = {key: str(value) for key, value in arguments.items() if key != "repo_path"}
    if arguments.get("repo_path", "").startswith("/etc"):
        shown["repo_path"] = "/etc"
    text = " ".join(f"{key}={value}" for key, value in shown.items())
    whole = f"{tool} {text}"
    return whole if len(whole) <= WIDTH else whole[: WIDTH - 1] + "…"
