"""Stage 1: a bearer token becomes a principal and its session. There is no fallback principal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.errors import Refused
from proxy.model.session import Principal, Session, SessionState
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from proxy.pipeline.identify import Identities
from proxy.pipeline.sessions import SessionDesk
from proxy.stores.base import Sessions

DOTS_OF_A_JWT = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, in which session."""

    principal: Principal
    session: Session


class Authenticator:
    """Knows the agents by the SHA-256 of their tokens, or by what an issuer says of them."""

    def __init__(
        self,
        agents: Mapping[str, Principal],
        store: Sessions,
        desk: SessionDesk,
        identities: Identities | None = None,
    ) -> None:
        self._identities = identities or Identities()
        self._agents = dict(agents)
        self._by_name = {(agent.tenant, agent.agent): agent for agent in agents.values()}
        self._store = store
        self._desk = desk

    async def principal(self, token: str) -> Principal:
        """Return the agent of an agent token, or of a JWT (two dots) of a configured issuer.

        Raises Refused: not-authenticated, identity-unavailable.
        """
        if token.count(".") == DOTS_OF_A_JWT:
            return await self._identities.principal(token)
        known = None
        if kind_of_token(token) is TokenKind.AGENT:
            known = self._agents.get(token_sha256(token))
        if known is None:
            raise Refused.because("not-authenticated")
        return known

    async def caller(self, token: str) -> Caller:
        """Return the caller of a session token, or of an agent token its implicit session.

        Raises Refused: not-authenticated, identity-unavailable, session-closed, agent-locked.
        """
        if kind_of_token(token) is not TokenKind.SESSION:
            principal = await self.principal(token)
            return Caller(principal, await self._desk.implicit(principal))
        session = await self._store.session_by_token(token_sha256(token))
        principal_of = self.owner(session) if session else None
        if session is None or principal_of is None:
            raise Refused.because("not-authenticated")
        if session.state is not SessionState.OPEN or session.expires_at <= datetime.now(UTC):
            raise Refused.because("session-closed")
        return Caller(principal_of, session)

    def owner(self, session: Session) -> Principal | None:
        """Return whose a session is: an agent of the settings, or one that signed in lately."""
        known = self._by_name.get((session.tenant, session.agent))
        return known or self._identities.proved(session.tenant, session.agent)
