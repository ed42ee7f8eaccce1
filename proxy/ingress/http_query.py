"""Query strings, strictly read: `name=value` pairs in the one spelling all readers agree on."""

import re
from urllib.parse import unquote_to_bytes

from proxy.errors import BadRequest

MAX_PAIRS = 200

# RFC 3986 section 3.4, with brackets, which many clients leave as they are; no semicolon, which
# some servers take for an ampersand.
_TEXT = rb"(?:[A-Za-z0-9._~!$'()*,:@/?+\[\]-]|%[0-9A-Fa-f]{2})"
_PAIR = re.compile(rb"(%b+)=((?:%b|=)*)" % (_TEXT, _TEXT))
_BREAKS = re.compile("[\x00\r\n]")


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """Return the decoded pairs in their order; a plus stands for a space.

    Raises BadRequest invalid-query: an empty pair or name, a name without `=`, characters that
    have to be escaped, escapes that are not UTF-8, NUL and line breaks, too many pairs.
    """
    if not query:
        return []
    parts = query.split(b"&")
    if len(parts) > MAX_PAIRS:
        raise _invalid()
    pairs = []
    for part in parts:
        found = _PAIR.fullmatch(part)
        if found is None:
            raise _invalid()
        pairs.append((_decoded(found[1]), _decoded(found[2])))
    return pairs


def _decoded(text: bytes) -> str:
    try:
        plain = unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise _invalid() from None
    if _BREAKS.search(plain):
        raise _invalid()
    return plain


def _invalid() -> BadRequest:
    detail = "Send the query as name=value pairs of escaped UTF-8 text, without line breaks."
    return BadRequest("invalid-query", detail)
