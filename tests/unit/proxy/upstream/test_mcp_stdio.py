"""MCP servers as children: spoken to, supervised, stopped."""

import asyncio
import json
import os
import pwd
from pathlib import Path

import pytest

from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.process.child import ChildSpec
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_stdio import McpStdio, Patience, child_environment
from tests.harness.scripted import MakeScripted


def call(tool: str, arguments: bytes = b"{}", timeout_s: float = 5) -> UpstreamCall:
    return UpstreamCall(ToolManifest("scripted", tool, Effect.WRITE), arguments, timeout_s)


def nothing() -> None:
    """Nothing stands against a call."""


async def test_arguments_are_spliced_in(scripted: MakeScripted) -> None:
    """The canonical bytes arrive as they are, in a request of today's handshake."""
    server = await scripted()
    arguments = '{"a":1e+21,"b":"é\u2028\\"","c":[0.1,null]}'.encode()
    await server.upstream.call(call("echo", arguments), nothing)
    assert b'"params":{"name":"echo","arguments":' + arguments + b"}}" in server.lines()[-1]
    (opening,) = server.heard("initialize")
    assert opening["params"]["protocolVersion"] == "2025-11-25"
    assert len(server.heard("notifications/initialized")) == 1


async def test_a_stateless_server_is_found(scripted: MakeScripted) -> None:
    """It refuses initialize with -32022; then each request tells version and capabilities."""
    server = await scripted("stateless")
    await server.upstream.call(call("echo"), nothing)
    meta = server.heard("tools/call")[0]["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
    assert server.heard("notifications/initialized") == []
    assert server.heard("subscriptions/listen")[0]["params"]["notifications"] == {
        "toolsListChanged": True,
        "promptsListChanged": True,
        "resourcesListChanged": True,
    }


async def test_the_other_era_may_be_tried_first(scripted: MakeScripted) -> None:
    """A server of the handshake says that it does not know server/discover."""
    server = await scripted(eras=(Era.STATELESS, Era.HANDSHAKE))
    assert len(server.heard("server/discover")) == 1
    await server.upstream.call(call("echo"), nothing)
    assert "_meta" not in server.heard("tools/call")[0]["params"]


@pytest.mark.parametrize(
    ("way", "why"),
    [("rude", "version"), ("old", "version"), ("dead", "closed its output")],
)
async def test_a_server_that_agrees_on_nothing_failed(
    way: str, why: str, scripted: MakeScripted
) -> None:
    """Unknown versions, no answer, an early end: it cannot be had now."""
    server = await scripted(way, start=False, patience=Patience(start_timeout_s=5))
    with pytest.raises(UpstreamFailed, match=why):
        await server.upstream.start()
    with pytest.raises(UpstreamFailed, match="not running"):
        await server.upstream.call(call("echo"), nothing)


async def test_a_server_that_never_speaks_failed_in_time(scripted: MakeScripted) -> None:
    """A start does not hang on it."""
    server = await scripted("mute", start=False, patience=Patience(start_timeout_s=0.5))
    with pytest.raises(UpstreamFailed, match="in time"):
        await server.upstream.start()


async def test_tools_are_listed_over_pages(scripted: MakeScripted) -> None:
    """The second page is asked for with the first one's cursor."""
    server = await scripted()
    assert [one.name for one in await server.upstream.definitions()] == ["tool", "tool2"]


@pytest.mark.parametrize("way", ["endless", "circle", "unlisted"])
async def test_a_list_that_is_none_failed(way: str, scripted: MakeScripted) -> None:
    """Endless pages, a cursor that comes again, an error."""
    server = await scripted(way)
    with pytest.raises(UpstreamFailed):
        await server.upstream.definitions()


async def test_a_list_that_does_not_come_failed(scripted: MakeScripted) -> None:
    """A server that hangs over its list has no tools now."""
    server = await scripted(patience=Patience(answer_timeout_s=0.3))
    await server.upstream.call(call("deaf"), nothing)
    with pytest.raises(UpstreamFailed):
        await server.upstream.definitions()


@pytest.mark.parametrize(("tool", "is_error"), [("echo", False), ("failed", True)])
async def test_what_the_tool_says_is_the_result(
    tool: str, is_error: bool, scripted: MakeScripted
) -> None:
    """The result and its isError."""
    server = await scripted()
    assert (await server.upstream.call(call(tool), nothing)).is_error is is_error


async def test_a_jsonrpc_error_is_passed_on(scripted: MakeScripted) -> None:
    """As the server wrote it."""
    server = await scripted()
    result = await server.upstream.call(call("error"), nothing)
    assert json.loads(result.result) == {"code": -32602, "message": "no such tool"}
    assert (result.is_error, result.is_rpc_error) == (True, True)


async def test_a_result_that_is_none_is_unknown(scripted: MakeScripted) -> None:
    """The call was made; what came back says nothing."""
    server = await scripted()
    with pytest.raises(OutcomeUnknown):
        await server.upstream.call(call("list"), nothing)


async def test_a_credential_cannot_be_taken_along(scripted: MakeScripted) -> None:
    """A lease that could not be passed on is a mistake in the manifest, not something to drop."""
    server = await scripted()
    with_lease = UpstreamCall(call("echo").manifest, b"{}", 5, {"Authorization": "s3cret"})
    with pytest.raises(UpstreamFailed, match="credential"):
        await server.upstream.call(with_lease, nothing)


@pytest.mark.parametrize("tool", ["exit", "garbage", "large", "flood"])
async def test_a_broken_connection_is_an_unknown_outcome_and_a_new_start(
    tool: str, scripted: MakeScripted
) -> None:
    """Every call under way is unknown; the server is started again and may have other tools."""
    server = await scripted()
    other = asyncio.create_task(server.upstream.call(call("silent"), nothing))
    await server.until(lambda: len(server.heard("tools/call")) == 1)
    with pytest.raises(OutcomeUnknown):
        await server.upstream.call(call(tool, timeout_s=20), nothing)
    with pytest.raises(OutcomeUnknown):
        await other
    await server.until(lambda: server.changes != [])
    await server.upstream.call(call("echo"), nothing)


async def test_restarts_wait_longer_each_time(scripted: MakeScripted) -> None:
    """A server that dies at once is not started in a tight loop."""
    patience = Patience(first_delay_s=0.1, last_delay_s=0.2)
    server = await scripted("dead", start=False, patience=patience)
    with pytest.raises(UpstreamFailed):
        await server.upstream.start()
    await asyncio.sleep(1.5)
    assert 2 <= len(server.heard("up")) <= 8


async def test_a_steady_server_is_started_again_at_once(scripted: MakeScripted) -> None:
    """After a good run the delay is the first one again."""
    patience = Patience(first_delay_s=0.01, last_delay_s=10, steady_s=0.0, stop_grace_s=0.2)
    server = await scripted(patience=patience)
    for restarts in range(1, 4):
        with pytest.raises(OutcomeUnknown):
            await server.upstream.call(call("exit"), nothing)
        await server.until(lambda count=restarts: len(server.changes) == count)  # type: ignore[misc]


async def test_a_changed_list_is_told(scripted: MakeScripted) -> None:
    """One call of on_changed for one notification; others mean nothing."""
    server = await scripted()
    await server.upstream.call(call("changed"), nothing)
    assert server.changes == [1]


async def test_stop_leaves_no_process(scripted: MakeScripted) -> None:
    """Its process is gone and calls fail, also those under way."""
    server = await scripted()
    where = json.loads((await server.upstream.call(call("where"), nothing)).result)
    waiting = asyncio.create_task(server.upstream.call(call("silent"), nothing))
    await server.until(lambda: len(server.heard("tools/call")) == 2)
    await server.upstream.stop()
    with pytest.raises(OutcomeUnknown):
        await waiting
    with pytest.raises(UpstreamFailed):
        await server.upstream.call(call("echo"), nothing)
    assert not Path(f"/proc/{where['pid']}").exists()


async def test_stop_before_it_has_started(scripted: MakeScripted) -> None:
    """A start that is stopped ends as failed and does not hang."""
    server = await scripted("mute", start=False)
    starting = asyncio.create_task(server.upstream.start())
    await server.until(lambda: server.heard("initialize") != [])
    await server.upstream.stop()
    with pytest.raises(UpstreamFailed, match="stopped"):
        await starting


async def test_stop_while_it_is_being_ended_leaves_no_process(scripted: MakeScripted) -> None:
    """A server that does not want to go is waited for, whoever began to end it."""
    server = await scripted(patience=Patience(stop_grace_s=0.6))
    with pytest.raises(OutcomeUnknown):
        await server.upstream.call(call("stubborn"), nothing)
    (up,) = server.heard("up")
    await asyncio.sleep(0.1)
    assert Path(f"/proc/{up['id']}").exists()
    await server.upstream.stop()
    assert not Path(f"/proc/{up['id']}").exists()


async def test_stop_without_a_start() -> None:
    """Nothing to stop is fine."""
    await McpStdio(ChildSpec("never", ("true",))).stop()


async def test_a_command_that_is_not_there_failed(scripted: MakeScripted) -> None:
    """The text says which server and why."""
    upstream = McpStdio(ChildSpec("missing", ("/nowhere/server",)))
    with pytest.raises(UpstreamFailed, match="missing"):
        await upstream.start()
    await upstream.stop()


async def test_the_environment_is_explicit(
    scripted: MakeScripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of ours but PATH goes to the child."""
    monkeypatch.setenv("DETENT_SECRET", "s3cret")
    server = await scripted()
    env = json.loads((await server.upstream.call(call("where"), nothing)).result)["env"]
    assert env.keys() <= {"PATH", "HOME", "LANG", "LC_CTYPE"}


def test_what_the_configuration_gives_comes_first() -> None:
    """Configured variables replace ours."""
    env = child_environment(ChildSpec("a", ("b",), {"PATH": "/x", "TOKEN": "t"}))
    assert env == {
        "PATH": "/x",
        "TOKEN": "t",
        "HOME": pwd.getpwuid(os.geteuid()).pw_dir,
        "LANG": "C.UTF-8",
    }


@pytest.mark.parametrize(("user", "home"), [("nobody", "/nonexistent"), ("no-such-user", "/")])
def test_home_is_the_users(user: str, home: str) -> None:
    """An account that does not exist has none; its spawn fails later."""
    assert child_environment(ChildSpec("a", ("b",), user=user))["HOME"] == home


async def test_a_refusal_writes_nothing(scripted: MakeScripted) -> None:
    """What sending raises passes, and not a byte was written to the pipe."""

    def refuse() -> None:
        raise Refused.because("killed")

    server = await scripted()
    with pytest.raises(Refused):
        await server.upstream.call(call("echo"), refuse)
    await server.upstream.call(call("after"), nothing)
    assert [one["params"]["name"] for one in server.heard("tools/call")] == ["after"]


async def test_its_directory_is_the_configured_one(tmp_path: Path, scripted: MakeScripted) -> None:
    """A server works where its configuration says."""
    server = await scripted(start=False)
    spec = ChildSpec("here", server.upstream._spec.command, cwd=tmp_path)
    upstream = McpStdio(spec)
    await upstream.start()
    result = json.loads((await upstream.call(call("where"), nothing)).result)
    await upstream.stop()
    assert result["cwd"] == str(tmp_path)
