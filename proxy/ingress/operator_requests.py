"""What operators send: JSON members, scopes, reasons and query parameters, all checked.

Everything raises BadRequest, and no refusal repeats the input.
"""

import math
import re
from typing import Any

from starlette.requests import Request

from proxy.errors import BadRequest
from proxy.ingress.strict_json import parse
from proxy.model.kill import Scope, ScopeKind

MAX_REASON_CHARS = 1_024
MAX_WAIT_S = 30.0
MAX_ROWS = 1_000
DEFAULT_ROWS = 100

_NAME = "[!-.0-~]{1,128}"  # visible ASCII without a slash
_IDS: dict[str, re.Pattern[str]] = {
    ScopeKind.GLOBAL: re.compile(""),
    ScopeKind.TENANT: re.compile(_NAME),
    ScopeKind.AGENT: re.compile(f"{_NAME}/{_NAME}"),
    ScopeKind.SESSION: re.compile(_NAME),
    ScopeKind.TOOL: re.compile(f"{_NAME}/{_NAME}"),
}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_SCOPE_CURE = (
    "A scope is `global`, `tenant:acme`, `agent:acme/loop`, `session:ID` or `tool:server/tool`, "
    'or an object {"kind", "id"} of the same.'
)


async def members_of(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """Return the members of the request's JSON object; no body has none."""
    body = await request.body()
    value = parse(body) if body else {}
    if not isinstance(value, dict):
        raise BadRequest("not-an-object", "The body must be a JSON object.")
    if not value.keys() <= known:
        raise BadRequest("unknown-member", f"The body takes {', '.join(sorted(known))}.")
    return value


def scope_of(value: Any) -> Scope:
    """Return the scope of `"kind:id"` or `{"kind", "id"}`."""
    kind, scope_id = _kind_and_id(value)
    pattern = _IDS.get(kind) if isinstance(kind, str) else None
    if pattern is None or not isinstance(scope_id, str) or pattern.fullmatch(scope_id) is None:
        raise BadRequest("invalid-scope", _SCOPE_CURE)
    return Scope(ScopeKind(kind), scope_id)


def _kind_and_id(value: Any) -> tuple[Any, Any]:
    if isinstance(value, str):
        kind, _, scope_id = value.partition(":")
        return kind, scope_id
    if isinstance(value, dict) and value.keys() <= {"kind", "id"}:
        return value.get("kind"), value.get("id", "")
    return None, None


def reason_of(members: dict[str, Any], *, required: bool) -> str:
    """Return the reason, at most 1,024 characters."""
    reason = members.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARS:
        raise BadRequest("invalid-reason", f"A reason is at most {MAX_REASON_CHARS} characters.")
    if required and not reason.strip():
        raise BadRequest("reason-required", 'Say why: {"reason": "…"}.')
    return reason


def query_of(request: Request, *known: str) -> dict[str, str]:
    """Return the query parameters, each known and given once."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or not set(names) <= set(known):
        takes = f"takes {', '.join(known)}" if known else "takes no parameters"
        raise BadRequest("unknown-parameter", f"The query {takes}, each once.")
    return dict(pairs)


def limit_of(query: dict[str, str]) -> int:
    """Return how many rows are asked for: 1 to 1,000, 100 without a word."""
    limit = _number(query.get("limit", str(DEFAULT_ROWS)))
    if not (limit.is_integer() and 1 <= limit <= MAX_ROWS):
        raise BadRequest("invalid-limit", f"`limit` is 1 to {MAX_ROWS}.")
    return int(limit)


def wait_of(query: dict[str, str]) -> float:
    """Return how many seconds to wait: 0 to 30."""
    wait_s = _number(query.get("wait", "0"))
    if not wait_s <= MAX_WAIT_S:
        raise BadRequest("invalid-wait", f"`wait` is 0 to {MAX_WAIT_S:.0f} seconds.")
    return wait_s


def _number(text: str) -> float:
    return float(text) if _NUMBER.fullmatch(text) else math.nan
