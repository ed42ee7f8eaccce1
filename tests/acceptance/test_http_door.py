"""An unchanged REST client through `/http/{server}`, in front of the real Datasette."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.harness.datasette import Datasette
from tests.harness.gateway import Gateway
from tests.harness.world import World

COUNT = "with recursive c(n) as (select 1 union all select n+1 from c limit 9000000)"
SLOW = COUNT + " select max(n) from c"  # noqa: S608 two constants, no input
INSERT = "/tickets/tickets/-/insert"
ROW = {"row": {"title": "Fix is in", "state": "open"}}


@asynccontextmanager
async def client(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """What an agent has: a base URL and a token, and httpx as it comes."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        yield http


@asynccontextmanager
async def served(world: World, token: str = "") -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """Run a gateway, and a client whose base URL is the only thing that changed."""
    async with Gateway(world) as gateway:
        url = f"{gateway.agents}/http/tickets"
        async with client(url, token or world.agent_token) as http:
            yield gateway, http


def steady(answer: httpx.Response) -> dict[str, Any]:
    """Return what of Datasette's answer does not depend on the clock."""
    members: dict[str, Any] = answer.json()
    return {name: value for name, value in members.items() if name != "query_ms"}


async def rows(http: httpx.AsyncClient) -> list[Any]:
    answer = await http.get("/tickets/tickets.json", params={"_size": 100})
    answer.raise_for_status()
    found: list[Any] = answer.json()["rows"]
    return found


async def test_a_client_reads_and_writes_as_it_does_direct(
    world: World, tickets: Datasette
) -> None:
    """Same status, type and JSON; the only difference is who holds the key."""
    async with served(world) as (_, http), client(tickets.url, tickets.key) as direct:
        for path in ("/tickets/tickets.json?_size=1&_sort=id", "/tickets/tickets/1.json"):
            through, straight = await http.get(path), await direct.get(path)
            assert (through.status_code, steady(through)) == (200, steady(straight))
            assert through.headers["content-type"] == straight.headers["content-type"]
        created = await http.post(INSERT, json=ROW)
        assert (created.status_code, created.json()["rows"][0]["title"]) == (201, "Fix is in")
        assert [row["title"] for row in await rows(http)] == ["Crash on start", "Fix is in"]
    assert tickets.titles() == ["Crash on start", "Fix is in"]


async def test_the_tools_own_refusals_are_its_own(world: World, tickets: Datasette) -> None:
    """A row that is not there is the 404 the client knows; the answer names its step."""
    async with served(world) as (_, http), client(tickets.url, tickets.key) as direct:
        path = "/tickets/tickets/99.json"
        through, straight = await http.get(path), await direct.get(path)
        assert (through.status_code, through.json()) == (404, straight.json())
        assert through.headers["detent-step-id"].startswith("stp_")


async def test_what_policy_refuses_is_a_problem(world: World, tickets: Datasette) -> None:
    """Outside the constraints, irreversible, no such route: nothing reaches the tool."""
    async with served(world) as (_, http):
        outside = await http.get("/tickets/sqlite_master.json")
        gone = await http.post("/tickets/tickets/1/-/delete")
        unknown = await http.post("/tickets/-/create", json={"table": "x"})
    assert (outside.status_code, outside.json()["code"]) == (403, "value-not-in-enumeration")
    assert gone.status_code in (202, 403)
    assert gone.json()["code"] == "approval-required"
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-tool")
    kinds = {one.headers["content-type"] for one in (outside, gone, unknown)}
    assert kinds == {"application/problem+json"}
    assert tickets.titles() == ["Crash on start"]


async def test_a_key_makes_one_row(world: World, tickets: Datasette) -> None:
    """The same request again is the same answer; another one under that key is refused."""
    key = {"Idempotency-Key": "fix-1"}
    async with served(world) as (_, http):
        first = await http.post(INSERT, json=ROW, headers=key)
        again = await http.post(INSERT, json=ROW, headers=key)
        other = await http.post(INSERT, json={"row": {"title": "Other"}}, headers=key)
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert first.headers["detent-step-id"] == again.headers["detent-step-id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert tickets.titles() == ["Crash on start", "Fix is in"]


async def test_a_dry_run_reads_and_does_not_write(world: World, tickets: Datasette) -> None:
    """A client that checks its status stops there; the preview says what would be sent."""
    async with served(world) as (gateway, http):
        _, session = await gateway.ask("POST", "/v1/sessions", {"mode": "dry_run"})
        http.headers["Authorization"] = f"Bearer {session['token']}"
        assert len(await rows(http)) == 1
        told = await http.post(INSERT, json=ROW)
    assert (told.status_code, told.json()["code"]) == (409, "dry-run")
    assert told.json()["preview"]["tool"] == "insert_row"
    assert tickets.titles() == ["Crash on start"]


async def test_a_budget_ends(world: World, tickets: Datasette) -> None:
    """429, which clients know."""
    async with served(world) as (gateway, http):
        _, session = await gateway.ask("POST", "/v1/sessions", {"budget": {"risk": 2}})
        http.headers["Authorization"] = f"Bearer {session['token']}"
        statuses = [(await http.get("/tickets/tickets/1.json")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_a_kill_stops_it_and_cuts_what_is_under_way(world: World, tickets: Datasette) -> None:
    """A slow query is answered at once with what is known of it; later ones are refused."""
    async with served(world) as (gateway, http):
        http.timeout = httpx.Timeout(30)
        slow = asyncio.create_task(http.get("/tickets/-/query.json", params={"sql": SLOW}))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        status, report = await gateway.operate("POST", "/killswitch", {"reason": "test"})
        cut = await slow
        took_s = time.monotonic() - began
        refused = await http.post(INSERT, json=ROW)
        lift = f"/killswitch/{report['epoch']}"
        await gateway.operate("DELETE", lift, {"reason": "test"})
        assert len(await rows(http)) == 1
    assert (status, cut.status_code, cut.json()["outcome"]) == (200, 503, "unknown")
    assert took_s < 1
    assert (refused.status_code, refused.json()["code"]) == (503, "killed")
    assert tickets.titles() == ["Crash on start"]


async def test_tenants_do_not_meet(world: World, tickets: Datasette) -> None:
    """A key of one agent replays nothing to another."""
    key = {"Idempotency-Key": "same"}
    async with served(world) as (gateway, http):
        first = await http.post(INSERT, json=ROW, headers=key)
        async with client(f"{gateway.agents}/http/tickets", world.other_token) as other:
            second = await other.post(INSERT, json=ROW, headers=key)
    steps = {one.headers["detent-step-id"] for one in (first, second)}
    assert (first.status_code, second.status_code, len(steps)) == (201, 201, 2)
    assert len(tickets.titles()) == 3
