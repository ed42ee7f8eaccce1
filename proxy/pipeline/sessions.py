"""Opening and ending sessions: an agent may ask for less than policy gives it, never for more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from proxy.errors import Refused
from proxy.model.hook import HookKey
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import Limits
from proxy.model.session import BudgetView, Mode, Principal, Session, SessionState
from proxy.model.token import TokenKind, new_id, new_token, token_sha256
from proxy.stores.base import Sessions

LIFETIME = timedelta(hours=12)
OPEN_SESSIONS_CAP = 10


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What an agent asks for; None takes what policy gives. `risk` in points."""

    mode: Mode | None = None
    risk: int | None = None
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session and the only sight of its token."""

    session: Session
    token: str
    budget: BudgetView

    def __repr__(self) -> str:
        return f"OpenedSession({self.session.id})"


class SessionDesk:
    """Opens, finds and ends sessions. `limits` gives an agent's budgets by (tenant, agent)."""

    def __init__(
        self, store: Sessions, limits: Callable[[str, str], Limits], lifetime: timedelta = LIFETIME
    ) -> None:
        self._store = store
        self._limits = limits
        self._lifetime = lifetime
        self._implicit: dict[tuple[str, str], Session] = {}

    async def open(self, principal: Principal, request: SessionRequest) -> OpenedSession:
        """Open an explicit session. Raises Refused: agent-locked, too-many-sessions."""
        token = new_token(TokenKind.SESSION)
        session = await self._store.open_session(
            self._fresh(principal, request, implicit=False), token_sha256(token), OPEN_SESSIONS_CAP
        )
        return OpenedSession(session, token, BudgetView(session.risk_limit))

    async def implicit(self, principal: Principal) -> Session:
        """Return the one implicit session of an agent, opened when there is none."""
        key = (principal.tenant, principal.agent)
        session = self._implicit.get(key)
        if session is None or session.expires_at <= datetime.now(UTC):
            if session is not None:
                await self._store.end_session(session.id, datetime.now(UTC))
            fresh = self._fresh(principal, SessionRequest(), implicit=True)
            session = await self._store.open_session(fresh, None, OPEN_SESSIONS_CAP)
            self._implicit[key] = session
        return session

    def named(self, principal: Principal, key: HookKey) -> Session:
        """Return a new session for the name an agent has for it; it is not stored yet."""
        asked = SessionRequest(purpose=f"{key.client} {key.session}")
        return self._fresh(principal, asked, implicit=False)

    async def end(self, principal: Principal, session_id: str) -> None:
        """End a session of this agent. Raises Refused: session-closed when it has none such."""
        session = await self._store.session(session_id)
        owner = (session.tenant, session.agent) if session else None
        if session is None or owner != (principal.tenant, principal.agent):
            raise Refused.because("session-closed", "No such session.")
        await self._store.end_session(session_id, datetime.now(UTC))
        if session.implicit:
            self._implicit.pop((principal.tenant, principal.agent), None)

    def _fresh(self, principal: Principal, request: SessionRequest, *, implicit: bool) -> Session:
        limits = self._limits(principal.tenant, principal.agent)
        asked = request.mode or principal.max_mode
        mode = min(asked, principal.max_mode, key=lambda mode: mode.rank)
        risk = limits.session_risk if request.risk is None else request.risk
        now = datetime.now(UTC)
        return Session(
            id=new_id("ses"),
            tenant=principal.tenant,
            agent=principal.agent,
            mode=mode,
            opened_at=now,
            expires_at=now + self._lifetime,
            risk_limit=max(0, min(risk, limits.session_risk)),
            implicit=implicit,
            purpose=request.purpose,
            state=SessionState.OPEN,
        )


def agent_scopes(principal: Principal) -> tuple[Scope, ...]:
    """Return the scopes an agent stands under before it has a session."""
    return (
        GLOBAL,
        Scope(ScopeKind.TENANT, principal.tenant),
        Scope(ScopeKind.AGENT, f"{principal.tenant}/{principal.agent}"),
    )
