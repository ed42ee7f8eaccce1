"""Who may do what on the operators' port: tokens, roles, tenants."""

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum

from starlette.types import Scope as AsgiScope

from proxy.errors import BadRequest, Refused
from proxy.ingress.wire import bearer
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.session import ALL_TENANTS, Operator
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from proxy.stores.base import Sessions

log = logging.getLogger(__name__)

_NOT_AUTHENTICATED = "Send a valid operator token: Authorization: Bearer dto_…"


class Role(StrEnum):
    """What an operator may do."""

    APPROVE = "approve"
    EVALUATE = "evaluate"
    KILL = "kill"
    LIFT = "lift"
    POLICY = "policy"
    PULL = "pull"
    VIEW = "view"


class Access:
    """Answers who asks, and whether a scope is theirs.

    `operators` maps the SHA-256 of a token (hex) to its operator: a look-up by a hash tells nothing
    about any token by its time.
    """

    def __init__(self, operators: Mapping[str, Operator], sessions: Sessions) -> None:
        self._operators = dict(operators)
        self._sessions = sessions

    def admit(self, request: AsgiScope, roles: Collection[Role]) -> Operator:
        """Return the operator of a request that has at least one of these roles.

        Raises Refused: not-authenticated; BadRequest 403: agent-token, role-missing.
        """
        try:
            operator = self._operator(request)
        except (BadRequest, Refused):
            log.warning("operator refused", extra={"path": request["path"]})
            raise
        if not any(role in operator.roles for role in roles):
            told = {"path": request["path"], "operator": operator.name}
            log.warning("operator refused: role missing", extra=told)
            needed = " or ".join(sorted(roles))
            raise BadRequest("role-missing", f"This needs an operator with role {needed}.", 403)
        return operator

    def _operator(self, request: AsgiScope) -> Operator:
        token = ""
        with suppress(Refused):
            token = bearer(request)
        kind = kind_of_token(token)
        if kind in (TokenKind.AGENT, TokenKind.SESSION):
            raise BadRequest("agent-token", "Tokens of agents mean nothing on this port.", 403)
        operator = self._operators.get(token_sha256(token)) if kind else None
        if operator is None:
            raise Refused.because("not-authenticated", _NOT_AUTHENTICATED)
        return operator

    async def covers(self, operator: Operator, scope: Scope) -> bool:
        """Whether a scope lies inside the operator's tenants; raises StoreUnavailable.

        Global and tool scopes touch every tenant. A session is its tenant's; one that does not
        exist is nobody's.
        """
        if ALL_TENANTS in operator.tenants:
            return True
        if scope.kind is ScopeKind.TENANT:
            return operator.covers(scope.id)
        if scope.kind is ScopeKind.AGENT:
            return operator.covers(scope.id.partition("/")[0])
        if scope.kind is ScopeKind.SESSION:
            session = await self._sessions.session(scope.id)
            return session is not None and operator.covers(session.tenant)
        return False

    async def covers_all(self, operator: Operator, scopes: Iterable[Scope]) -> bool:
        """Whether every one of these scopes lies inside the operator's tenants."""
        return all([await self.covers(operator, scope) for scope in scopes])

    async def require(self, operator: Operator, *scopes: Scope) -> None:
        """Raise BadRequest 403 not-covered unless the operator covers all of them."""
        if not scopes or not await self.covers_all(operator, scopes):
            log.warning("operator refused: not covered", extra={"operator": operator.name})
            raise BadRequest("not-covered", "This operator does not cover that scope.", 403)


def everything_of(operator: Operator) -> tuple[Scope, ...]:
    """Return the scopes that are all an operator covers."""
    if ALL_TENANTS in operator.tenants:
        return (GLOBAL,)
    return tuple(Scope(ScopeKind.TENANT, tenant) for tenant in operator.tenants)
