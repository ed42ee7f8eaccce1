"""The params of a call as they leave: decided bytes spliced in, `_meta` with the protocol's keys.

MCP, `_meta`: keys under `io.modelcontextprotocol/` and `progressToken` belong to the protocol and
are written here; every other key is the caller's, as policy saw it.
"""

import json
from dataclasses import dataclass

from proxy.errors import UpstreamFailed
from proxy.model.call import TOOLS_CALL
from proxy.model.json_text import members_of, object_of
from proxy.model.mcp import Era
from proxy.upstream.base import UpstreamCall
from proxy.upstream.jsonrpc import dumps
from proxy.upstream.mcp_wire import LOG_LEVEL, protocol_meta

_OURS = frozenset({"_meta"})
_OURS_IN_ROUNDS = _OURS | {"inputResponses", "requestState"}
_OURS_IN_A_TOOL_CALL = _OURS_IN_ROUNDS | {"name", "arguments"}
_IN_ROUNDS = frozenset({"prompts/get", "resources/read", TOOLS_CALL})
_RESERVED = "io.modelcontextprotocol/"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a later round brings (MCP 2026-07-28, multi round-trip requests): two JSON texts, empty
    when there is none: the object `inputResponses`, the string `requestState`.
    """

    responses: str = ""
    state: str = ""


def inputs_of(call: UpstreamCall) -> Inputs:
    """Return what the caller's own round brings."""
    if call.round is None:
        return Inputs()
    state = call.round.state
    return Inputs(call.round.responses.decode(), "" if state is None else json.dumps(state))


def params_of(call: UpstreamCall, era: Era, token: int, inputs: Inputs) -> bytes:
    """Return the params of one request; `token` is its progress token.

    Raises UpstreamFailed when what the caller gives would stand beside a member of ours.
    """
    members = _members(call)
    if inputs != Inputs() and (era is Era.HANDSHAKE or call.method not in _IN_ROUNDS):
        raise UpstreamFailed("it takes no answers in a later round")
    if inputs.responses:
        members.append(b'"inputResponses":' + inputs.responses.encode())
    if inputs.state:
        members.append(b'"requestState":' + inputs.state.encode())
    meta = _meta(call, era, token)
    if meta:
        members.append(b'"_meta":' + object_of(meta).encode())
    return b"{" + b",".join(members) + b"}"


def _members(call: UpstreamCall) -> list[bytes]:
    if call.method != TOOLS_CALL:
        ours = _OURS_IN_ROUNDS if call.method in _IN_ROUNDS else _OURS
        return _spliced(call.arguments, ours)
    called = b'"name":%b,"arguments":%b' % (dumps(call.manifest.tool), call.arguments)
    return [called, *_spliced(call.extras, _OURS_IN_A_TOOL_CALL)]


def _spliced(given: bytes, ours: frozenset[str]) -> list[bytes]:
    """Return the inside of a canonical object that names nothing of ours."""
    if given == b"{}":
        return []
    if not ours.isdisjoint(members_of(given.decode())):
        raise UpstreamFailed("its params name what the protocol keeps for itself")
    return [given[1:-1]]


def _meta(call: UpstreamCall, era: Era, token: int) -> dict[str, str]:
    meta: dict[str, str] = {}
    if call.meta != b"{}":
        given = members_of(call.meta.decode())
        meta = {name: one.text for name, one in given.items() if not _reserved(name)}
    if call.conversation.wants_progress:
        meta["progressToken"] = str(token)
    if era is Era.STATELESS:
        meta |= protocol_meta(call.conversation.capabilities)
        if call.conversation.log_level is not None:
            meta[LOG_LEVEL] = json.dumps(call.conversation.log_level)
    return meta


def _reserved(name: str) -> bool:
    return name == "progressToken" or name.startswith(_RESERVED)
