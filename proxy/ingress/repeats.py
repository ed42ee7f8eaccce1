"""Requests that repeat the head of one before them on their connection, byte for byte.

Holders of kill leases ask the same several times a second, and only the body differs. What was
checked of a head holds for the same bytes again: such a request is answered where its bytes come
in, without parsing them, by whoever answered the first. Anything else goes the long way, and so
does each head now and then: that is what keeps a connection from being closed as idle.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

REPEATS = "detent.repeats"
KEPT_S = 30.0  # with the time an answer may take, below that of a connection that is idle
MAX_HEADS = 4
MAX_BYTES = 8_192  # of a head

Write = Callable[[bytes], None]
Forget = Callable[[], None]

AnswerRepeat = Callable[[bytes, Write], bytes | Forget | None]
"""Is given another body, and gives the body of its 200, or None for the long way.

Or it writes that body later, at most once, and returns what is to be called when nobody waits any
more. It may not await.
"""

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Kept:
    body_bytes: int
    until_s: float
    answer: AnswerRepeat


class Repeats:
    """The heads of one connection that were answered a short while ago.

    `clock` gives seconds; `write` sends a 200 with that body. While `owes`, an answer is to come.
    """

    def __init__(self, clock: Callable[[], float], write: Write) -> None:
        self._clock = clock
        self._write = write
        self._kept: dict[bytes, _Kept] = {}
        self._piece = b""
        self._forget: Forget | None = None

    @property
    def owes(self) -> bool:
        """Whether a request that was taken still waits for its answer."""
        return self._forget is not None

    def came(self, piece: bytes, *, begins: bool) -> None:
        """Note what came in one piece; `begins`: nothing of its request came before it."""
        self._piece = piece if begins else b""

    def keep(self, body: bytes, answer: AnswerRepeat) -> None:
        """Keep the head of the request that came last, if it came in one piece with this body.

        So nothing else was in that piece, and the length of the body is what the parser took it
        for: its framing is no matter of opinion when the same head comes again.
        """
        end = self._piece.find(_END) + len(_END)
        head, rest = self._piece[:end], self._piece[end:]
        if rest != body or not head.endswith(_END) or len(head) > MAX_BYTES:
            return
        self._kept.pop(head, None)
        if len(self._kept) >= MAX_HEADS:
            del self._kept[next(iter(self._kept))]
        self._kept[head] = _Kept(len(body), self._clock() + KEPT_S, answer)

    def take(self, piece: bytes) -> bool:
        """Answer one whole request, now or later; False when it has to go the long way."""
        if not self._kept:
            return False
        end = piece.find(_END) + len(_END)
        kept = self._kept.get(piece[:end])
        if kept is None or len(piece) - end != kept.body_bytes or self._clock() > kept.until_s:
            return False
        answer = kept.answer(piece[end:], self._later)
        if isinstance(answer, bytes):
            self._write(answer)
        else:
            self._forget = answer
        return answer is not None

    def gone(self) -> None:
        """Owe nothing any more: nobody is there to take it."""
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()

    def _later(self, body: bytes) -> None:
        if self._forget is not None:
            self._forget = None
            self._write(body)


def keep_head(scope: Scope, body: bytes, answer: AnswerRepeat) -> None:
    """Let the head of this request be repeated, where the server can do that.

    Before its answer is sent: what comes after that is another request.
    """
    keep = scope.get(REPEATS)
    if keep is not None:
        keep(body, answer)
