"""The agents' port in front of a pipeline that only writes down what it is given."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import ASGIApp, Message

from proxy.errors import BadRequest, Refused
from proxy.ingress.agents import agents_app
from proxy.ingress.guard import GuardSettings
from proxy.model.call import Door, ToolCall
from proxy.model.ledger import Outcome
from proxy.model.mcp import Notification
from proxy.model.session import BudgetView, Mode, Principal, Session
from proxy.model.step import Answer
from proxy.model.token import TokenKind, new_token
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import OpenedSession, SessionRequest
from proxy.pipeline.visible import VisibleTool
from proxy.upstream.conversation import Conversation
from tests.harness.recording_hooks import HookGate, RecordingHooks

TOKEN = new_token(TokenKind.AGENT)
OTHER_TOKEN = new_token(TokenKind.AGENT)
HOST = "detent.test:8787"
STATELESS = "2026-07-28"
STATEFUL = "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def caller_of(agent: str, mode: Mode = Mode.READ_WRITE) -> Caller:
    """Return an agent of tenant acme in a session of that mode."""
    until = NOON + timedelta(hours=1)
    session = Session(f"ses_{agent}", "acme", agent, mode, NOON, until, 100)
    return Caller(Principal("acme", agent), session)


def tool(server: str, name: str, **more: Any) -> VisibleTool:
    """Return a tool as a server would define it."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    wire = {"name": name, "inputSchema": schema, **more}
    input_schema = json.dumps(wire["inputSchema"]).encode()
    definition = ToolDefinition(name, json.dumps(wire).encode(), "sha256:0", input_schema)
    return VisibleTool(server, definition)


def done(call: ToolCall) -> Answer:
    """Answer with a text: the canonical arguments; an HTTP tool with them as its JSON."""
    if call.door is Door.HTTP:
        raw = b'{"status":200,"content_type":"application/json","body":%b}' % call.arguments
        return Answer("stp_1", "allow", (), Outcome.DONE, result=raw, decision_id="dec_1")
    result = {"content": [{"type": "text", "text": call.arguments.decode()}]}
    return Answer(
        "stp_1", "allow", (), Outcome.DONE, result=json.dumps(result).encode(), decision_id="dec_1"
    )


def refused(reason_id: str) -> Callable[[ToolCall], Answer]:
    """Answer every call with a denial for that reason."""
    reasons = Refused.because(reason_id).refusal.reasons
    answer = Answer("stp_1", "deny", reasons, Outcome.DENIED, http=403, decision_id="dec_1")
    return lambda _: answer


