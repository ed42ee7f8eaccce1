"""Canaries: tokens nothing honest ever touches, looked for in every call and every result.

A canary is a tripwire, not data-loss prevention: an agent that encrypts or rewrites the token in a
way not listed at `CanaryMonitor` is not seen.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from jiter import from_json

from proxy.model.call import ToolCall
from proxy.model.finding import Finding, FindingAction, Severity

LAYERS = 4

# Printable ASCII but what starts or ends an escape: taking one encoding layer too many off a text
# can then never take a token apart.
_TOKEN = re.compile(r"[!#$&-\[\]-~]{12,256}")

# Both base64 alphabets become one; white space, controls and everything beyond ASCII disappear,
# and with them line wrapping and invisible characters inside a token.
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_NOISE = bytes((*range(0x21), *range(0x7F, 0x100)))

# RFC 8259 section 7; control characters are noise here.
_ESCAPES = {ord('"'): b'"', ord("/"): b"/"} | dict.fromkeys(b"bfnrt", b" ")
_UNICODE = re.compile(rb"u[0-9A-Fa-f]{4}")
_MAX_ASCII = 0x7F


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

    Seen are: plain in any case, URL-encoded and JSON-escaped up to four times in any order, base64
    (all three alignments, both alphabets, with or without padding, wrapped), hex, and a token split
    over the text items of one result. One search a form over one text: linear in both sizes.
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
            (form, canary.name) for canary in known for form in _base64_forms(canary.token)
        ]

    def on_call(self, call: ToolCall) -> Finding | None:
        """Look at the canonical arguments and the idempotency key."""
        key = (call.idempotency_key or "").encode()
        return self._look(b"%b\0%b" % (call.arguments, key), "The arguments of a call")

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        """Look at the JSON of a tool's answer, and at its text items read as one."""
        del call  # every result is looked at alike
        where = "The result of a call"
        return self._look(result, where) or self._look(_joined_texts(result), where)

    def _look(self, text: bytes, where: str) -> Finding | None:
        for layer in _layers(text) if self._folded else ():
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
        exact = text.translate(_ONE_ALPHABET, _NOISE).decode("ascii")
        for form, name in self._exact:
            if form in exact:
                return name
        folded = exact.lower()
        return next((name for form, name in self._folded if form in folded), None)


def _folded_forms(token: str) -> tuple[str, ...]:
    """Return the forms that are found in any case."""
    raw = token.encode()
    return raw.translate(_ONE_ALPHABET).decode().lower(), raw.hex()


def _base64_forms(token: str) -> Iterator[str]:
    """Yield, for each alignment, the base64 characters no neighbour can change."""
    raw = token.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


def _layers(text: bytes) -> Iterator[bytes]:
    """Yield the text without its JSON escapes, then with layer after layer of encoding removed."""
    text = _unescaped(text)
    yield text
    for _ in range(LAYERS):
        before = text
        for decode in (unquote_to_bytes, _unescaped):
            plainer = decode(text)
            if plainer != text:
                text = plainer
                yield text
        if text == before:
            return


def _unescaped(text: bytes) -> bytes:
    """Resolve JSON escapes; what is no escape stays, what is not ASCII is dropped."""
    head, *tails = text.split(b"\\")
    resolved = [head]
    following = iter(tails)
    for tail in following:
        if not tail:  # an escaped backslash; what comes after the second one is plain
            resolved += (b"\\", next(following, b""))
        elif (plain := _ESCAPES.get(tail[0])) is not None:
            resolved += (plain, tail[1:])
        elif _UNICODE.match(tail):
            resolved += (_ascii(int(tail[1:5], 16)), tail[5:])
        else:
            resolved += (b"\\", tail)
    return b"".join(resolved)


def _ascii(code_point: int) -> bytes:
    return bytes((code_point,)) if code_point <= _MAX_ASCII else b""


def _joined_texts(result: bytes) -> bytes:
    """Return the texts of an MCP result's content in a row, nothing when it has not several."""
    try:
        document = from_json(result)
    except ValueError:
        return b""
    content = document.get("content") if isinstance(document, dict) else None
    texts = [*_texts(content)] if isinstance(content, list) else []
    return "".join(texts).encode("utf-8", "replace") if len(texts) > 1 else b""


def _texts(content: list[Any]) -> Iterator[str]:
    for item in filter(_is_object, content):
        for holder in filter(_is_object, (item, item.get("resource"))):
            if isinstance(holder.get("text"), str):
                yield holder["text"]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
