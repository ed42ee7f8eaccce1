"""MCP servers we run ourselves, over stdin and stdout, supervised."""

import asyncio
import logging
import os
import pwd
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era, Notification
from proxy.model.tool import ToolDefinition
from proxy.process.child import Child, ChildFailed, ChildSpec, spawn
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.exchange import Question
from proxy.upstream.jsonrpc import Message
from proxy.upstream.leaving import Leaving, in_time
from proxy.upstream.mcp_wire import Spoken, agree, list_tools
from proxy.upstream.pipe import Pipe
from proxy.upstream.stdio_calls import StdioCalls
from proxy.upstream.subscriptions import Subscriptions, spread
from proxy.upstream.watchers import Watchers

# The process is shared, so it is told what any client may do; who cannot refuses when asked. Roots
# are left out: a server keeps them beyond the call of the client they are from.
CAPABILITIES: Mapping[str, Any] = MappingProxyType(
    {"sampling": {}, "elicitation": {"form": {}, "url": {}}}
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we wait for a server of ours: for its first words, for a list of its tools.

    After a break it is started again after `first_delay_s`, then after twice that each time up to
    `last_delay_s`; one that ran for `steady_s` begins anew.
    """

    start_timeout_s: float = 30.0
    answer_timeout_s: float = 10.0
    first_delay_s: float = 0.2
    last_delay_s: float = 30.0
    steady_s: float = 60.0
    stop_grace_s: float = 2.0


class McpStdio:
    """One MCP server as a child process.

    `spec.env` is what the configuration gives; PATH, HOME of its user and LANG are added. `eras` is
    the order in which protocol versions are tried. `on_changed` is called when its tools may be
    other ones: it said so, or it was started again.
    """

    kind = "mcp"

    def __init__(
        self,
        spec: ChildSpec,
        on_changed: Callable[[], None] = lambda: None,
        eras: Sequence[Era] = (Era.HANDSHAKE, Era.STATELESS),
        patience: Patience | None = None,
    ) -> None:
        self.name = spec.name
        self._spec = replace(spec, env=child_environment(spec))
        self._on_changed = on_changed
        self._eras = tuple(eras)
        self._patience = patience or Patience()
        self._watchers = Watchers()
        self._wanted = Subscriptions()
        self._calls: StdioCalls | None = None
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Spawn the server and agree on a version. Raises UpstreamFailed when that fails.

        It is tried again all the same, until `stop`.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(first))
        await first

    async def stop(self) -> None:
        """End the server; no process of it is left."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return its tools. Raises UpstreamFailed."""
        pipe = self._connected().pipe

        async def ask(method: str, asked: bytes) -> Message:
            timeout_s = self._patience.answer_timeout_s
            return await pipe.ask(Question(pipe.number(), method, asked, timeout_s=timeout_s))

        try:
            return await list_tools(self.name, pipe.era, ask)
        except OutcomeUnknown as silent:
            raise UpstreamFailed(f"it does not list its tools: {silent}") from silent

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        """Make one call. See Upstream.call."""
        if call.headers:
            raise UpstreamFailed("a stdio server takes no credential; its manifest names one")
        leaving = Leaving(sending)
        return await in_time(call.timeout_s, leaving, partial(self._connected(), call, leaving))

    def watch(self, session: str) -> AbstractAsyncContextManager[AsyncIterator[Notification]]:
        """Hear what it says outside of calls to one client's session. See Upstream.watch."""
        return self._watchers.watch(session)

    async def forget(self, session: str) -> None:
        """Drop the subscriptions of a client's session that has ended."""
        freed = self._wanted.forget(session)
        if self._calls is not None:
            await self._calls.release(freed)

    def _connected(self) -> StdioCalls:
        if self._calls is None:
            raise UpstreamFailed("it is not running")
        return self._calls

    async def _supervise(self, first: asyncio.Future[None]) -> None:
        try:
            await self._keep_running(first)
        finally:
            if not first.done():
                first.set_exception(UpstreamFailed("it was stopped"))

    async def _keep_running(self, first: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        delay_s = self._patience.first_delay_s
        while True:
            began = loop.time()
            why = await self._run(first)
            log.warning("server stopped: %s", why, extra={"server": self.name})
            if not first.done():
                first.set_exception(UpstreamFailed(why))
            if loop.time() - began >= self._patience.steady_s:
                delay_s = self._patience.first_delay_s
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, self._patience.last_delay_s)

    async def _run(self, first: asyncio.Future[None]) -> str:
        """Run the server once and return why it ended."""
        try:
            child = await spawn(self._spec)
        except ChildFailed as failed:
            return str(failed)
        try:
            return await self._talk(child, first)
        finally:
            self._calls = None
            await _ended(child, self._patience.stop_grace_s)

    async def _talk(self, child: Child, first: asyncio.Future[None]) -> str:
        pipe = Pipe(child, self._heard)
        reading = asyncio.create_task(pipe.run())
        try:
            opening = _Opening(pipe, self._patience.start_timeout_s)
            pipe.era = (await agree(opening, self._eras, CAPABILITIES)).era
            self._calls = StdioCalls(pipe, self._wanted, self._heard)
            self._calls.resume()
            self._settle(first)
            return await reading
        except (UpstreamFailed, OutcomeUnknown) as failed:
            return reading.result() if reading.done() else str(failed)
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    def _settle(self, first: asyncio.Future[None]) -> None:
        if not first.done():
            first.set_result(None)
        else:
            self._on_changed()

    def _heard(self, message: Message) -> bool:
        """Take what is no part of a call; there is nobody else to tell."""
        if self._calls is not None and self._calls.acknowledged(message):
            return True
        if message.method == "notifications/tools/list_changed":
            self._on_changed()
        spread(message, self._watchers, self._wanted)
        return True


class _Opening:
    """A pipe while a version is being agreed on."""

    def __init__(self, pipe: Pipe, timeout_s: float) -> None:
        self._pipe = pipe
        self._timeout_s = timeout_s

    async def ask(self, _: Spoken | None, method: str, asked: bytes, /) -> Message:
        number, timeout_s = self._pipe.number(), self._timeout_s
        return await self._pipe.ask(Question(number, method, asked, timeout_s=timeout_s))

    async def tell(self, _: Spoken, method: str, /) -> None:
        self._pipe.tell(method)


async def _ended(child: Child, grace_s: float) -> None:
    """End a child for good, also when we are cancelled meanwhile."""
    ending = asyncio.create_task(child.stop(grace_s))
    cancelled = False
    while not ending.done():
        try:
            await asyncio.wait({ending})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def child_environment(spec: ChildSpec) -> dict[str, str]:
    """Return the whole environment of a server: what its configuration gives, our PATH, its user's
    HOME, and a UTF-8 locale.
    """
    account = _account(spec.user)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": account.pw_dir if account else "/",
        "LANG": "C.UTF-8",
        **spec.env,
    }


def _account(user: str | None) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:  # a numeric uid of a container has no entry; a wrong name fails at the spawn
        return None
