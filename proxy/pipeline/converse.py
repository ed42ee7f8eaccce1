"""What a server and the client of a call say to each other while it runs: decided and inspected.

A request of a server (sampling, elicitation, roots) is decided by the same policy as a call, under
the manifest entry of its method, and has its own audit record. What goes either way passes the
monitors.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import rfc8785

from proxy.errors import Refused, StoreUnavailable
from proxy.model.call import Door, ToolCall
from proxy.model.mcp import Era, RpcReply
from proxy.model.step import Step
from proxy.pipeline.decide import Decider
from proxy.pipeline.enforce import enforce
from proxy.pipeline.filter import Filtering
from proxy.pipeline.masks import RESULT, masked, masks_of
from proxy.pipeline.methods import is_method
from proxy.pipeline.resolve import Resolver
from proxy.pipeline.settle import Settling
from proxy.upstream.conversation import Conversation

Survey = Callable[[dict[str, Any]], tuple[str, ...]]

_INPUT_REQUESTS = b'"inputRequests"'
_ESCAPE = b"\\u00"  # the name may be spelled with escapes (RFC 8259 section 7)
_MALFORMED = RpcReply(error=b'{"code":-32602,"message":"The request cannot be read"}')
_REFUSED = RpcReply(error=b'{"code":-32010,"message":"The request is refused by policy"}')
_UNAVAILABLE = RpcReply(error=b'{"code":-32012,"message":"The request cannot be decided now"}')


@dataclass(frozen=True, slots=True)
class Surveys:
    """How arguments are looked through: URLs inside, and what is odd about their texts."""

    urls: Survey
    flags: Survey


class Converse:
    """Makes the guarded conversation of each call."""

    def __init__(
        self,
        resolver: Resolver,
        decider: Decider,
        settling: Settling,
        surveys: Surveys,
    ) -> None:
        self.resolver = resolver
        self.decider = decider
        self.settling = settling
        self.surveys = surveys

    def __call__(
        self, step: Step, client: Conversation, filtering: Filtering
    ) -> "GuardedConversation":
        """Return the client's end as the server may use it."""
        return GuardedConversation(self, step, client, filtering)

    async def decided(self, step: Step, question: ToolCall) -> Step:
        """Return the step of a server's request that policy allows, with its audit record written.

        Raises Refused, also for a hold: nobody could answer it later.
        """
        asked = replace(step, call=question, manifest=None, definition=None, decision=None)
        try:
            asked = self.resolver(asked)
            asked = await self.decider(asked)
            if not enforce(asked):
                raise Refused.because("default-deny")
        except Refused as refused:
            await self.settling.refuse(asked, refused)
            raise
        await self.settling.asked(asked)
        return asked


class GuardedConversation:
    """One call's conversation, with policy and monitors in between."""

    def __init__(
        self, converse: Converse, step: Step, client: Conversation, filtering: Filtering
    ) -> None:
        self._converse = converse
        self._filtering = filtering
        self._step = step
        self._client = client
        self.era: Era | None = client.era
        self.session: str = client.session
        self.capabilities: Mapping[str, Any] = client.capabilities
        self.wants_progress: bool = client.wants_progress
        self.log_level: str | None = client.log_level

    async def tell(self, method: str, params: bytes) -> None:
        """Pass a notification on, filtered, but none with requests (a task's) that policy refuses.

        Raises Refused: canary-touched, result-withheld.
        """
        try:
            await self.check_inputs(params)
        except (Refused, StoreUnavailable):
            return
        await self._client.tell(method, await self._filtering.frame(params))

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Ask the client what policy lets the server ask; masks of that decision go on the reply.

        Raises Refused: canary-touched, result-withheld.
        """
        question = self._question(method, params)
        if question is None:
            return _MALFORMED
        try:
            asked = await self._converse.decided(self._step, question)
        except Refused:
            return _REFUSED
        except StoreUnavailable:
            return _UNAVAILABLE
        reply = await self._client.ask(method, await self._filtering.frame(question.arguments))
        await self._filtering.answer(reply.result or reply.error or b"{}")
        return _masked(reply, asked)

    async def pause(self, retry_s: float) -> None:
        """Let the client go until it comes back."""
        await self._client.pause(retry_s)

    async def check_inputs(self, result: bytes) -> None:
        """Let policy decide on every request a result holds (MCP 2026-07-28, `inputRequests`).

        A tool that needs input has them in its result, a task in what `tasks/get` says of it.
        Raises Refused when it refuses one: then the client sees none of them.
        """
        for method, params in _input_requests(result):
            question = self._question(method, params)
            if question is None:
                raise Refused.because("input-refused")
            await self._converse.decided(self._step, question)

    def _question(self, method: str, params: bytes) -> ToolCall | None:
        """Return a server's request in canonical form, None when it has none."""
        try:
            members = json.loads(params)
            if not is_method(method) or not isinstance(members, dict):
                return None
            arguments = rfc8785.dumps(members)
        except (ValueError, RecursionError):
            return None
        return ToolCall(
            server=self._step.call.server,
            tool=method,
            arguments=arguments,
            door=Door.MCP,
            urls=self._converse.surveys.urls(members),
            flags=self._converse.surveys.flags(members),
        )


def _input_requests(result: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield method and params of each request in a result; a malformed one has no method."""
    if _INPUT_REQUESTS not in result and _ESCAPE not in result:
        return
    try:
        members = json.loads(result)
    except (ValueError, RecursionError):
        raise Refused.because("input-refused") from None
    requests = members.get("inputRequests") if isinstance(members, dict) else None
    for asked in requests.values() if isinstance(requests, dict) else ():
        known = asked if isinstance(asked, dict) else {}
        yield str(known.get("method", "")), json.dumps(known.get("params", {})).encode()


def _masked(reply: RpcReply, asked: Step) -> RpcReply:
    masks = masks_of(asked.decision, RESULT)
    if reply.result is None or not masks:
        return reply
    try:
        return RpcReply(result=masked(reply.result, masks))
    except ValueError:
        raise Refused.because("result-withheld") from None
