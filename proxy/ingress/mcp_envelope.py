"""Which era a request belongs to, and the stateless era's agreement of headers and body.

MCP 2026-07-28, Streamable HTTP: what an intermediary reads in `MCP-Protocol-Version`, `Mcp-Method`
and `Mcp-Name` must be what the body says.
"""

from typing import Any

from starlette.types import Scope

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import INVALID_PARAMS, Message, RequestId
from proxy.ingress.mcp_calls import PROGRESS_KEY
from proxy.ingress.mcp_capabilities import LOG_LEVELS
from proxy.ingress.mcp_conversation import Client
from proxy.ingress.mcp_headers import decoded, mismatch, told
from proxy.model.mcp import Era

STATELESS_VERSION = "2026-07-28"
HANDSHAKE_VERSIONS = ("2025-06-18", "2025-11-25")
SUPPORTED_VERSIONS = (*HANDSHAKE_VERSIONS, STATELESS_VERSION)

UNSUPPORTED_VERSION = -32022

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel"
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"

_NAMED_BY = {
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/cancel": "taskId",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tools/call": "name",
}


def is_stateless(scope: Scope, message: Message) -> bool:
    """Return whether a request is of the stateless era: its version header is no handshake's.

    Raises BadRequest when the body names a version and the header is another or missing.
    """
    version = told(scope, b"mcp-protocol-version")
    if VERSION_KEY in message.meta and message.meta[VERSION_KEY] != version:
        raise mismatch("MCP-Protocol-Version")
    return names_stateless(scope)


def names_stateless(scope: Scope) -> bool:
    """Return whether the version header names anything but a revision with a handshake."""
    version = told(scope, b"mcp-protocol-version")
    return version is not None and version not in HANDSHAKE_VERSIONS


def check_envelope(scope: Scope, message: Message) -> None:
    """Check a request of the stateless era. Raises BadRequest.

    -32602 when `_meta` lacks a required key, -32020 when a header is missing or disagrees, -32022
    when the version is not served.
    """
    for key in (VERSION_KEY, CAPABILITIES_KEY):
        if key not in message.meta:
            raise _invalid("missing-meta", f"`_meta` needs {key}.")
    if told(scope, b"mcp-method") != message.method:
        raise mismatch("Mcp-Method")
    named = message.params.get(_NAMED_BY.get(message.method, ""))
    sent = told(scope, b"mcp-name")
    if (sent, named) != (None, None) and (named is None or decoded(sent) != named):
        raise mismatch("Mcp-Name")
    check_version(scope)


def check_hints(scope: Scope, message: Message) -> None:
    """Check the headers of a request of the handshake era, which needs none. Raises BadRequest.

    One that came all the same was meant for an intermediary, and must not mislead it.
    """
    named = message.params.get(_NAMED_BY.get(message.method, ""))
    sent = (told(scope, b"mcp-method"), told(scope, b"mcp-name"))
    misnamed = sent[1] is not None and (named is None or decoded(sent[1]) != named)
    if misnamed or sent[0] not in (None, message.method):
        raise mismatch("Mcp-Method or Mcp-Name")


def check_method(scope: Scope) -> None:
    """Raise BadRequest 405 for GET and DELETE of the stateless era: it has no sessions."""
    stateless = told(scope, b"mcp-protocol-version") == STATELESS_VERSION
    if stateless and scope["method"] != "POST":
        raise BadRequest("method-not-allowed", "This revision takes only POST.", 405)


def check_version(scope: Scope) -> None:
    """Raise BadRequest unless the version header names the stateless revision."""
    if told(scope, b"mcp-protocol-version") != STATELESS_VERSION:
        raise BadRequest(
            "unsupported-version",
            "This protocol version is not served.",
            rpc_code=UNSUPPORTED_VERSION,
        )


def stateless_client(message: Message, session: str) -> Client:
    """Return what a request of the stateless era says of its client. Raises BadRequest."""
    declared = message.meta.get(CAPABILITIES_KEY)
    if not isinstance(declared, dict):
        raise _invalid("invalid-capabilities", f"{CAPABILITIES_KEY} is an object.")
    level = message.meta.get(LOG_LEVEL_KEY)
    return Client(
        era=Era.STATELESS,
        session=session,
        capabilities=declared,
        progress_token=progress_token(message),
        log_level=None if level is None else checked_level(level),
    )


def progress_token(message: Message) -> RequestId | None:
    """Return the token a client wants progress under, None without. Raises BadRequest."""
    token = message.meta.get(PROGRESS_KEY)
    if token is None or type(token) is int or isinstance(token, str):
        return token
    raise _invalid("invalid-progress-token", "A progress token is a string or a whole number.")


def checked_level(level: Any) -> str:
    """Return a log level of RFC 5424 as MCP names them. Raises BadRequest."""
    if isinstance(level, str) and level in LOG_LEVELS:
        return level
    raise _invalid("invalid-log-level", f"A log level is one of {', '.join(LOG_LEVELS)}.")


def _invalid(code: str, detail: str) -> BadRequest:
    return BadRequest(code, detail, rpc_code=INVALID_PARAMS)
