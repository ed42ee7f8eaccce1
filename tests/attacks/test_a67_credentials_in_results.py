"""A67: a tool shows a credential: the one it was lent, another of the gateway's, a Detent token."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from credentials.jwt_broker import JwtBroker
from proxy.model.call import Door, ToolCall
from proxy.model.token import TokenKind, new_token
from tests.harness.assembled import build
from tests.harness.changing_mcp import pin_of
from tests.harness.doors import META, STATELESS
from tests.harness.echoing_mcp import DEFINITION, EchoingMcp, Frames, echoing, text_result
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

KEY = "sk-Live_7f3Qx9vB2k41aZ0pLmN8/yT6=w"


def every_octet(text: str) -> str:
    return "".join(f"%{octet:02x}" for octet in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "reversed": lambda text: text[::-1],
    "url": lambda text: quote(text, safe=""),
    "url, partly": lambda text: every_octet(text[:12]) + quote(text[12:], safe=""),
    "url, every octet, twice": lambda text: every_octet(every_octet(text)),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, url-safe, no padding": lambda text: (
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    ),
    "base64, second alignment": lambda text: base64.b64encode(b"k=" + text.encode()).decode(),
    "base64, third alignment": lambda text: base64.b64encode(b"k" + text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "json, unicode escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "json in json": lambda text: json.dumps({"headers": {"Authorization": f"Bearer {text}"}}),
}


@pytest.fixture
async def server() -> AsyncIterator[EchoingMcp]:
    """A server that echoes."""
    server = await EchoingMcp().start()
    yield server
    await server.stop()


@pytest.fixture(params=["static", "jwt"])
def broker(request: pytest.FixtureRequest) -> str:
    """A key that is always the same, and a token made for the call."""
    return str(request.param)


@pytest.fixture
def lent(world: World, server: EchoingMcp, broker: str) -> World:
    """A gateway that lends the server a credential."""
    (world.directory / "key").write_text(KEY)
    (world.directory / "key").chmod(0o600)
    world.settings["credentials"] = {
        "keys": {"static": {"prefix": "Bearer ", "secret": {"file": "key"}}}
        if broker == "static"
        else {"jwt": {"keys": "var/keys", "issuer": "https://detent.example"}}
    }
    bound = {"audience": "https://echo.example", "ceiling": ["echo:read"]}
    world.tools["echo"] = {
        "echo": {
            "pin": pin_of(DEFINITION),
            "effect": "read",
            "recovery": "probe",
            "risk": 1,
            "timeout": "5s",
            "returns": "trusted",
            "credential": {"broker": "keys"} | (bound if broker == "jwt" else {}),
        }
    }
    world.servers = {"echo": {"mcp": {"url": server.url}, "allow_private": True}}
    return world


async def unlock(gateway: Gateway) -> None:
    reason = {"reason": "the key was replaced"}
    assert (await gateway.operate("POST", "/v1/agents/acme/tester/unlock", reason))[0] == 200


async def is_locked(gateway: Gateway) -> bool:
    status, answer = await gateway.call("read")
    return status == 403 and bool(answer["reasons"][0]["id"] == "agent-locked")


def _debugged(encode: Callable[[str], str], secret: str) -> dict[str, Any]:
    return text_result(f"debug: {encode(secret)}", "ok")


async def test_a67_an_echo_in_any_encoding_is_redacted_and_locks(
    lent: World, server: EchoingMcp
) -> None:
    """The agent sees that something was there, and makes no other call until people have looked."""
    async with Gateway(lent) as gateway:
        for name, encode in ENCODINGS.items():
            server.says = echoing(partial(_debugged, encode))
            status, answer = await gateway.call("echo", server="echo")
            credential = server.credentials[-1]
            assert len(credential) > 30
            assert (status, answer["outcome"]) == (200, "done"), name
            texts = [item["text"] for item in answer["result"]["content"]]
            assert encode(credential) not in texts[0], name
            assert texts[0].startswith("debug: ")
            assert "[redacted]" in texts[0], name
            assert texts[1] == "ok"
            assert await is_locked(gateway), name
            assert credential not in gateway.text
            await unlock(gateway)
        assert gateway.text.count("the agent is locked. Replace that secret") >= len(ENCODINGS)


ANSWERS: list[Callable[[str], dict[str, Any]]] = [
    lambda secret: {"error": {"code": -32000, "message": f"bad token {secret}"}},
    lambda secret: {"error": {"code": 1, "message": "x", "data": {"seen": [secret]}}},
    lambda secret: {"result": {"content": [], "structuredContent": {"a": {secret: 1}}}},
    lambda secret: {"result": {"content": [], "_meta": {"x/token": secret}}},
    lambda secret: {"result": {"content": [{"type": "text", "text": secret}], "isError": True}},
    lambda secret: text_result(*(secret[i : i + 7] for i in range(0, len(secret), 7))),
]


async def test_a67_no_part_of_an_answer_is_left_out(lent: World, server: EchoingMcp) -> None:
    """Errors, keys, metadata, and a secret spread over the text items."""
    async with Gateway(lent) as gateway:
        for answer in ANSWERS:
            server.says = echoing(answer)
            _, shown = await gateway.call("echo", server="echo")
            text, secret = json.dumps(shown), server.credentials[-1]
            assert all(secret[i : i + 7] not in text for i in range(0, len(secret) - 7, 7))
            assert await is_locked(gateway)
            await unlock(gateway)


SPLITS: dict[str, Callable[[str], Frames]] = {
    "whole, in progress": lambda secret: [{"progress": f"using {secret}"}],
    "whole, in a log object": lambda secret: [{"data": {"headers": [secret]}}],
    "two log messages": lambda secret: [{"data": secret[:20]}, {"data": secret[20:]}],
    "progress and log": lambda secret: [{"progress": secret[:9]}, {"data": secret[9:]}],
    "many": lambda secret: [{"progress": secret[i : i + 3]} for i in range(0, len(secret), 3)],
    "base64 in two": lambda secret: [
        {"data": base64.b64encode(secret.encode()).decode()[:30]},
        {"data": base64.b64encode(secret.encode()).decode()[30:]},
    ],
}


@pytest.mark.parametrize("chunk_bytes", [0, 5])
@pytest.mark.parametrize("broker", ["static"], indirect=True)
async def test_a67_a_credential_in_frames_never_arrives_whole(
    lent: World, server: EchoingMcp, chunk_bytes: int
) -> None:
    """In one frame, over several, and whatever pieces the stream comes in."""
    server.chunk_bytes = chunk_bytes
    encoded = base64.b64encode(KEY.encode()).decode()[:-4]
    async with Gateway(lent) as gateway:
        for name, split in SPLITS.items():
            server.says = echoing(lambda _: text_result("done"), split)
            shown = await streamed(gateway)
            joined = "".join(_texts(shown))
            assert "[redacted]" in joined, name
            assert KEY not in shown + joined, name
            assert encoded not in shown + joined, name
            assert await is_locked(gateway), name
            await unlock(gateway)


async def streamed(gateway: Gateway) -> str:
    """Call the tool over MCP and return the whole stream."""
    meta = META | {"progressToken": "p1", "io.modelcontextprotocol/logLevel": "debug"}
    params = {"name": "echo", "arguments": {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": STATELESS,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    headers["Authorization"] = f"Bearer {gateway.world.agent_token}"
    url = f"{gateway.agents}/mcp/echo"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        return await answer.text()


def _texts(stream: str) -> list[str]:
    lines = (line[5:] for line in stream.splitlines() if line.startswith("data:"))
    params = [json.loads(line).get("params", {}) for line in lines]
    return [str(one.get("message") or one.get("data") or "") for one in params]


@pytest.mark.parametrize("broker", ["jwt"], indirect=True)
async def test_a67_an_echoed_lease_is_revoked(lent: World, server: EchoingMcp) -> None:
    """Whoever introspects the token hears that it is dead."""
    server.says = echoing(text_result)
    built = build(lent)
    try:
        await built.gateway.start()
        caller = await built.pipeline.authenticate(lent.agent_token)
        answer = await built.pipeline.run(caller, ToolCall("echo", "echo", b"{}", Door.CALLS))
        assert b"[redacted]" in (answer.result or b"")
        claims = server.credentials[-1].split(".")[1]
        lease = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
        broker = built.pipeline._stages.lend._brokers["keys"]
        assert isinstance(broker, JwtBroker)
        assert broker.is_revoked(lease)
    finally:
        await built.gateway.stop()
        built.cleanup()


@pytest.mark.parametrize("encode", [str, ENCODINGS["base64"], ENCODINGS["hex"]])
async def test_a67_a_live_detent_token_in_a_file_locks(
    world: World, recorder: Recorder, encode: Callable[[str], str]
) -> None:
    """An operator's token lies about, an agent finds it: it does not get it."""
    recorder.reply = {"file": f"token: {encode(world.operator_token)}"}
    async with Gateway(world) as gateway:
        status, answer = await gateway.call("read")
        assert (status, answer["result"]["body"]) == (200, {"file": "token: [redacted]"})
        assert await is_locked(gateway)
        assert await gateway.wrote("A tool showed a live Detent token")


async def test_a67_what_only_looks_like_a_token_locks_nobody(
    world: World, recorder: Recorder
) -> None:
    """Otherwise anybody who writes a page could lock every agent that reads it."""
    recorder.reply = {"page": f"use {new_token(TokenKind.AGENT)} here"}
    async with Gateway(world) as gateway:
        _, answer = await gateway.call("read")
        assert answer["result"]["body"] == {"page": "use [redacted] here"}
        assert not await is_locked(gateway)
