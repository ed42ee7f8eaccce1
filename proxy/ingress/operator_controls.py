"""What operators change besides the kill switch: dry run, locks, the policy.

Each change is written to the audit log before it is made: what cannot be recorded is not done.
"""

from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest
from proxy.ingress.operator_access import Access
from proxy.ingress.operator_documents import scope_documents
from proxy.ingress.operator_policy import changed
from proxy.ingress.operator_requests import members_of, query_of, reason_of, scope_of
from proxy.model.decision import Reason, Verdict
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import DecisionRecord
from proxy.model.session import Operator
from proxy.model.token import new_id
from proxy.stores.base import Store

_TOGGLE_MEMBERS = frozenset({"scope", "reason"})
_REASON_MEMBERS = frozenset({"reason"})
_RELOAD_MEMBERS = frozenset({"older", "reason"})


class Reload(Protocol):
    """Loads the policy again."""

    async def __call__(self, *, older: bool = False) -> str:
        """Return the new revision; `older` admits a smaller number. Raises PolicyError."""
        ...


class Controls:
    """The requests that change something."""

    def __init__(self, store: Store, access: Access, reload: Reload) -> None:
        self._store = store
        self._access = access
        self._reload = reload

    async def dry_run_on(self, operator: Operator, request: Request) -> Response:
        """Preview every write of a scope from now on."""
        return await self._toggle(operator, request, on=True)

    async def dry_run_off(self, operator: Operator, request: Request) -> Response:
        """Let the writes of a scope through again."""
        return await self._toggle(operator, request, on=False)

    async def unlock(self, operator: Operator, request: Request) -> Response:
        """Unlock an agent; every canary that locked it is taken as settled."""
        query_of(request)
        reason = reason_of(await members_of(request, _REASON_MEMBERS), required=True)
        tenant, agent = request.path_params["tenant"], request.path_params["agent"]
        scope = scope_of(f"agent:{tenant}/{agent}")
        await self._access.require(operator, scope)
        await self.record(operator, "unlock-agent", reason, scope)
        unlocked = await self._store.unlock_agent(tenant, agent)
        return JSONResponse({"unlocked": unlocked})

    async def reload_policy(self, operator: Operator, request: Request) -> Response:
        """Load the policy again; a broken one is refused and the last good one stays."""
        query_of(request)
        members = await members_of(request, _RELOAD_MEMBERS)
        await self._access.require(operator, GLOBAL)
        reason, older = reason_of(members, required=False), members.get("older", False)
        if not isinstance(older, bool):
            raise BadRequest("invalid-older", "`older` is true or false.")
        await self.record(operator, "reload-policy", reason, GLOBAL)
        return await changed(self._reload(older=older))

    async def _toggle(self, operator: Operator, request: Request, *, on: bool) -> Response:
        query_of(request)
        members = await members_of(request, _TOGGLE_MEMBERS)
        scope = _dry_run_scope(members)
        reason = reason_of(members, required=False)
        await self._access.require(operator, scope)
        await self.record(operator, "dry-run-on" if on else "dry-run-off", reason, scope)
        await self._store.set_dry_run(scope, on, operator.name, datetime.now(UTC))
        return JSONResponse({"scopes": scope_documents((scope,)), "on": on})

    async def record(self, operator: Operator, action: str, reason: str, scope: Scope) -> None:
        """Write down who does what, and why. Raises StoreUnavailable."""
        told = f"{action} {scope.kind.value}:{scope.id}".rstrip(":")
        await self._store.record(
            DecisionRecord(
                decision_id=new_id("dec"),
                at=datetime.now(UTC),
                step_id="",
                tenant=await self._tenant_of(scope),
                agent=f"operator:{operator.name}",
                session_id=scope.id if scope.kind is ScopeKind.SESSION else "",
                resource_id=f"operators/{action}",
                effect="",
                verdict=Verdict.ALLOW,
                reasons=(Reason("operator-action", f"{told} {reason}".strip()),),
                arguments_sha256="",
                policy_revision="",
                epoch=0,
            )
        )

    async def _tenant_of(self, scope: Scope) -> str:
        """Return whose decisions list the record; a global one only those of all tenants."""
        if scope.kind is ScopeKind.SESSION:
            session = await self._store.session(scope.id)
            return session.tenant if session else ""
        return scope.id.partition("/")[0]


def _dry_run_scope(members: dict[str, Any]) -> Scope:
    """Return the scope of a toggle. Raises BadRequest: a tool has no toggle."""
    if "scope" not in members:
        raise BadRequest("scope-required", 'Name the scope: {"scope": "agent:acme/loop"}.')
    scope = scope_of(members["scope"])
    if scope.kind is ScopeKind.TOOL:
        raise BadRequest("invalid-scope", "Dry run is for global, a tenant, an agent or a session.")
    return scope
