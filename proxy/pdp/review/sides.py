"""One side of a comparison: a bundle, the inputs as its gateway would build them, its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from proxy.model.ledger import Limits
from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.decision import parse_decision
from proxy.pdp.manifests import Catalogue
from proxy.pdp.review.batch import Evaluation, Unanswered
from proxy.pdp.review.outcome import Outcome, outcome_of
from proxy.pdp.review.record import answer_of

MISSING = object()
DECISION = f"data.{DECISION_PATH.replace('/', '.')}"


@dataclass(frozen=True, slots=True)
class Side:
    """A staged bundle with its catalogue; `name` is what reports call it."""

    name: str
    bundle: StagedBundle
    catalogue: Catalogue

    def answers(
        self, opa: Path, inputs: Sequence[dict[str, Any]], known: frozenset[str]
    ) -> list[tuple[Outcome | None, str]]:
        """Return what a gateway with this bundle decides, and why the policy gave no answer.

        None is what was not asked, because OPA failed too often on what stood beside it.
        `known` are the obligations that the gateway can meet. Blocks. Raises PolicyInvalid.
        """
        evaluation = Evaluation(opa, self.bundle.directory, DECISION)
        return [
            (None, answer.why) if _is_not_asked(answer) else self._read(answer, known)
            for answer in evaluation.answers(inputs)
        ]

    def answer(
        self, opa: Path, document: dict[str, Any], known: frozenset[str]
    ) -> tuple[Outcome, str]:
        """Return the same for one input, which always is asked."""
        (answer,) = Evaluation(opa, self.bundle.directory, DECISION).answers([document])
        return self._read(answer, known)

    def _read(self, answer: Any, known: frozenset[str]) -> tuple[Outcome, str]:
        why = answer.why if isinstance(answer, Unanswered) else ""
        decision = parse_decision(None if why else answer, "", self.bundle.revision, known)
        return outcome_of(answer_of(decision)), why


def _is_not_asked(answer: Any) -> TypeGuard[Unanswered]:
    return isinstance(answer, Unanswered) and not answer.is_alone


def fitted(document: Mapping[str, Any], side: Side, origin: Side | None) -> dict[str, Any]:
    """Return an input as the gateway builds it under the bundle of this side.

    The manifest, the effect, the revision and the limits of budgets come from the bundle, so those
    of the bundle it was made under, `origin`, are replaced. What belongs to neither (a suite's own
    manifest, a session's smaller budget) stays.
    """
    shown = _with_revision(_with_manifest(document, side, origin), side)
    return shown if origin in (None, side) else _with_limits(shown, side, origin)


def _with_revision(document: dict[str, Any], side: Side) -> dict[str, Any]:
    context = document.get("context")
    if not isinstance(context, dict) or "policy_revision" not in context:
        return document
    return {**document, "context": {**context, "policy_revision": side.bundle.revision}}


def _with_manifest(document: Mapping[str, Any], side: Side, origin: Side | None) -> dict[str, Any]:
    resource = document.get("resource")
    if not isinstance(resource, dict):
        return dict(document)
    tool = (str(resource.get("server")), str(resource.get("tool")))
    own, before = _manifest(side, tool), _manifest(origin or side, tool)
    given = resource.get("manifest", MISSING)
    if given is not MISSING and given not in (own, before):
        return dict(document)
    action = document.get("action")
    is_given = given is MISSING and origin is None
    if isinstance(action, dict) and (is_given or action.get("effect") == _effect(before)):
        action = {**action, "effect": _effect(own)}
    return {**document, "action": action, "resource": {**resource, "manifest": own}}


def _manifest(side: Side, tool: tuple[str, str]) -> dict[str, Any] | None:
    known = side.catalogue.tools.get(tool)
    return dict(known.document) if known else None


def _effect(manifest: dict[str, Any] | None) -> Any:
    return (manifest or {}).get("effect")


def _with_limits(document: dict[str, Any], side: Side, origin: Side) -> dict[str, Any]:
    subject, context = document.get("subject"), document.get("context")
    session = context.get("session") if isinstance(context, dict) else None
    if not (isinstance(subject, dict) and isinstance(context, dict) and isinstance(session, dict)):
        return document
    agent = (str(subject.get("tenant")), str(subject.get("id")))
    before, after = origin.catalogue.limits(*agent), side.catalogue.limits(*agent)
    changed = {
        account: _limited(session[account], _limit(before, account), _limit(after, account))
        for account in ("budget", "agent_budget")
        if account in session
    }
    return {**document, "context": {**context, "session": {**session, **changed}}}


def _limit(limits: Limits, account: str) -> int:
    return limits.session_risk if account == "budget" else limits.agent_risk


def _limited(account: Any, before: int, after: int) -> Any:
    risk = account.get("risk") if isinstance(account, dict) else None
    if not isinstance(risk, dict) or risk.get("limit") != before:
        return account
    return {**account, "risk": {**risk, "limit": after}}