@dataclass
class RecordingGate(HookGate):
    """A pipeline without stages. `hold` keeps calls waiting until it is set."""

    callers: dict[str, Caller] = field(
        default_factory=lambda: {TOKEN: caller_of("loop"), OTHER_TOKEN: caller_of("other")}
    )
    answer: Callable[[ToolCall], Answer] = done
    tools: tuple[VisibleTool, ...] = (tool("rec", "write"), tool("repo", "log"))
    hold: asyncio.Event | None = None
    killed: bool = False
    calls: list[ToolCall] = field(default_factory=list)
    cancelled: list[ToolCall] = field(default_factory=list)
    rejected: list[tuple[str, Door]] = field(default_factory=list)
    opened: list[SessionRequest] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    streams: list[asyncio.Event] = field(default_factory=list)
    meanwhile: Callable[[Conversation], Awaitable[None]] | None = None
    methods: frozenset[tuple[str, str]] = frozenset({("rec", "tools/call"), ("repo", "tools/call")})
    http_tools: Mapping[tuple[str, str], ToolManifest] = field(default_factory=dict)
    said: asyncio.Queue[tuple[str, Notification] | None] = field(default_factory=asyncio.Queue)
    watched: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    hooks: RecordingHooks = field(default_factory=RecordingHooks)

    async def authenticate(self, token: str) -> Caller:
        """Know the callers by their tokens."""
        if token not in self.callers:
            raise Refused.because("not-authenticated")
        return self.callers[token]

    async def run(
        self, caller: Caller, call: ToolCall, conversation: Conversation | None = None
    ) -> Answer:
        """Write the call down and answer it, after what server and client say meanwhile."""
        self.calls.append(call)
        if self.meanwhile is not None and conversation is not None:
            await self.meanwhile(conversation)
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        return self.answer(call)

    def manifests(self) -> Mapping[tuple[str, str], ToolManifest]:
        """Have the HTTP tools the test says."""
        return self.http_tools

    def offered(self, server: str | None) -> frozenset[tuple[str, str]]:
        """Offer what the test says."""
        return frozenset(pair for pair in self.methods if server in (None, pair[0]))

    def input_schema(self, server: str, tool: str) -> bytes | None:
        """Return the schema of a tool it shows."""
        shown = (had for had in self.tools if (had.server, had.definition.name) == (server, tool))
        return next((had.definition.input_schema for had in shown), None)

    @asynccontextmanager
    async def watch(
        self, server: str | None, session: str
    ) -> AsyncIterator[AsyncIterator[tuple[str, Notification]]]:
        """Pass on what the test puts into `said`, until None comes."""
        self.watched.append(session)
        try:
            yield self._heard()
        finally:
            self.watched.remove(session)

    async def _heard(self) -> AsyncIterator[tuple[str, Notification]]:
        while (found := await self.said.get()) is not None:
            yield found

    async def forget(self, session: str) -> None:
        """Write the session down."""
        self.forgotten.append(session)

    async def visible(self, caller: Caller, server: str | None) -> tuple[VisibleTool, ...]:
        """Show every tool of the server, or of all."""
        return tuple(shown for shown in self.tools if server in (None, shown.server))

    async def reject(self, error: BadRequest, caller: Caller | None, door: Door) -> None:
        """Write the code down."""
        self.rejected.append((error.code, door))

    async def open_session(self, token: str, request: SessionRequest) -> OpenedSession:
        """Open the caller's own session."""
        caller = await self.authenticate(token)
        self.opened.append(request)
        return OpenedSession(caller.session, "dts_token", BudgetView(100))

    async def end_session(self, caller: Caller, session_id: str) -> None:
        """End only sessions that are the caller's."""
        if session_id != caller.session.id:
            raise Refused.because("session-closed")
        self.ended.append(session_id)

    def stream(self, caller: Caller) -> Any:
        """Keep the event that closes the stream where a test can set it."""
        if self.killed:
            raise Refused.because("killed")
        return self._stream()

    @contextmanager
    def _stream(self) -> Iterator[asyncio.Event]:
        closing = asyncio.Event()
        self.streams.append(closing)
        try:
            yield closing
        finally:
            self.streams.remove(closing)

    def ready(self) -> bool:
        """Whether nothing is killed."""
        return not self.killed

    async def healthy(self) -> bool:
        """Whether nothing is killed."""
        return self.ready()


def app_of(gate: RecordingGate, **settings: Any) -> ASGIApp:
    """Return the agents' application in front of a gate."""
    guard = GuardSettings(frozenset({HOST}), **settings)
    return agents_app(gate, guard, jwks=lambda: {"keys": []}, version="1.2.3")


@dataclass(frozen=True)
class Reply:
    """One response as ASGI sent it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    **scope: Any,
) -> Reply:
    """Ask an application in process, as a client with the agent's token would."""
    fields = {"host": HOST, "authorization": f"Bearer {TOKEN}"}
    if body:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    fields |= headers or {}
    return await exchange(app, request_scope(method, path, fields, **scope), [body])


def request_scope(
    method: str, path: str, headers: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """Return the scope of a request; headers with an empty value are left out."""
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items() if value]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": fields,
    } | more


async def exchange(app: ASGIApp, scope: dict[str, Any], chunks: list[bytes]) -> Reply:
    """Run one exchange whose body comes in these chunks; then the client waits."""
    sent: list[Message] = []
    waiting = list(chunks)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return {
            "type": "http.request",
            "body": waiting.pop(0),
            "more_body": bool(waiting),
        }

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(sent[0]["status"], headers, body)


def stateless_headers(method: str, name: str = "") -> dict[str, str]:
    """Return the headers that go with a request of revision 2026-07-28."""
    return {"mcp-protocol-version": STATELESS, "mcp-method": method, "mcp-name": name}


def rpc(method: str, params: Mapping[str, Any] | None = None, request_id: Any = 1) -> bytes:
    """Return a JSON-RPC request."""
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}
    return json.dumps(message).encode()
