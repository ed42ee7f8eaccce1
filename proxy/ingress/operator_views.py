"""What operators look at: sessions, chains, decisions, intents. Only rows of their tenants."""

from collections.abc import Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest
from proxy.ingress.operator_access import Access
from proxy.ingress.operator_documents import (
    Document,
    decision_document,
    finding_document,
    session_document,
    step_document,
)
from proxy.ingress.operator_requests import MAX_ROWS, limit_of, query_of
from proxy.model.kill import Scope, ScopeKind
from proxy.model.ledger import IntentState, StepRow
from proxy.model.session import ALL_TENANTS, Operator
from proxy.model.tool import Tier
from proxy.monitors.integrity import Irregularity
from proxy.stores.base import Store


class Views:
    """The requests that change nothing."""

    def __init__(
        self,
        store: Store,
        access: Access,
        tiers: Callable[[], Mapping[str, Tier]] = dict,
        findings: Callable[[], tuple[Irregularity, ...]] = tuple,
    ) -> None:
        self._store = store
        self._access = access
        self._tiers = tiers
        self._findings = findings

    async def sessions(self, operator: Operator, request: Request) -> Response:
        """List sessions, open ones first, then the newest."""
        limit = limit_of(query_of(request, "limit"))
        found = await self._store.sessions(limit, operator.tenants)
        return JSONResponse({"sessions": [session_document(each) for each in found]})

    async def chain(self, operator: Operator, request: Request) -> Response:
        """Tell one session with its steps, newest first."""
        limit = limit_of(query_of(request, "limit"))
        session = await self._store.session(request.path_params["session"])
        if session is None or not operator.covers(session.tenant):
            raise BadRequest("not-found", "There is no session of that id.", 404)
        steps = await self._store.steps(session.id, (), limit)
        document = {"session": session_document(session)}
        return JSONResponse({**document, "steps": self._steps(steps)})

    async def decisions(self, operator: Operator, request: Request) -> Response:
        """List audit records, newest first."""
        limit = limit_of(query_of(request, "limit"))
        records = await self._store.decisions(limit, operator.tenants)
        return JSONResponse({"decisions": [decision_document(record) for record in records]})

    async def intents(self, operator: Operator, request: Request) -> Response:
        """List steps in one state, newest first; `unknown` without a word."""
        query = query_of(request, "limit", "state")
        state, limit = query.get("state", IntentState.UNKNOWN), limit_of(query)
        if state not in set(IntentState):
            raise BadRequest("invalid-state", f"`state` is one of {', '.join(IntentState)}.")
        found = await self._store.steps(None, (state,), limit, operator.tenants)
        return JSONResponse({"intents": self._steps(found)})

    def _steps(self, rows: Iterable[StepRow]) -> list[Document]:
        """Return steps with the tiers their tools have now; one that is gone has none."""
        tiers = self._tiers()
        known = ((row, tiers.get(row.intent.resource_id)) for row in rows)
        return [step_document(row) | ({"tier": tier} if tier else {}) for row, tier in known]

    async def findings(self, operator: Operator, request: Request) -> Response:
        """List what is wrong now with the tools that servers offer.

        Tools are of no tenant: an operator of some sees what is about tools that agents of theirs
        asked for lately.
        """
        limit, found = limit_of(query_of(request, "limit")), self._findings()
        if ALL_TENANTS not in operator.tenants:
            records = await self._store.decisions(MAX_ROWS, operator.tenants)
            asked = {record.resource_id for record in records}
            found = tuple(one for one in found if one.reviewed in asked)
        return JSONResponse({"findings": [finding_document(one) for one in found[:limit]]})

    async def dry_run(self, operator: Operator, request: Request) -> Response:
        """List the scopes whose calls are previewed, as far as they touch this operator."""
        query_of(request)
        scopes = await self._store.dry_run_scopes()
        seen = [scope for scope in scopes if await self._seen(operator, scope)]
        return JSONResponse({"scopes": [{"kind": it.kind.value, "id": it.id} for it in seen]})

    async def _seen(self, operator: Operator, scope: Scope) -> bool:
        return scope.kind is ScopeKind.GLOBAL or await self._access.covers(operator, scope)
