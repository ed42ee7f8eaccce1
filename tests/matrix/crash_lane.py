"""One gateway that is killed and started again and again on one ledger, and its tool.

A trial arms a point, makes calls, waits for the end of the process, starts the next one on the
same ledger, waits until the ledger has come to rest, and judges. The process of one trial's restart
is the one that dies in the next.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.harness import exact_tool
from tests.harness.crashing import OF_ASKED, OF_OPAQUE, came_file
from tests.harness.crashing import POINTS as IN_GATEWAY
from tests.harness.exact_tool import ExactTool
from tests.harness.gateway import Gateway
from tests.harness.world import TEXT, World, http_tool
from tests.matrix.crash_judge import COUNTED, FINAL, STUCK, Call, Judged, Kind, Told, judge
from tests.matrix.crash_ledger import Ledger
from tests.matrix.trials import Found

CALLS = 8
RECOVERY_S = 30.0
DEATH_S = 10.0
TIMEOUT_S = 2.0
AUDIENCE = "https://rec"
POINTS = (*IN_GATEWAY, *exact_tool.POINTS)

SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"text": TEXT}}
LENT = {"credential": {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["rec:write"], "ttl": 2}}
SHARED = {"timeout": f"{TIMEOUT_S:g}s", "input_schema": SCHEMA, **LENT}
WRITTEN = http_tool("GET", "/written", "read", query=["text"], input_schema=SCHEMA)
RECIPE = {
    "tool": "written",
    "arguments": {"text": "/text"},
    "expect": [{"at": "/body/written", "equals": True}],
}
TOOLS: dict[Kind, dict[str, Any]] = {
    Kind.KEYED: http_tool(
        "POST", "/keyed", "write", recovery="idempotency_key", body=["text"], **SHARED
    ),
    Kind.PROBED: http_tool(
        "POST", "/write", "write", route=False, body=["text"], probe=RECIPE, **SHARED
    ),
    Kind.UNREAD: http_tool("POST", "/write", "write", body=["text"], **SHARED),
    Kind.OPAQUE: http_tool(
        "POST", "/write", "write", recovery="opaque", route=False, body=["text"], **SHARED
    ),
    Kind.READ: http_tool("GET", "/read", "read", query=["text"], **SHARED),
}
NAMES = {kind: kind.name.lower() for kind in TOOLS}


Heard = tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Crash:
    """What a trial does. `wanted` of the calls have to come to the point.

    `asks_again`: the client sends every call again, under its key, as soon as it can. `then`: the
    next process ends as well, at that point of its recovery.
    """

    point: str
    kind: Kind
    wanted: int = CALLS
    asks_again: bool = False
    then: str = ""

    @property
    def row(self) -> str:
        """The row of the table."""
        return f"recovery, {self.then}" if self.then else self.point

    @property
    def is_possible(self) -> bool:
        """Whether a call of that kind comes to that point."""
        if self.point in OF_OPAQUE:
            return self.kind is Kind.OPAQUE
        if self.then in OF_ASKED:
            return self.kind in {Kind.KEYED, Kind.PROBED}
        return self.kind is not Kind.READ or self.point != exact_tool.ARRIVED


class Lane:
    """A world, a tool, a ledger; a gateway most of the time. `close` stops all of it."""

    def __init__(self, world: World, tool: ExactTool, ledger: Ledger) -> None:
        self.world = world
        self.tool = tool
        self.ledger = ledger
        self._armed = world.directory / "failpoint"
        self._gateway: Gateway | None = None
        tool.intended = ledger.has
        world.tools["rec"] = {NAMES[kind]: entry for kind, entry in TOOLS.items()}
        world.tools["rec"]["written"] = WRITTEN
        world.settings |= {"credentials": {"jwt": {"jwt": {"issuer": "detent", "keys": "keys"}}}}
        if world.program == ("proxy",):
            world.program = ("tests.harness.crashing", str(self._armed))

    async def close(self) -> None:
        """End the gateway and the tool."""
        if self._gateway is not None:
            await self._gateway.kill9()
        await self.tool.stop()
        await self.ledger.close()

    async def crash(self, crash: Crash, name: str) -> Found:
        """Carry out one trial; `name` tells its calls from all others."""
        try:
            return await self._crash(crash, name)
        except BaseException:  # the next trial begins with another process
            await self._end()
            raise

    async def _crash(self, crash: Crash, name: str) -> Found:
        gateway = await self._running()
        await self.ledger.mark()
        texts = [f"{name} {n}" for n in range(CALLS)]
        self._arm(gateway, crash)
        told = await _ask_all(gateway, crash.kind, texts)
        has_died = await gateway.dies(DEATH_S)
        came = self._came(crash)
        await self._end()
        if crash.then:
            has_died &= await self._dies_again(crash)
        began = time.monotonic()
        gateway = await self._running()
        started_s = time.monotonic() - began
        again = await _ask_all(gateway, crash.kind, texts) if crash.asks_again else [()] * CALLS
        await self._rest(crash)
        rested_s = time.monotonic() - began - started_s
        heard = dict(zip(texts, zip(told, again, strict=True), strict=True))
        calls = await self._calls(crash.kind, heard)
        judged = judge(calls, await self.ledger.books(), TIMEOUT_S)
        if not has_died:
            judged.problems.append("the process never came to the point")
        more = {"came": came, "start_s": started_s, "rest_s": rested_s}
        return Found(tuple(judged.problems), {**_figures(judged, told), **more})

    async def _dies_again(self, crash: Crash) -> bool:
        """Start the next process and wait until it has ended in its recovery."""
        self._armed.write_text(f"{crash.then} {crash.wanted}")
        gateway = Gateway(self.world)
        try:
            with contextlib.suppress(RuntimeError):  # it was dead before it was ready
                await gateway.start()
            return await gateway.dies(RECOVERY_S)
        finally:
            await self._end()
            await gateway.kill9()

    def _came(self, crash: Crash) -> int:
        """Return how many calls had come to the point."""
        if crash.point in exact_tool.POINTS:
            return self.tool.came
        file = came_file(self._armed)
        return file.stat().st_size if file.exists() else 0

    async def _running(self) -> Gateway:
        if self._gateway is None:
            self._gateway = Gateway(self.world)  # known before it runs: whatever comes, it is ended
            await self._gateway.start()
        return self._gateway

    async def _end(self) -> None:
        gateway, self._gateway = self._gateway, None
        self._armed.unlink(missing_ok=True)
        came_file(self._armed).unlink(missing_ok=True)
        self.tool.end_at("", 0, lambda: None)
        if gateway is not None:
            await gateway.kill9()

    def _arm(self, gateway: Gateway, crash: Crash) -> None:
        if crash.point in exact_tool.POINTS:
            pid = gateway.pid
            end = lambda: os.kill(pid, signal.SIGKILL)  # noqa: E731 one thought
            self.tool.end_at(crash.point, crash.wanted, end)
        else:
            self._armed.write_text(f"{crash.point} {crash.wanted}")

    async def _rest(self, crash: Crash) -> None:
        """Wait until every step of the trial is settled, at most as long as recovery may take."""
        settled = FINAL | {STUCK}
        until = time.monotonic() + RECOVERY_S
        if crash.point == exact_tool.ARRIVED:
            await asyncio.sleep(exact_tool.LATE_S)
        while time.monotonic() < until:
            if all(row.state in settled for row in await self.ledger.rows()):
                return
            await asyncio.sleep(0.1)

    async def _calls(self, kind: Kind, heard: Mapping[str, tuple[Heard, Heard]]) -> list[Call]:
        rows = await self.ledger.rows()
        return [
            Call(
                text,
                kind,
                told=told,
                again=again,
                arrivals=[one for one in self.tool.arrivals if one.text == text],
                effects=[one for one in self.tool.effects if one.text == text],
                rows=[one for one in rows if one.text == text],
            )
            for text, (told, again) in heard.items()
        ]


async def _ask_all(gateway: Gateway, kind: Kind, texts: list[str]) -> list[Heard]:
    return await asyncio.gather(*(_ask(gateway, kind, text) for text in texts))


async def _ask(gateway: Gateway, kind: Kind, text: str) -> Heard:
    """Make a call under a key of its own; nothing is told when the connection ends."""
    try:
        status, answer = await gateway.call(NAMES[kind], {"text": text}, idempotency_key=text)
    except aiohttp.ClientError:
        return ()
    return (Told(status, answer.get("outcome", answer.get("code", ""))),)


def _figures(judged: Judged, told: list[Heard]) -> dict[str, float]:
    counts = {name: judged.counts[name] for name in COUNTED}
    return {**counts, "cut": sum(not one for one in told)}
