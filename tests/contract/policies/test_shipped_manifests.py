"""The shipped manifests against the tools they were written for."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import rfc8785
from datasette.app import Datasette  # type: ignore[import-untyped]  # it ships no types

from proxy.pdp.manifests import load_catalogue
from proxy.upstream.placement import placement_of

POLICIES = Path(__file__).parents[3] / "policies"
CATALOGUE = load_catalogue(POLICIES)

CLIENT = {"name": "test", "version": "0"}
LIST_2025: list[dict[str, Any]] = [
    {
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT},
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list", "params": {}},
]
LIST_2026: list[dict[str, Any]] = [
    {
        "id": 2,
        "method": "tools/list",
        "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": CLIENT,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        },
    },
]


@pytest.mark.parametrize("messages", [LIST_2025, LIST_2026], ids=["2025-11-25", "2026-07-28"])
def test_the_pins_of_the_repository_are_those_of_its_server(
    tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    """Every tool it offers, in both eras of the protocol, is pinned by its whole definition."""
    offered = {
        tool["name"]: "sha256:" + hashlib.sha256(rfc8785.dumps(tool)).hexdigest()
        for tool in _tools(tmp_path, messages)
    }
    pinned = {
        tool: manifest.pin
        for (server, tool), manifest in CATALOGUE.tools.items()
        if server == "repo"
    }
    assert pinned == offered


def _tools(directory: Path, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the wire objects of tools/list from a server we run."""
    command = [sys.executable, "-m", "mcp_server_git"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            answer: dict[str, Any] = {}
            for message in messages:
                server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
                server.stdin.flush()
                if "id" in message:
                    answer = json.loads(server.stdout.readline())
        finally:
            server.kill()
    tools: list[dict[str, Any]] = answer["result"]["tools"]
    return tools


@pytest.fixture
async def tickets(tmp_path: Path) -> AsyncIterator[Datasette]:
    """Datasette with one ticket, in this process and without a socket."""
    file = tmp_path / "tickets.db"
    with sqlite3.connect(file) as database:
        database.execute("create table tickets (id integer primary key, title text)")
        database.execute("insert into tickets values (1, 'Crash on start')")
    database.close()
    everything = dict.fromkeys(("insert-row", "update-row", "delete-row", "execute-sql"), True)
    service = Datasette([str(file)], config={"permissions": everything})
    await service.invoke_startup()
    try:
        yield service
    finally:
        for opened in service.databases.values():
            opened.close()


async def _call(service: Datasette, tool: str, arguments: dict[str, Any]) -> Any:
    """Call a tool as its manifest says and return the answer."""
    http = CATALOGUE.tools["tickets", tool].http
    assert http is not None
    assert jsonschema_rs.is_valid(json.loads(http.input_schema), arguments)
    placed = placement_of(http).place(rfc8785.dumps(arguments))
    answer = await service.client.request(
        http.method,
        f"{placed.path}?{placed.query}" if placed.query else placed.path,
        content=placed.body,
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


PLACE = {"database": "tickets", "table": "tickets"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_rows", {**PLACE, "_size": 1, "_sort": "id"}),
        ("get_row", {**PLACE, "id": 1}),
        ("query", {"database": "tickets", "sql": "select * from tickets"}),
    ],
)
async def test_reads_of_the_tickets_give_rows(
    tickets: Datasette, tool: str, arguments: dict[str, Any]
) -> None:
    """Routes and arguments are those of the real service."""
    answer = await _call(tickets, tool, arguments)
    assert answer["rows"] == [{"id": 1, "title": "Crash on start"}]


async def test_writes_of_the_tickets_change_rows(tickets: Datasette) -> None:
    """Insert, update, delete, each seen by the next read."""
    await _call(tickets, "insert_row", {**PLACE, "row": {"id": 2, "title": "Typo"}})
    assert (await _call(tickets, "get_row", {**PLACE, "id": 2}))["rows"][0]["title"] == "Typo"
    await _call(tickets, "update_row", {**PLACE, "id": 2, "update": {"title": "Fixed"}})
    assert (await _call(tickets, "get_row", {**PLACE, "id": 2}))["rows"][0]["title"] == "Fixed"
    await _call(tickets, "delete_row", {**PLACE, "id": 2})
    assert [row["id"] for row in (await _call(tickets, "list_rows", PLACE))["rows"]] == [1]
