"""Headers that repeat arguments: `Mcp-Param-*` (MCP 2026-07-28, custom headers from parameters).

Which arguments are repeated is marked in the tool's pinned input schema. An intermediary acts on
these headers, so they have to say what the arguments say: each that is marked, and no other.
"""

import base64
import json
import re
from functools import lru_cache
from typing import Any

from starlette.types import Scope

from proxy.errors import BadRequest
from proxy.ingress.wire import header
from proxy.upstream.mirrored import Marks, marks_of

HEADER_MISMATCH = -32020

_PREFIX = b"mcp-param-"
_BASE64 = re.compile(r"=\?base64\?(.*)\?=")


def check_arguments(scope: Scope, input_schema: bytes | None, arguments: bytes) -> None:
    """Compare the headers of a call with its canonical arguments. Raises BadRequest."""
    sent = {
        name.decode("latin-1"): value.decode("latin-1").strip(" \t")
        for name, value in scope["headers"]
        if name.startswith(_PREFIX)
    }
    marks = _marks(input_schema) if input_schema and b'"x-mcp-header"' in input_schema else ()
    if not (sent or marks):
        return
    values = json.loads(arguments)
    for path, name in marks:
        given = sent.pop(name.lower(), None)
        if not _agree(given, _at(values, path)):
            raise mismatch(name)
    if sent:
        raise mismatch("Mcp-Param-*")


def told(scope: Scope, name: bytes) -> str | None:
    """Return a header's value, None without; blanks around are no part of it (RFC 9110, 5.5)."""
    value = header(scope, name)
    return None if value is None else value.strip(" \t")


def mismatch(name: str) -> BadRequest:
    """Refuse a header that is missing, orphaned, broken, or says something else."""
    detail = f"The header {name} is missing or does not say what the body says."
    return BadRequest("header-mismatch", detail, rpc_code=HEADER_MISMATCH)


def decoded(value: str | None) -> str | None:
    """Return a header's value, out of its base64 form if it has one; a broken form is None."""
    wrapped = _BASE64.fullmatch(value or "")
    if wrapped is None:
        return value
    try:
        plain = base64.b64decode(wrapped[1], validate=True)
        canonical = base64.b64encode(plain).decode() == wrapped[1]
        return plain.decode() if canonical else None
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _marks(input_schema: bytes) -> Marks:
    return marks_of(input_schema) or ()


def _agree(sent: str | None, value: Any) -> bool:
    """Whether a header says what an argument is; one that is null or no scalar has none."""
    if not isinstance(value, str | bool | int | float):
        return sent is None
    says = decoded(sent)
    if isinstance(value, bool):
        return says == ("true" if value else "false")
    if isinstance(value, str):
        return says == value
    try:
        return says is not None and float(says) == value
    except ValueError:
        return False


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values
