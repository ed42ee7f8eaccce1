"""The decision point as the pipeline sees it: a body in, a decision out, a deny when in doubt.

A decision must be understood whole: a member that is missing, unknown or of another shape, and an
obligation this gateway cannot meet, are a deny.
"""

import logging
import os
import re
import time
from binascii import b2a_base64
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TypeVar

from proxy.errors import PolicyUnavailable, Refused
from proxy.model.decision import Decision, Grant, Obligation, Reason, Verdict
from proxy.model.reasons import reason
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, PolicyEngine, StagedBundle, nothing

MEMBERS = frozenset({"verdict", "reasons", "obligations", "grant", "cost", "labels"})
REASON = frozenset({"id", "message"})
GRANT = frozenset({"broker", "audience", "scope", "ttl"})
COST = frozenset({"risk"})
MAX_ITEMS = 64
MAX_MESSAGE_CHARS = 500
MAX_RISK = 1_000_000
MAX_TTL_S = 60
MAX_AUDIENCE_CHARS = 512

_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_REASON_ID = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_SCOPE = re.compile(r"[!#-)+-\[\]-~]{1,256}\Z")  # RFC 6749 section 3.3, without `*`
_TOOL = re.compile(r"[A-Za-z0-9-]{1,63}/[A-Za-z0-9_.-]{1,128}\Z")
# base64 puts its 64 characters in another order than ASCII does, and two of them are not URL-safe.
_SORTABLE = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
)

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class Malformed(Exception):
    """What came is not a decision; the text names the member, never its content."""


