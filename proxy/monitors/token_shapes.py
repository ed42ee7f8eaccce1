"""Detent's own tokens by their form, whoever they belong to: plain, in base64 and in hex."""

import base64
import re
from collections.abc import Iterator

from proxy.monitors.encodings import normal

TOKEN = re.compile(r"dt[aosx]_[A-Za-z0-9_-]{43}")

# How a token begins: plain, in hex, and in base64 at each alignment, where the characters around
# the prefix are those its neighbours leave open.
BEGINNINGS = (
    TOKEN.pattern,
    "6474(?:61|6[fF]|7[38])5[fF]",
    "ZHR[hvz4]X[0123yz]",
    "[2GWm]R0(?:YV|b1|c1|eF)[89]",
    "[159BFJNRVZdhlptx]kd(?:GF|G9|HN|Hh)f",
)

_HEX = re.compile(r"6474(?:61|6[fF]|7[38])5[fF][0-9A-Fa-f]{86}")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/]{62,}")


def tokens_in(text: bytes) -> Iterator[str]:
    """Yield every token in a text without escapes; linear in the text."""
    yield from TOKEN.findall(text.decode("utf-8", "replace"))
    exact = normal(text)
    for found in _HEX.findall(exact):
        yield from _decoded(bytes.fromhex(found))
    for run in _BASE64_RUN.findall(exact):
        for start in range(4):
            aligned = run[start:] + "A" * (-(len(run) - start) % 4)
            yield from _decoded(base64.b64decode(aligned))


def _decoded(raw: bytes) -> list[str]:
    return TOKEN.findall(raw.decode("latin-1"))
