"""Which era a request belongs to, and the stateless era's agreement of headers and body.

MCP 2026-07-28, Streamable HTTP: what an intermediary reads in `MCP-Protocol-Version`, `Mcp-Method`
and `Mcp-Name` must be what the body says.
"""

import base64
import binascii
import re

from starlette.types import Scope

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import INVALID_PARAMS, Message
from proxy.ingress.wire import header

STATELESS_VERSION = "2026-07-28"
HANDSHAKE_VERSIONS = ("2025-06-18", "2025-11-25")
SUPPORTED_VERSIONS = (*HANDSHAKE_VERSIONS, STATELESS_VERSION)

HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"

_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_BASE64 = re.compile(r"=\?base64\?(.*)\?=")


def is_stateless(scope: Scope, message: Message) -> bool:
    """Return whether a request is of the stateless era: its version header is no handshake's.

    Raises BadRequest when the body names a version and the header is another or missing.
    """
    version = header(scope, b"mcp-protocol-version")
    if VERSION_KEY in message.meta and message.meta[VERSION_KEY] != version:
        raise _mismatch("MCP-Protocol-Version")
    return version is not None and version not in HANDSHAKE_VERSIONS


def check_envelope(scope: Scope, message: Message) -> None:
    """Check a request of the stateless era. Raises BadRequest.

    -32602 when `_meta` lacks a required key, -32020 when a header is missing or disagrees, -32022
    when the version is not served.
    """
    for key in (VERSION_KEY, CAPABILITIES_KEY):
        if key not in message.meta:
            raise BadRequest("missing-meta", f"`_meta` needs {key}.", rpc_code=INVALID_PARAMS)
    if header(scope, b"mcp-method") != message.method:
        raise _mismatch("Mcp-Method")
    named = message.params.get(_NAMED_BY.get(message.method, ""))
    if _decoded(header(scope, b"mcp-name")) != named:
        raise _mismatch("Mcp-Name")
    check_version(scope)


def check_method(scope: Scope) -> None:
    """Raise BadRequest 405 for GET and DELETE of the stateless era: it has no sessions."""
    stateless = header(scope, b"mcp-protocol-version") == STATELESS_VERSION
    if stateless and scope["method"] != "POST":
        raise BadRequest("method-not-allowed", "This revision takes only POST.", 405)


def check_version(scope: Scope) -> None:
    """Raise BadRequest unless the version header names the stateless revision."""
    if header(scope, b"mcp-protocol-version") != STATELESS_VERSION:
        raise BadRequest(
            "unsupported-version",
            "This protocol version is not served.",
            rpc_code=UNSUPPORTED_VERSION,
        )


def _mismatch(name: str) -> BadRequest:
    detail = f"The header {name} is missing or does not say what the body says."
    return BadRequest("header-mismatch", detail, rpc_code=HEADER_MISMATCH)


def _decoded(value: str | None) -> object:
    """Return a header value, out of its base64 form if it has one; a broken form equals nothing."""
    wrapped = _BASE64.fullmatch(value or "")
    if wrapped is None:
        return value
    try:
        plain = base64.b64decode(wrapped[1], validate=True)
        canonical = base64.b64encode(plain).decode() == wrapped[1]
        return plain.decode() if canonical else _mismatch
    except (binascii.Error, UnicodeDecodeError):
        return _mismatch