class DecisionPoint:
    """Asks the engine and reads its answers. `known_obligations` is what enforcement can do."""

    def __init__(
        self,
        engine: PolicyEngine,
        bundle: StagedBundle,
        deadline_s: float,
        known_obligations: frozenset[str],
    ) -> None:
        self._engine = engine
        self._bundle = bundle
        self._deadline_s = deadline_s
        self._known = known_obligations

    @property
    def revision(self) -> str:
        """The revision of the policies in force."""
        return self._bundle.revision

    async def decide(self, body: bytes) -> Decision:
        """Decide `{"input": …}`. Trouble with policy or engine is a deny, not an exception."""
        decision_id = new_decision_id()
        try:
            answer = await self._engine.query(DECISION_PATH, body, self._deadline_s)
        except PolicyUnavailable as error:
            log.warning("no decision: %s", error, extra={"decision_id": decision_id})
            return _refusal("policy-unavailable", decision_id, self.revision)
        return parse_decision(answer.result, decision_id, answer.revision, self._known)

    async def visible(self, body: bytes) -> frozenset[str]:
        """Return `server/tool` of what may be seen. Raises Refused: policy-unavailable."""
        try:
            answer = await self._engine.query(VISIBLE_PATH, body, self._deadline_s)
            return parse_visible(answer.result)
        except PolicyUnavailable as error:
            log.warning("no list of visible tools: %s", error)
            raise Refused.because("policy-unavailable") from error

    async def answers(self) -> bool:
        """Whether the engine gives a decision, any decision, from the policies in force."""
        try:
            answer = await self._engine.query(DECISION_PATH, b'{"input":{}}', self._deadline_s)
        except PolicyUnavailable:
            return False
        return answer.result is not None

    async def start(self, bundle: StagedBundle) -> None:
        """Start the engine, and decide by this bundle. Raises PolicyInvalid, PolicyUnavailable."""
        await self._engine.start(bundle)
        self._bundle = bundle

    async def reload(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Decide by this bundle from now on; on failure by the old one.

        `swapped` is called in the moment the bundle changes: what belongs to it changes there.
        Raises PolicyInvalid, PolicyUnavailable.
        """

        def now() -> None:
            self._bundle = bundle
            swapped()

        await self._engine.replace(bundle, now)


def new_decision_id() -> str:
    """Return `dec_` and 24 URL-safe characters that sort by time: 48 bits of ms, 96 of chance."""
    stamp = time.time_ns() // 1_000_000
    raw = stamp.to_bytes(6, "big") + os.urandom(12)
    return f"dec_{b2a_base64(raw, newline=False).translate(_SORTABLE).decode()}"


def parse_decision(
    result: Any, decision_id: str, revision: str, known_obligations: frozenset[str]
) -> Decision:
    """Read the value of `data.detent.main.decision` (CONTRACTS section 4); None is undefined.

    What is not exactly a decision becomes a deny: obligation-unknown or policy-unavailable.
    """
    try:
        decision = _decision(result, decision_id, revision)
    except Malformed as error:
        log.error("not a decision: %s", error, extra={"decision_id": decision_id})
        return _refusal("policy-unavailable", decision_id, revision)
    unknown = {given.type for given in decision.obligations} - known_obligations
    if unknown:
        extra = {"decision_id": decision_id, "obligations": sorted(unknown)}
        log.error("the policy asks for unknown obligations", extra=extra)
        return _refusal("obligation-unknown", decision_id, revision)
    return decision


def parse_visible(result: Any) -> frozenset[str]:
    """Read the value of `data.detent.main.visible`. Raises PolicyUnavailable."""
    if not isinstance(result, list) or not all(_is(_TOOL, tool) for tool in result):
        raise PolicyUnavailable("the answer is not a list of server/tool")
    return frozenset(result)


def _refusal(reason_id: str, decision_id: str, revision: str) -> Decision:
    return Decision(decision_id, Verdict.DENY, (reason(reason_id),), revision)


def _decision(result: Any, decision_id: str, revision: str) -> Decision:
    if result is None:
        raise Malformed("undefined")
    members = _object(result, MEMBERS, "decision")
    if not isinstance(members["verdict"], str) or members["verdict"] not in _VERDICTS:
        raise Malformed("verdict")
    reasons = _items(members["reasons"], "reasons", _reason)
    if not reasons:
        raise Malformed("reasons: there is none")
    return Decision(
        id=decision_id,
        verdict=_VERDICTS[members["verdict"]],
        reasons=reasons,
        policy_revision=revision,
        obligations=_items(members["obligations"], "obligations", _obligation),
        grant=None if members["grant"] is None else _grant(members["grant"]),
        risk=_integer(_object(members["cost"], COST, "cost")["risk"], 0, MAX_RISK, "cost"),
        labels=_items(members["labels"], "labels", _label),
    )


def _reason(value: Any) -> Reason:
    members = _object(value, REASON, "reasons")
    if not _is(_REASON_ID, members["id"]) or not _is_text(members["message"], MAX_MESSAGE_CHARS):
        raise Malformed("reasons")
    return Reason(members["id"], members["message"])


def _obligation(value: Any) -> Obligation:
    if not isinstance(value, dict) or not _is(_NAME, value.get("type")):
        raise Malformed("obligations")
    fields = {name: field for name, field in value.items() if name != "type"}
    return Obligation(value["type"], MappingProxyType(fields))


def _grant(value: Any) -> Grant:
    members = _object(value, GRANT, "grant")
    if not _is(_NAME, members["broker"]) or not _is_text(members["audience"], MAX_AUDIENCE_CHARS):
        raise Malformed("grant")
    return Grant(
        broker=members["broker"],
        audience=members["audience"],
        scope=_items(members["scope"], "grant.scope", _scope),
        ttl_s=_integer(members["ttl"], 1, MAX_TTL_S, "grant.ttl"),
    )


def _scope(value: Any) -> str:
    if not _is(_SCOPE, value):
        raise Malformed("grant.scope")
    return str(value)


def _label(value: Any) -> str:
    if not _is(_NAME, value):
        raise Malformed("labels")
    return str(value)


def _object(value: Any, members: frozenset[str], name: str) -> dict[str, Any]:
    if type(value) is not dict or value.keys() != members:
        raise Malformed(f"{name}: not exactly the members {sorted(members)}")
    return value


def _items(value: Any, name: str, read: Callable[[Any], _T]) -> tuple[_T, ...]:
    if value == []:
        return ()
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise Malformed(f"{name}: not a list of at most {MAX_ITEMS}")
    return tuple(read(item) for item in value)


def _integer(value: Any, least: int, most: int, name: str) -> int:
    if type(value) is not int or not least <= value <= most:  # a bool is an int to isinstance
        raise Malformed(f"{name}: not an integer from {least} to {most}")
    return value


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None


def _is_text(value: Any, most_chars: int) -> bool:
    return isinstance(value, str) and len(value) <= most_chars
