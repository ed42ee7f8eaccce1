"""Parts of a pipeline in tests: policy, tool, broker and monitor do as they are told."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from credentials.base import BrokerUnavailable, GrantRefused, Lease, LeaseRequest
from proxy.errors import PolicyUnavailable
from proxy.model.call import ToolCall
from proxy.model.finding import Finding
from proxy.model.mcp import Notification
from proxy.model.tool import CredentialRule, Effect, Recovery, ToolDefinition, ToolManifest
from proxy.pdp.base import QueryAnswer, StagedBundle, nothing
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.conversation import Conversation

REVISION = "sha256:test"
METHODS = ("resources/read", "resources/subscribe", "prompts/list", "sampling/createMessage")
HOOKED = {
    ("claude-code", name): ToolManifest("claude-code", name, effect, hooks=True)
    for name, effect in (("Bash", Effect.WRITE), ("Read", Effect.READ))
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["path"],
}


def definition(name: str, schema: dict[str, Any] | None = None) -> ToolDefinition:
    raw = json.dumps({"name": name, "inputSchema": schema or SCHEMA}).encode()
    pin = "sha256:" + hashlib.sha256(raw).hexdigest()
    return ToolDefinition(name, raw, pin, json.dumps(schema or SCHEMA).encode())


class Tool:
    """The server `repo`: records what it gets and answers as told."""

    name = "repo"
    kind = "mcp"

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answer: UpstreamResult | Exception = UpstreamResult(b'{"content":[]}')
        self.before_send: Callable[[], Any] = lambda: None
        self.after_look: Callable[[], Any] = lambda: None
        self.hang_before: asyncio.Event | None = None
        self.hang_after: asyncio.Event | None = None
        self.calls: list[UpstreamCall] = []
        self.meanwhile: Callable[[Conversation], Awaitable[None]] | None = None
        self.said: list[Notification] = []
        self.watched: list[str] = []
        self.forgotten: list[str] = []
        self.tools = [definition("read_file"), definition("write_file"), definition("rm")]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        return tuple(self.tools)

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        if self.hang_before:
            await self.hang_before.wait()
        await asyncio.sleep(0)
        self.before_send()
        sending()
        self.after_look()
        self.received.append(call.arguments)
        self.headers.append(dict(call.headers))
        self.calls.append(call)
        if self.meanwhile:
            await self.meanwhile(call.conversation)
        if self.hang_after:
            await self.hang_after.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @asynccontextmanager
    async def watch(self, session: str) -> AsyncIterator[AsyncIterator[Notification]]:
        self.watched.append(session)
        try:
            yield self._saying()
        finally:
            self.watched.remove(session)

    async def _saying(self) -> AsyncIterator[Notification]:
        for notification in self.said:
            yield notification
        if self.hang_after:
            await self.hang_after.wait()

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)


class Engine:
    """The policy: answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.decision: dict[str, Any] = allow()
        self.visible: list[str] = ["repo/read_file", "repo/write_file"]
        self.down = False

    async def start(self, bundle: StagedBundle) -> None: ...

    async def replace(
        self, bundle: StagedBundle, swapped: Callable[[], None] = nothing
    ) -> None: ...

    async def stop(self) -> None: ...

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        self.inputs.append(json.loads(body)["input"])
        if self.down:
            raise PolicyUnavailable("down")
        return QueryAnswer(self.visible if path.endswith("visible") else self.decision, REVISION)


def allow(**more: Any) -> dict[str, Any]:
    reasons = [{"id": "role-allows-tool", "message": "The role may call it."}]
    return {
        "verdict": "allow",
        "reasons": reasons,
        "obligations": [],
        "grant": None,
        "cost": {"risk": 5},
        "labels": [],
    } | more


class TestBroker:
    """Lends a header, or fails as told."""

    __test__ = False
    name = "keys"
    is_fenced = False

    def __init__(self) -> None:
        self.minted: list[LeaseRequest] = []
        self.revoked: list[str] = []
        self.failure: type[GrantRefused | BrokerUnavailable] | None = None
        self.revoke_fails = False
        self.after_mint: Callable[[], Any] = lambda: None
        self.lasts_s: float | None = None

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        if self.failure:
            raise self.failure
        return {"broker": "keys", "audience": request.audience}

    async def mint(self, request: LeaseRequest) -> Lease:
        if self.failure:
            raise self.failure
        self.minted.append(request)
        self.after_mint()
        lasts_s = request.ttl_s if self.lasts_s is None else self.lasts_s
        expires = datetime.now(UTC) + timedelta(seconds=lasts_s)
        return Lease(request.lease_id, "keys", expires, {"Authorization": "Bearer lent"})

    async def revoke(self, lease_id: str) -> None:
        if self.revoke_fails:
            raise BrokerUnavailable
        self.revoked.append(lease_id)


class Eye:
    """A monitor that sees what it is told to see."""

    def __init__(self) -> None:
        self.call_finding: Finding | None = None
        self.result_finding: Finding | None = None

    def on_call(self, call: ToolCall) -> Finding | None:
        return self.call_finding

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        return self.result_finding


def manifests(tool: Tool) -> dict[tuple[str, str], ToolManifest]:
    pins = {known.name: known.pin for known in tool.tools}
    rule = CredentialRule("keys", "https://repo", ("repo:read", "repo:write"))
    effects = {
        "read_file": Effect.READ,
        "write_file": Effect.WRITE,
        "rm": Effect.IRREVERSIBLE,
        "absent": Effect.READ,
    }
    methods = {
        ("repo", name): ToolManifest("repo", name, Effect.READ, document={"effect": "read"})
        for name in METHODS
    }
    repo = {
        ("repo", name): ToolManifest(
            server="repo",
            tool=name,
            effect=effect,
            pin=pins.get(name, ""),
            recovery=Recovery.PROBE if name == "write_file" else Recovery.OPAQUE,
            credential=rule,
            document={"effect": effect.value},
        )
        for name, effect in effects.items()
    }
    return methods | repo | HOOKED
