"""Takes out of a JSON document what must not be shown, and nothing else where that can be told."""

import json
import re
from collections.abc import Callable, Collection
from typing import Any

REDACTED = "[redacted]"

# A word ends where no encoding of a secret would: base64, percent and HTML escapes are inside one.
_WORD = re.compile(r"[^\s\"'<>,(){}\[\]]+")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

Is = Callable[[str], bool]


def redacted(document: bytes, secrets: Collection[str], shows: Is) -> bytes:
    """Return the document without what `shows` says yes to, in strings, keys and numbers.

    `secrets` are replaced where they stand plain; otherwise the word goes, otherwise the whole
    string. Raises ValueError when the document is not JSON, or still shows something: a secret may
    be spread over several strings.
    """
    try:
        clean = _clean(json.loads(document), secrets, shows)
        raw = _ENCODER.encode(clean).encode()
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    if shows(raw.decode()):
        raise ValueError("it is spread over several strings")
    return raw


def without_texts(document: bytes, texts: Collection[str]) -> bytes:
    """Return the document with each of these strings redacted whole. Raises ValueError."""
    known = frozenset(filter(None, texts))
    return redacted(document, (), known.__contains__)


def _clean(value: Any, secrets: Collection[str], shows: Is) -> Any:
    if isinstance(value, dict):
        members = value.items()
        return {_text(key, secrets, shows): _clean(one, secrets, shows) for key, one in members}
    if isinstance(value, list):
        return [_clean(one, secrets, shows) for one in value]
    if isinstance(value, str):
        return _text(value, secrets, shows)
    if isinstance(value, int | float) and shows(str(value)):
        return REDACTED
    return value


def _text(text: str, secrets: Collection[str], shows: Is) -> str:
    if not shows(text):
        return text
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    if shows(text):
        text = _WORD.sub(lambda word: REDACTED if shows(word[0]) else word[0], text)
    return REDACTED if shows(text) else text
