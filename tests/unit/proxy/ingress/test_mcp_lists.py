import json
from typing import Any

import pytest

from proxy.errors import BadRequest, Refused
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_lists import MAX_ITEMS, MAX_PAGES, list_tools, merged_list
from proxy.model.ledger import Outcome
from proxy.model.mcp import RpcReply
from proxy.model.session import Mode
from proxy.model.step import Answer
from tests.harness.doors import RecordingGate, caller_of, tool

STAMP = {"io.modelcontextprotocol/serverInfo": {"name": "detent", "version": "1"}}
TOOLS = (tool("repo", "log", outputSchema={"type": "object"}), tool("re__po", "log"))


async def listed(server: str | None, mode: Mode = Mode.READ_WRITE, stamp: Any = None) -> Any:
    gate = RecordingGate(tools=TOOLS)
    message = Message(1, "tools/list", {})
    return result_of(await list_tools(gate, caller_of("loop", mode), server, message, stamp))


def result_of(reply: RpcReply) -> Any:
    assert reply.result is not None
    return json.loads(reply.result)


async def test_a_servers_own_list_has_plain_names() -> None:
    """And definitions as the server gave them."""
    assert await listed("repo") == {"tools": [json.loads(TOOLS[0].definition.raw)]}


async def test_the_aggregated_list_joins_names() -> None:
    """Tools whose joined name would mean another are left out."""
    result = await listed(None, stamp=STAMP)
    assert [shown["name"] for shown in result["tools"]] == ["repo__log"]
    hints = (result["resultType"], result["ttlMs"], result["cacheScope"])
    assert hints == ("complete", 0, "private")
    assert result["_meta"] == STAMP


@pytest.mark.parametrize(
    ("mode", "shown"),
    [(Mode.READ_WRITE, True), (Mode.READ_ONLY, True), (Mode.DRY_RUN, False)],
)
async def test_output_schemas_are_hidden_in_a_dry_run(mode: Mode, shown: bool) -> None:
    """Only there: a preview would not fit them."""
    result = await listed("repo", mode)
    assert ("outputSchema" in result["tools"][0]) is shown


async def test_there_is_one_page() -> None:
    """A cursor nobody gave out is invalid."""
    message = Message(1, "tools/list", {"cursor": "2"})
    with pytest.raises(BadRequest) as refused:
        await list_tools(RecordingGate(), caller_of("loop"), None, message, None)
    assert refused.value.rpc_code == -32602


class Servers:
    """Servers with lists of so many pages; `refused` and `failing` do not list."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self._pages = pages
        self.asked: list[tuple[str, Any]] = []

    async def run(self, server: str, params: dict[str, Any]) -> Answer:
        """Answer with the page of a cursor."""
        cursor = params.get("cursor")
        self.asked.append((server, cursor))
        pages = self._pages[server]
        if isinstance(pages, str):
            reasons = Refused.because(pages).refusal.reasons
            return Answer("s", "deny", reasons, Outcome.DENIED)
        number = int(cursor or 0)
        result: dict[str, Any] = {"resources": [{"uri": uri} for uri in pages[number]]}
        if number + 1 < len(pages):
            result["nextCursor"] = str(number + 1)
        return Answer("s", "allow", (), Outcome.DONE, result=json.dumps(result).encode())


async def merged(pages: dict[str, Any], stamp: Any = None) -> tuple[RpcReply, Servers]:
    servers = Servers(pages)
    reply = await merged_list("resources/list", sorted(pages), servers.run, stamp)
    return reply, servers


async def test_lists_of_several_servers_become_one() -> None:
    """All of their pages, in a stable order, with names that tell whose they are."""
    reply, servers = await merged({"b": [["f:1"]], "a": [["f:1", "f:2"], ["f:3"]]})
    uris = [had["uri"] for had in result_of(reply)["resources"]]
    assert uris == ["a+f:1", "a+f:2", "a+f:3", "b+f:1"]
    assert servers.asked == [("a", None), ("a", "1"), ("b", None)]
    assert "nextCursor" not in result_of(reply)


async def test_a_merged_list_is_for_one_principal() -> None:
    """As every cacheable result."""
    result = result_of((await merged({"a": [[]]}, STAMP))[0])
    assert (result["cacheScope"], result["ttlMs"], result["_meta"]) == ("private", 0, STAMP)


async def test_what_one_server_does_not_list_is_left_out() -> None:
    """Because of policy, or because it failed."""
    reply, _ = await merged({"a": "default-deny", "b": [["f:1"]], "c": "upstream-failed"})
    assert [had["uri"] for had in result_of(reply)["resources"]] == ["b+f:1"]


async def test_when_none_lists_anything_the_first_reason_is_told() -> None:
    """A kill is not an empty list."""
    reply, _ = await merged({"a": "killed", "b": "killed"})
    assert json.loads(reply.error or b"")["code"] == -32011


async def test_a_list_without_end_is_cut() -> None:
    """By pages, by items, and when its cursor does not move."""
    endless = [["f:x"]] * (MAX_PAGES * 2)
    assert len((await merged({"a": endless}))[1].asked) == MAX_PAGES
    wide = [[f"f:{n}" for n in range(MAX_ITEMS)]] * 3
    reply, servers = await merged({"a": wide, "b": wide})
    assert len(result_of(reply)["resources"]) == MAX_ITEMS
    assert servers.asked == [("a", None), ("b", None)]


async def test_a_cursor_that_stands_still_ends_the_list() -> None:
    """Nothing new would come."""
    asked: list[Any] = []

    async def run(server: str, params: dict[str, Any]) -> Answer:
        asked.append(params)
        raw = b'{"resources":[{"uri":"f:1"}],"nextCursor":"same"}'
        return Answer("s", "allow", (), Outcome.DONE, result=raw)

    reply = await merged_list("resources/list", ["a"], run, None)
    assert asked == [{}, {"cursor": "same"}]
    assert len(result_of(reply)["resources"]) == 2
