"""MCP's stateless era (2026-07-28): every request is whole in itself.

A server that needs input ends the round; the client comes again with its responses and a state
that only we can read. Closing the request cancels it.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    INVALID_PARAMS,
    REFUSED,
    Message,
    dumps,
    error_object,
    reply_message,
    result_reply,
)
from proxy.ingress.mcp_calls import (
    ROUNDS,
    Exchange,
    call_of,
    cancelled,
    further_round,
    no_such_method,
)
from proxy.ingress.mcp_capabilities import missing_capabilities, server_capabilities
from proxy.ingress.mcp_conversation import Client, ClientEnd, RoundsEnd
from proxy.ingress.mcp_envelope import SUPPORTED_VERSIONS, check_envelope, stateless_client
from proxy.ingress.mcp_headers import check_arguments
from proxy.ingress.mcp_listen import Listening
from proxy.ingress.mcp_methods import Methods
from proxy.ingress.mcp_parked import Held, ParkedCalls
from proxy.ingress.mcp_results import finished, input_required, status_of
from proxy.ingress.mcp_rounds import Carried, Seal
from proxy.ingress.streams import Outlet
from proxy.ingress.wire import accepts, respond
from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, RpcReply
from proxy.model.step import Answer

MISSING_CAPABILITY = -32021

# Methods of the handshake era that this one has not.
_REMOVED = frozenset(
    {"initialize", "logging/setLevel", "ping", "resources/subscribe", "resources/unsubscribe"}
)


class StatelessEra:
    """Serves requests of the stateless era. `stamp` goes into the `_meta` of every result."""

    def __init__(self, gate: Gate, stamp: dict[str, Any], parked: ParkedCalls, seal: Seal) -> None:
        self._gate = gate
        self._stamp = stamp
        self._parked = parked
        self._methods = Methods(gate, stamp)
        self._listening = Listening(gate, stamp)
        self._seal = seal

    async def post(self, exchange: Exchange, message: Message) -> None:
        """Answer one request. Raises BadRequest, Refused."""
        check_envelope(exchange.scope, message)
        client = stateless_client(message, exchange.caller.session.id)
        try:
            if message.method == "server/discover":
                reply = result_reply(message.id, self._discovered(exchange.server))
                await respond(exchange.send, 200, reply)
            elif message.method == "subscriptions/listen":
                await self._listening.serve(exchange, message)
            elif message.method in ROUNDS:
                await self._round(exchange, message, client)
            else:
                await self._plain(exchange, message, client)
        except LookupError:
            raise no_such_method(404) from None

    async def _plain(self, exchange: Exchange, message: Message, client: Client) -> None:
        """Answer a request that has one round."""
        if message.method in _REMOVED:
            raise LookupError(message.method)
        check_arguments(exchange.scope, None, b"{}")
        outlet = _outlet(exchange)

        def conversing(server: str) -> ClientEnd:
            return ClientEnd(client.calling(server, joined=exchange.server is None), outlet)

        work = asyncio.create_task(self._methods.answered(exchange, message, conversing))
        try:
            is_there = await outlet.until(work)
        finally:
            await cancelled(work)
        if is_there:
            await _answer(outlet, message, work.result())

    async def _round(self, exchange: Exchange, message: Message, client: Client) -> None:
        """Answer a request whose server may ask for input: start its call, or go on with it."""
        call = call_of(self._gate, exchange.server, message)
        schema = self._gate.input_schema(call.server, call.tool)
        check_arguments(exchange.scope, schema, call.arguments)
        call, carried, responses = further_round(self._seal, exchange.caller, call, message)
        client = client.calling(call.server, joined=exchange.server is None)
        outlet = _outlet(exchange)
        if carried.parked is None:
            held = self._started(exchange, call, RoundsEnd(client, outlet))
        else:
            held = self._taken(carried.parked)
            held.end.resume(client, outlet, responses)
        reply = await self._awaited(exchange, held, carried, outlet)
        if reply is not None:
            await _answer(outlet, message, reply)

    def _started(self, exchange: Exchange, call: ToolCall, end: RoundsEnd) -> Held:
        principal = exchange.caller.principal
        running = self._gate.run(exchange.caller, call, end)
        task = asyncio.ensure_future(running)
        return Held((principal.tenant, principal.agent), call, task, end)

    def _taken(self, parked_id: str) -> Held:
        held = self._parked.take(parked_id)
        if held is None:
            raise BadRequest(
                "call-not-waiting",
                "That call waits no longer, or at another gateway; start it again without state.",
                rpc_code=INVALID_PARAMS,
            )
        return held

    async def _awaited(
        self, exchange: Exchange, held: Held, carried: Carried, outlet: Outlet
    ) -> RpcReply | None:
        """Return the answer of this round; None when the client has gone and the call with it."""
        parked: str | None = None
        try:
            while not held.task.done() and not held.end.is_asking:
                if not await outlet.until(held.task, held.end.asking()):
                    return None
            if held.task.done():
                return self._settled(exchange, held, carried)
            parked = self._parked.park(held)
            if parked is None:
                return RpcReply(error=error_object(REFUSED, "Too many calls wait for input."))
            state = Carried(number=carried.number + 1, parked=parked)
            return self._asked(held, self._seal.sealed(state, exchange.caller, held.call))
        finally:
            if parked is None:
                await cancelled(held.task)

    def _asked(self, held: Held, state: str) -> RpcReply:
        members = {
            "resultType": '"input_required"',
            "inputRequests": held.end.requests(),
            "requestState": dumps(state).decode(),
        }
        return RpcReply(result=finished(members, {}, self._stamp))

    def _settled(self, exchange: Exchange, held: Held, carried: Carried) -> RpcReply:
        """Return the answer of a call that has ended, or ended its round."""
        answer, call = held.task.result(), held.call
        if answer.outcome is not Outcome.INPUT_REQUIRED or answer.result is None:
            return self._methods.reply(exchange, call, answer)
        wanted = json.loads(answer.result)
        missing = missing_capabilities(_requests(wanted), held.end.capabilities)
        if missing:
            told = "The client has to declare what the tool needs of it."
            data = {"requiredCapabilities": missing}
            return RpcReply(error=error_object(MISSING_CAPABILITY, told, data))
        state = _next_round(answer, call, carried, wanted.get("requestState"))
        return input_required(answer, self._seal.sealed(state, exchange.caller, call), self._stamp)

    def _discovered(self, server: str | None) -> bytes:
        return dumps(
            {
                "resultType": "complete",
                "supportedVersions": list(SUPPORTED_VERSIONS),
                "capabilities": server_capabilities(self._gate.offered(server), Era.STATELESS),
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": self._stamp,
            }
        )


def _outlet(exchange: Exchange) -> Outlet:
    streams = accepts(exchange.scope, "text/event-stream")
    return Outlet(exchange.receive, exchange.send, streams=streams)


async def _answer(outlet: Outlet, message: Message, reply: RpcReply) -> None:
    await outlet.end(status_of(reply), reply_message(message.id, reply))


def _next_round(answer: Answer, call: ToolCall, carried: Carried, state: object) -> Carried:
    number = carried.number + 1 if call.round else carried.number
    own = state if isinstance(state, str) else None
    return Carried(carried.step_id or answer.step_id, number, own)


def _requests(wanted: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give method and params of each input request that has them."""
    requests = wanted.get("inputRequests") if isinstance(wanted, dict) else None
    for request in requests.values() if isinstance(requests, dict) else ():
        if isinstance(request, dict) and isinstance(request.get("method"), str):
            params = request.get("params")
            yield request["method"], params if isinstance(params, dict) else {}
