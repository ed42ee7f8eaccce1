"""Finding out what a server over HTTP speaks, and opening sessions with it."""

import asyncio
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.exchange import Declined, Question, Session
from proxy.upstream.jsonrpc import Message, RpcError, notification
from proxy.upstream.mcp_wire import STATELESS, Spoken, discover, initialize
from proxy.upstream.streamable import Endpoint

AGAIN_S = 60.0
_SESSION_ID = re.compile(r"[\x21-\x7e]{0,1024}")
_NOT_THIS_ERA = frozenset({400, 404, 405, 406, 415, 422})

Probe = Callable[[], Awaitable[object]]


class OtherEra(UpstreamFailed):
    """The server does not speak the version of MCP it was asked for."""

    def __init__(self) -> None:
        super().__init__("it speaks no version of MCP that Detent speaks")


class Opening:
    """A server while a version is being agreed on with it."""

    def __init__(self, endpoint: Endpoint, numbers: "itertools.count[int]") -> None:
        self._endpoint = endpoint
        self._numbers = numbers
        self.session_id = ""

    async def ask(self, spoken: Spoken | None, method: str, params: bytes, /) -> Message:
        """Ask; a status that may mean the other era counts as an error answer."""
        asked = Question(next(self._numbers), method, params)
        try:
            answer, session_id = await self._endpoint.ask(Session(spoken), asked)
        except Declined as declined:
            if declined.status not in _NOT_THIS_ERA:
                raise
            return Message(asked.number, error=RpcError(declined.status, str(declined)))
        if not _SESSION_ID.fullmatch(session_id):
            raise UpstreamFailed("its session id has characters that do not belong in one")
        self.session_id = session_id
        return answer

    async def tell(self, spoken: Spoken, method: str, /) -> None:
        """Send one notification of the handshake."""
        await self._endpoint.notify(Session(spoken, self.session_id), notification(method))


async def open_session(
    endpoint: Endpoint, numbers: "itertools.count[int]", capabilities: Mapping[str, Any]
) -> Session:
    """Shake hands for a client that can do this much. Raises UpstreamFailed (OtherEra)."""
    opening = Opening(endpoint, numbers)
    try:
        spoken = await initialize(opening, capabilities)
    except OutcomeUnknown as silent:
        raise UpstreamFailed(f"it does not agree on a version: {silent}") from silent
    if spoken is None:
        raise OtherEra
    return Session(spoken, opening.session_id)


async def find_stateless(endpoint: Endpoint, numbers: "itertools.count[int]") -> None:
    """See whether the server needs no handshake. Raises UpstreamFailed (OtherEra)."""
    try:
        spoken = await discover(Opening(endpoint, numbers))
    except OutcomeUnknown as silent:
        raise UpstreamFailed(f"it does not agree on a version: {silent}") from silent
    if spoken != STATELESS:
        raise OtherEra


class Eras:
    """What one server speaks, asked once for all who wait; nobody who stops waiting ends it.

    `probes` has one for each era, in the order of preference; a probe raises UpstreamFailed, and
    OtherEra when that is the answer. One that failed is tried again after a minute, while what is
    known serves.
    """

    def __init__(self, probes: Mapping[Era, Probe], again_s: float = AGAIN_S) -> None:
        self._probes = dict(probes)
        self._again_s = again_s
        self._known: tuple[Era, ...] = ()
        self._due_s = math.inf
        self._asking: asyncio.Task[UpstreamFailed | None] | None = None

    async def known(self) -> tuple[Era, ...]:
        """Return what the server speaks, the preferred era first. Raises UpstreamFailed."""
        if not self._known or self._due_s <= _now():
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            failed = None if self._known else await asyncio.shield(self._asking)
            if failed is not None:
                raise failed
        return self._known

    def forget(self) -> None:
        """Ask anew the next time: the server is not what it was."""
        self._known = ()

    def stop(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> UpstreamFailed | None:
        """Find out; return why nothing was found."""
        known: list[Era] = []
        failures: list[UpstreamFailed] = []
        for era, probe in self._probes.items():
            try:
                await probe()
                known.append(era)
            except OtherEra:
                continue
            except UpstreamFailed as failed:
                failures.append(failed)
        if not known:
            return failures[0] if failures else OtherEra()
        self._known = tuple(known)
        self._due_s = _now() + self._again_s if failures else math.inf
        return None


def era_for(client: Era | None, known: tuple[Era, ...]) -> Era:
    """Return the era of a call: the client's own where the server speaks it.

    A client that speaks no MCP is served without a session where that is possible.
    """
    wanted = client or Era.STATELESS
    return wanted if wanted in known else known[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
