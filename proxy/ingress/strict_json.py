"""The one strict JSON parser of the agents' plane (RFC 8259, I-JSON numbers of RFC 7493).

What two readers could understand differently is refused: duplicate keys, numbers a double cannot
hold, text that is not plain UTF-8, NUL. Refusals never repeat the input.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jiter import LosslessFloat, from_json

from proxy.errors import BadRequest

MAX_SAFE_INTEGER = 2**53 - 1


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How large a document may be. An element is a member of an object or an item of an array."""

    max_depth: int = 64
    max_elements: int = 50_000
    max_string_chars: int = 1_048_576
    max_key_chars: int = 1_024


DEFAULT_LIMITS = JsonLimits()

_PARSE_ERROR = -32700
_DETAILS = {
    "duplicate-key": "An object has the same key twice; send every key once.",
    "not-json": "The body is not JSON (RFC 8259).",
    "not-utf8": "The body is not UTF-8 without byte order mark and surrogates.",
    "nul-character": "A string has a NUL character; leave it out.",
    "number-out-of-range": "A number does not fit a double exactly; send it as a string.",
    "too-deep": "The body is nested too deeply.",
    "too-large": "The body has too many elements or too long a string; send less at once.",
}
_JITER_SAYS = (
    ("Detected duplicate key", "duplicate-key"),
    ("recursion limit exceeded", "too-deep"),
    ("number out of range", "number-out-of-range"),
    ("invalid unicode code point", "not-utf8"),
    ("lone leading surrogate", "not-utf8"),
    ("unexpected end of hex escape", "not-utf8"),
)


def parse(raw: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Any:
    """Return the value of a JSON text: dict, list, str, int, float, bool or None.

    Every float is finite and within ±(2^53-1). Raises BadRequest with the codes of the table.
    """
    if not raw.isascii():
        _check_utf8(raw)
    if raw.count(b",") >= limits.max_elements and _elements(raw) > limits.max_elements:
        raise _refuse("too-large")
    try:
        value = from_json(
            raw,
            catch_duplicate_keys=True,
            allow_inf_nan=False,
            float_mode="lossless-float",
            cache_mode="keys",
        )
    except ValueError as error:
        raise _refuse(_code_of(str(error))) from None
    # Only an escape can make a NUL, and no text is longer than all of them.
    reads_texts = b"\\u0000" in raw or len(raw) > limits.max_string_chars
    return _Check(limits, reads_texts=reads_texts).checked(value, 1)


def _refuse(code: str) -> BadRequest:
    rpc_code = _PARSE_ERROR if code in ("not-json", "not-utf8") else -32600
    return BadRequest(code, _DETAILS[code], rpc_code=rpc_code)


def _code_of(message: str) -> str:
    return next((code for start, code in _JITER_SAYS if message.startswith(start)), "not-json")


def _check_utf8(raw: bytes) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _refuse("not-utf8") from None
    if text.startswith("\ufeff"):
        raise _refuse("not-utf8")


def _elements(raw: bytes) -> int:
    """Count elements from above without parsing: commas outside of strings, and one.

    Without escaped quotes, every second piece between quotes lies outside of strings.
    """
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2]).count(b",") + 1


class _Check:
    """The checks of one document. `reads_texts`: strings have to be looked at one by one."""

    def __init__(self, limits: JsonLimits, *, reads_texts: bool) -> None:
        self._limits = limits
        self._reads_texts = reads_texts

    def checked(self, value: Any, depth: int) -> Any:
        """Check a value in place and return it, floats made of their text."""
        kind = type(value)
        if kind is str:
            self._check_text(value)
        elif kind is dict or kind is list:
            self._check_members(value, depth)
        elif kind is int and not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise _refuse("number-out-of-range")
        elif kind is LosslessFloat:
            return _float_of(value)
        return value

    def _check_members(self, container: Any, depth: int) -> None:
        if depth > self._limits.max_depth:
            raise _refuse("too-deep")
        is_object = type(container) is dict
        if is_object:
            self._check_keys(container)
        for place, item in container.items() if is_object else enumerate(container):
            if type(item) is not str:
                container[place] = self.checked(item, depth + 1)
            elif self._reads_texts:
                self._check_text(item)

    def _check_keys(self, keys: Iterable[str]) -> None:
        if max(map(len, keys), default=0) > self._limits.max_key_chars:
            raise _refuse("too-large")
        if self._reads_texts and "\0" in "".join(keys):
            raise _refuse("nul-character")

    def _check_text(self, text: str) -> None:
        if "\0" in text:
            raise _refuse("nul-character")
        if len(text) > self._limits.max_string_chars:
            raise _refuse("too-large")


def _float_of(lossless: LosslessFloat) -> float:
    """Return the double nearest to a decimal text.

    Refused: beyond the safe integers, and texts that only rounding makes a whole number (1e-400,
    9007199254740990.9): a reader with more precision would see another value.
    """
    value = float(lossless)
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise _refuse("number-out-of-range")
    if value.is_integer() and not _is_exactly(bytes(lossless), value):
        raise _refuse("number-out-of-range")
    return value


def _is_exactly(text: bytes, value: float) -> bool:
    try:
        return Decimal(text.decode()) == value
    except ArithmeticError:
        return False
