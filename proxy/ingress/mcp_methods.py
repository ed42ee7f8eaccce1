"""Requests that servers answer, the same in both eras but for rounds: one call, or one a server."""

from collections.abc import Callable
from dataclasses import replace

from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_aggregate import LISTS, joined_result, offering
from proxy.ingress.mcp_calls import Exchange, call_of
from proxy.ingress.mcp_lists import check_first_page, list_tools, merged_list
from proxy.ingress.mcp_results import Stamp, method_reply, tool_reply
from proxy.ingress.wire import hang_up_soon
from proxy.model.call import TOOLS_CALL, ToolCall
from proxy.model.mcp import RpcReply
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation

LOG_LEVEL = "logging/setLevel"

Conversing = Callable[[str], Conversation]


class Methods:
    """Answers requests through the gate. `stamp` is what results of the era carry."""

    def __init__(self, gate: Gate, stamp: Stamp) -> None:
        self._gate = gate
        self._stamp = stamp

    async def answered(
        self, exchange: Exchange, message: Message, conversing: Conversing
    ) -> RpcReply:
        """Return what answers a request; `conversing` gives the client's end for a server.

        Raises BadRequest, Refused, LookupError when there is no such method here.
        """
        method, caller = message.method, exchange.caller
        if method == "tools/list":
            return await list_tools(self._gate, caller, exchange.server, message, self._stamp)
        if exchange.server is None and method in LISTS:
            return await self._merged(exchange, message, conversing)
        if exchange.server is None and method == LOG_LEVEL:
            return await self._everywhere(exchange, message, conversing)
        call = call_of(self._gate, exchange.server, message)
        answer = await self._gate.run(caller, call, conversing(call.server))
        return self.reply(exchange, call, answer)

    def reply(self, exchange: Exchange, call: ToolCall, answer: Answer) -> RpcReply:
        """Return an answer in the form of the era and the endpoint."""
        if any(one.id == "killed" for one in answer.reasons):
            hang_up_soon(exchange.scope)
        if exchange.server is None and answer.result is not None and not answer.is_rpc_error:
            joined = joined_result(call.method, call.server, answer.result)
            answer = replace(answer, result=joined)
        if call.method == TOOLS_CALL:
            return tool_reply(answer, self._stamp)
        return method_reply(call.method, answer, self._stamp)

    async def _merged(
        self, exchange: Exchange, message: Message, conversing: Conversing
    ) -> RpcReply:
        """Return the lists of every server that offers one. Raises BadRequest, LookupError."""
        check_first_page(message)
        servers = self._offering(message.method)

        async def run(server: str, params: dict[str, object]) -> Answer:
            page = replace(message, params=message.params | params)
            call = call_of(self._gate, server, page)
            return await self._gate.run(exchange.caller, call, conversing(server))

        return await merged_list(message.method, servers, run, self._stamp)

    async def _everywhere(
        self, exchange: Exchange, message: Message, conversing: Conversing
    ) -> RpcReply:
        """Take a request to every server that offers it; what one agrees to is agreed."""
        replies: list[RpcReply] = []
        for server in self._offering(message.method):
            call = call_of(self._gate, server, message)
            answer = await self._gate.run(exchange.caller, call, conversing(server))
            replies.append(method_reply(message.method, answer, self._stamp))
        agreed = (reply for reply in replies if reply.result is not None)
        return next(agreed, replies[0])

    def _offering(self, method: str) -> list[str]:
        servers = offering(method, self._gate.offered(None))
        if not servers:
            raise LookupError(method)
        return servers
