"""Masking: live secrets and token shapes never reach a log line, in any usual encoding."""

import base64
import json
import re
from collections.abc import Iterable
from itertools import chain

MASK = "[masked]"
MIN_SECRET_CHARS = 8

# Every shape consumes what it scans, so a hostile text costs linear time.
_SHAPES = (
    (re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END)[\s\S])*+"), MASK),
    (re.compile(r"dt[aosx]_[A-Za-z0-9_-]{12,}+"), MASK),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]{12,}+"), MASK),
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,4}"), MASK),
    (re.compile(r"(?i)\b(bearer|dpop)\s++[A-Za-z0-9._~+/=-]{8,}+"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)\b(authorization|cookie|set-cookie|x-api-key)"
            r"(\\?[\"']?\s{0,4}[:=,]\s{0,4}b?\\?[\"']?)[^\r\n\"']++"
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"://[^\s/@]++(?=@)"), f"://{MASK}"),
)
# Most texts hold none of the shapes; one look tells.
_HINTS = (
    "dta_",
    "dto_",
    "dts_",
    "dtx_",
    "whsec_",
    "eyj",
    "private key",
    "bearer",
    "dpop",
    "authorization",
    "cookie",
    "x-api-key",
    "://",
)


class Masker:
    """Replaces secrets by `[masked]`: those it was given, and everything shaped like a token.

    A given secret is found in plain, URL-encoded (any mix of encoded characters), base64 (all three
    alignments, both alphabets), hex, JSON-escaped and `repr` form; of a secret with several lines
    each longer line is one. Raises ValueError for a secret under 8 characters: masking it would
    blank out common words and still not hide it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._encoded: tuple[re.Pattern[str], ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Mask this secret from now on. Raises ValueError when it has fewer than 8 characters."""
        if len(secret.strip()) < MIN_SECRET_CHARS:
            raise ValueError("a secret needs at least 8 characters; take a longer one")
        lines = {secret, *map(str.strip, secret.splitlines())}
        parts = [line for line in lines if len(line) >= MIN_SECRET_CHARS]
        forms = {*self._forms, *chain.from_iterable(map(_forms, parts))}
        # Assigned whole: another thread may be masking right now.
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._encoded = (*self._encoded, *map(_encoded, parts))

    def mask(self, text: str) -> str:
        """Return the text without secrets."""
        if len(text) < MIN_SECRET_CHARS:
            return text
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        if "%" in text:
            for pattern in self._encoded:
                text = pattern.sub(MASK, text)
        lowered = text.lower()
        if any(hint in lowered for hint in _HINTS):
            for shape, replacement in _SHAPES:
                text = shape.sub(replacement, text)
        return text


def _encoded(secret: str) -> re.Pattern[str]:
    """Match the secret with any of its characters percent-encoded, once or more often."""
    return re.compile("".join(map(_percent_or_plain, secret)))


def _percent_or_plain(char: str) -> str:
    encoded = "".join(f"%(?:25)*{octet:02X}" for octet in char.encode("utf-8", "surrogatepass"))
    plain = r" |\+" if char == " " else re.escape(char)
    return f"(?:{plain}|(?i:{encoded}))"


def _forms(secret: str) -> Iterable[str]:
    """Yield the secret as it may stand in a text; of base64 the part no neighbour changes."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        core = encoded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")
