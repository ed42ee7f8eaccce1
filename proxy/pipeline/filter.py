"""The response filter: what a tool says, in results and in frames, before the agent reads it.

Monitors look first (a canary withholds), then live secrets are redacted, then the policy's masks
are put on. What cannot be filtered is withheld.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from credentials.base import Lease
from proxy.errors import Refused
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.session import SessionState
from proxy.model.step import Step
from proxy.model.token import token_sha256
from proxy.monitors.live_secrets import Found, LiveSecrets
from proxy.monitors.redact import redacted, without_texts
from proxy.monitors.shown import shown_texts
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.masks import RESULT, masked, masks_of
from proxy.stores.base import Sessions

# As much of the earlier texts as a secret in its longest form may begin in.
TAIL_CHARS = 4_096

TakeBack = Callable[[Lease | None], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class KnownTokens:
    """Detent's tokens that are good for something: `hashes` of agents and operators, sessions."""

    hashes: frozenset[str]
    sessions: Sessions

    async def is_live(self, token: str) -> bool:
        """Whether this token would be taken now. Raises StoreUnavailable."""
        sha256 = token_sha256(token)
        if sha256 in self.hashes:
            return True
        session = await self.sessions.session_by_token(sha256)
        return session is not None and session.state is SessionState.OPEN


@dataclass(frozen=True, slots=True)
class ResponseFilter:
    """Makes the filter of each call."""

    inspection: Inspection
    secrets: LiveSecrets
    tokens: KnownTokens
    take_back: TakeBack

    def opened(self, step: Step, lease: Lease | None) -> "Filtering":
        """Return the filter of one call. Raises Refused: obligation-unknown."""
        return Filtering(self, step, lease)


class Filtering:
    """One call's filter; it remembers the end of what was said, for secrets that come in pieces.

    Its methods raise Refused (canary-touched, result-withheld) and StoreUnavailable.
    """

    def __init__(self, room: ResponseFilter, step: Step, lease: Lease | None) -> None:
        self._room = room
        self._step = step
        self._lease = lease
        self._lent = room.secrets.lent(lease.headers if lease else {})
        self._masks = masks_of(step.decision, RESULT)
        self._told: set[str] = set()
        self._tail = ""

    async def result(self, result: bytes) -> bytes:
        """Return a result, or a JSON-RPC error object, as the agent may see it."""
        return await self._filtered(result, is_frame=False)

    async def frame(self, params: bytes) -> bytes:
        """Return the params of a server's notification or request as the agent may see them."""
        return await self._filtered(params, is_frame=True)

    async def answer(self, answer: bytes) -> None:
        """Look at what the agent's side answers to a server's request, before the server does."""
        question = replace(self._step.call, arguments=answer)
        await self._room.inspection.call(replace(self._step, call=question))

    async def _filtered(self, document: bytes, *, is_frame: bool) -> bytes:
        await self._room.inspection.result(self._step, document)
        in_pieces = is_frame or self._tail or document.count(b'"text"') > 1
        texts = shown_texts(document) if in_pieces else ()
        row = (self._tail + "".join(texts)).encode("utf-8", "replace")
        if self._tail:
            await self._room.inspection.result(self._step, row)
        try:
            clean = await self._without_secrets(document, texts, row)
            return masked(clean, self._masks)
        except ValueError:
            raise Refused.because("result-withheld") from None

    async def _without_secrets(self, document: bytes, texts: tuple[str, ...], row: bytes) -> bytes:
        """Redact what stands in one string, then what only the texts in a row show."""
        search, lent = self._room.secrets.search, self._lent
        if found := search(document, lent):
            await self._act(found)
            secrets = (*self._room.secrets.values(lent), *found.tokens)
            document = redacted(document, secrets, self._shows)
            texts = shown_texts(document)
            row = (self._tail + "".join(texts)).encode("utf-8", "replace")
        in_a_row = self._tail or len(texts) > 1  # one text by itself was seen in the document
        if in_a_row and (found := search(row, lent)):
            await self._act(found)
            document, row = without_texts(document, texts), b""
        self._tail = row[-TAIL_CHARS:].decode("utf-8", "replace")
        return document

    def _shows(self, text: str) -> bool:
        raw = text.encode("utf-8", "replace")
        return self._room.secrets.search(raw, self._lent) is not None

    async def _act(self, found: Found) -> None:
        """Lock, revoke and tell people; each thing found once a call."""
        live = [await self._room.tokens.is_live(token) for token in found.tokens]
        names = (*found.names, *(["a live Detent token"] if any(live) else []))
        for name in names:
            if name not in self._told:
                self._told.add(name)
                await self._room.take_back(self._lease)
                await self._room.inspection.act(self._step, _finding(name))
        if not names and "" not in self._told:
            self._told.add("")
            await self._room.inspection.act(self._step, _DEAD_TOKEN)


def _finding(name: str) -> Finding:
    return Finding(
        monitor="live-secret",
        severity=Severity.CRITICAL,
        action=FindingAction.REDACT_AND_LOCK,
        subject=name,
        message=f"A tool showed {name}; it was redacted, the agent is locked. Replace that secret.",
    )


_DEAD_TOKEN = Finding(
    monitor="live-secret",
    severity=Severity.WARNING,
    action=FindingAction.NOTE,
    subject="a dead Detent token",
    message="A tool showed a text in the form of a Detent token that is good for nothing.",
)
