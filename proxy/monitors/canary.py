"""Canaries: tokens nothing honest ever touches, looked for in every call and every result.

A canary is a tripwire, not data-loss prevention: an agent that encrypts or rewrites the token in a
way not listed at `CanaryMonitor` is not seen.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.model.call import ToolCall
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.monitors.encodings import base64_forms, layers, normal
from proxy.monitors.shown import shown_texts

# Printable ASCII but what starts or ends an escape: taking one encoding layer too many off a text
# can then never take a token apart.
_TOKEN = re.compile(r"[!#$&-\[\]-~]{12,256}")


@dataclass(frozen=True, slots=True)
class Canary:
    """A token planted where only an intruder looks. `name` is told to people, `token` never.

    Raises ValueError unless the token is 12 to 256 printable ASCII characters without space, `"`,
    `%` and backslash; a shorter one would turn up by chance.
    """

    name: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.name or _TOKEN.fullmatch(self.token) is None:
            raise ValueError(
                "a canary needs a name and a token of 12 to 256 printable ASCII characters "
                'without space, ", % and backslash'
            )


class CanaryMonitor:
    """Finds canaries in arguments and results, in keys, strings and numbers.

    Seen are: plain in any case, URL-encoded, JSON-escaped and as HTML numeric references up to four
    times in any order, base64 (all three alignments, both alphabets, with or without padding,
    wrapped), hex, and a token split over the text items of one result. One search a form over one
    text: linear in both sizes.
    Raises ValueError when two canaries share a name.
    """

    def __init__(self, canaries: Iterable[Canary]) -> None:
        known = tuple(canaries)
        if len({canary.name for canary in known}) < len(known):
            raise ValueError("two canaries share a name")
        self._folded = [
            (form, canary.name) for canary in known for form in _folded_forms(canary.token)
        ]
        self._exact = [
            (form, canary.name) for canary in known for form in base64_forms(canary.token.encode())
        ]

    def on_call(self, call: ToolCall) -> Finding | None:
        """Look at everything of a call that a tool receives, and at the idempotency key."""
        answers = call.round.responses if call.round else b""
        key = (call.idempotency_key or "").encode()
        said = b"\0".join((call.arguments, call.extras, call.meta, answers, key))
        return self._look(said, "The arguments of a call")

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        """Look at the JSON of a tool's answer, and at its text items read as one."""
        del call  # every result is looked at alike
        where = "The result of a call"
        return self._look(result, where) or self._look(_shown(result), where)

    def _look(self, text: bytes, where: str) -> Finding | None:
        for layer in layers(text) if self._folded else ():
            if name := self._touched(layer):
                return Finding(
                    monitor="canary",
                    severity=Severity.CRITICAL,
                    action=FindingAction.DENY_AND_LOCK,
                    subject=name,
                    message=f"{where} touched the canary {name}.",
                )
        return None

    def _touched(self, text: bytes) -> str | None:
        exact = normal(text)
        for form, name in self._exact:
            if form in exact:
                return name
        folded = exact.lower()
        return next((name for form, name in self._folded if form in folded), None)


def _folded_forms(token: str) -> tuple[str, ...]:
    """Return the forms that are found in any case."""
    raw = token.encode()
    return normal(raw).lower(), raw.hex()


def _shown(result: bytes) -> bytes:
    """Return the text items of a result in a row, nothing when there are not several."""
    texts = shown_texts(result)
    return "".join(texts).encode("utf-8", "replace") if len(texts) > 1 else b""
