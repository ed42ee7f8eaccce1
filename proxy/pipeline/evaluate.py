"""A question from beside: how would this be decided? Nothing is reserved, nothing is sent.

Other enforcement points ask it (OpenID AuthZEN Authorization API 1.0). A call gets the answer the
walk would give it now: kill state, locks, mode, labels, budgets and pins are ours, and whoever asks
can narrow them, never widen them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision
from proxy.model.kill import scopes_of
from proxy.model.ledger import Limits
from proxy.model.session import Mode, Principal, Session
from proxy.model.step import Step
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.admit import Admission
from proxy.pipeline.decide import decision_body
from proxy.pipeline.masks import ARGUMENTS, RESULT, masks_of
from proxy.pipeline.resolve import Resolver
from proxy.stores.base import Sessions

NO_SESSION = "evaluation"  # no session of the ledger has this name


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked about, and in which session.

    `roles` count for agents that the settings do not name. `mode` narrows the mode calls run in,
    `labels` are added to the agent's own. Without a `session_id` it is a new session of the agent.
    """

    tenant: str
    name: str
    roles: tuple[str, ...] = ()
    mode: Mode | None = None
    labels: tuple[str, ...] = ()
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is looked at before the policy.

    `named` gives the agents of the settings by tenant and name, `epoch` the last kill epoch.
    """

    admit: Admission
    resolve: Resolver
    sessions: Sessions
    limits: Callable[[str, str], Limits]
    named: Callable[[str, str], Principal | None]
    epoch: Callable[[], int]


class Evaluator:
    """Asks the decision point on behalf of others."""

    def __init__(self, grounds: Grounds, policy: DecisionPoint) -> None:
        self._grounds = grounds
        self._policy = policy

    async def of_call(self, asked: Asked, call: ToolCall) -> Decision:
        """Return how a call of a tool would be decided.

        Raises Refused where the walk refuses without the policy, StoreUnavailable.
        """
        resolve = self._grounds.resolve
        step = await self._admitted(asked, call)
        await resolve.fresh(call.server)
        body = decision_body(resolve(step), self._policy.revision)
        decision = await self._policy.decide(body)
        masks_of(decision, ARGUMENTS if step.call.door is Door.HOOKS else RESULT)
        return decision

    async def of_other(self, asked: Asked, scope: str, document: dict[str, Any]) -> Decision:
        """Return what the policy says of something that is no call; `scope` names it to kills.

        Time, epoch and revision of its `context` are ours. Raises Refused: killed, agent-locked, …;
        StoreUnavailable.
        """
        principal, session = self._principal(asked), await self._session(asked)
        scopes = scopes_of(asked.tenant, asked.name, session.id, scope)
        await self._grounds.admit.standing(principal, session, scopes)
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        ours = {"epoch": self._grounds.epoch(), "time": now}
        context = {**document["context"], **ours, "policy_revision": self._policy.revision}
        body = json.dumps({"input": {**document, "context": context}}, separators=(",", ":"))
        return await self._policy.decide(body.encode())

    def _principal(self, asked: Asked) -> Principal:
        known = self._grounds.named(asked.tenant, asked.name)
        return known or Principal(asked.tenant, asked.name, asked.roles)

    async def _session(self, asked: Asked) -> Session:
        """Return the session that is named, or one like the agent would open now.

        Raises Refused: session-closed.
        """
        now = datetime.now(UTC)
        if not asked.session_id:
            mode = self._principal(asked).max_mode
            risk = self._grounds.limits(asked.tenant, asked.name).session_risk
            return Session(NO_SESSION, asked.tenant, asked.name, mode, now, now, risk)
        session = await self._grounds.sessions.session(asked.session_id)
        owner = (session.tenant, session.agent) if session else None
        if session is None or owner != (asked.tenant, asked.name) or not session.is_open_at(now):
            raise Refused.because("session-closed")
        return session

    async def _admitted(self, asked: Asked, call: ToolCall) -> Step:
        """Return the step the call would be, under what was asked to be narrower."""
        manifest = self._grounds.resolve.manifests.get((call.server, call.tool))
        if manifest is not None and manifest.hooks:
            call = replace(call, door=Door.HOOKS)
        principal, session = self._principal(asked), await self._session(asked)
        step = Step(NO_SESSION, call, principal, session, self._grounds.epoch(), session.mode)
        view, mode = await self._grounds.admit.standing(principal, session, step.scopes)
        narrow = min(mode, asked.mode or mode, key=lambda mode: mode.rank)
        labels = tuple(sorted({*view.labels, *asked.labels}))
        return step.fuller(mode=narrow, view=replace(view, labels=labels))
