"""Stand-ins for what a log must not show: of the same JSON type, and equal where the values were.

A rule that compares two arguments, or asks for the type of one, decides the same on them. A rule
that looks inside of a masked value may not; replaying tells which decisions that is true of.
"""

import hashlib
import hmac
import json
import re
from typing import Any

PREFIX = "masked-"
SHORT_CHARS = 64
MAX_CHARS = 4_096

_HASH_BYTES = 8
_NUMBER_BITS = 53  # every JSON reader holds such an integer exactly
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\Z")


class StandIns:
    """Makes stand-ins under one key (RFC 2104), without which no value can be guessed and tried."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, value: Any, *, names: bool = False) -> Any:
        """Return the stand-in of a JSON value; of lists and objects, that of every part.

        A text of more than SHORT_CHARS keeps its length up to MAX_CHARS; true and false become
        false; null stays. Names of members stay when they look like names, unless `names` are
        to be hidden too.
        """
        if isinstance(value, dict):
            return {
                self.of_text(name) if names or not _PLAIN_NAME.match(name) else name: self.of(
                    inner, names=names
                )
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self.of(inner, names=names) for inner in value]
        if isinstance(value, bool) or value is None:
            return None if value is None else False
        if isinstance(value, str):
            return self.of_text(value)
        return int.from_bytes(self._hashed(json.dumps(value))) >> (8 * _HASH_BYTES - _NUMBER_BITS)

    def of_text(self, text: str) -> str:
        """Return the stand-in of a text."""
        word = f"{PREFIX}{self._hashed(text).hex()}"
        return word.ljust(min(len(text), MAX_CHARS), "-") if len(text) > SHORT_CHARS else word

    def of_sha256(self, digest: str) -> str:
        """Return 64 hexadecimal digits: the hash of known text would tell what was masked."""
        return hmac.digest(self._key, digest.encode(), hashlib.sha256).hex()

    def _hashed(self, text: str) -> bytes:
        raw = text.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, raw, hashlib.sha256)[:_HASH_BYTES]
