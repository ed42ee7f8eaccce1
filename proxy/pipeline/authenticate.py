"""Stage 1: a bearer token becomes a principal and its session. There is no fallback principal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.errors import Refused
from proxy.model.session import Principal, Session, SessionState
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from proxy.pipeline.sessions import SessionDesk
from proxy.stores.base import Sessions


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, in which session."""

    principal: Principal
    session: Session


class Authenticator:
    """Knows the agents by the SHA-256 of their tokens."""

    def __init__(self, agents: Mapping[str, Principal], store: Sessions, desk: SessionDesk) -> None:
        self._agents = dict(agents)
        self._by_name = {(agent.tenant, agent.agent): agent for agent in agents.values()}
        self._store = store
        self._desk = desk

    def principal(self, token: str) -> Principal:
        """Return the agent an agent token belongs to. Raises Refused: not-authenticated."""
        known = None
        if kind_of_token(token) is TokenKind.AGENT:
            known = self._agents.get(token_sha256(token))
        if known is None:
            raise Refused.because("not-authenticated")
        return known

    async def caller(self, token: str) -> Caller:
        """Return the caller of a session token, or of an agent token its implicit session.

        Raises Refused: not-authenticated, session-closed, agent-locked.
        """
        if kind_of_token(token) is not TokenKind.SESSION:
            principal = self.principal(token)
            return Caller(principal, await self._desk.implicit(principal))
        session = await self._store.session_by_token(token_sha256(token))
        principal_of = self._by_name.get((session.tenant, session.agent)) if session else None
        if session is None or principal_of is None:
            raise Refused.because("not-authenticated")
        if session.state is not SessionState.OPEN or session.expires_at <= datetime.now(UTC):
            raise Refused.because("session-closed")
        return Caller(principal_of, session)
