"""Headers that two readers cannot understand differently (RFC 9110 section 5, RFC 9112 section 6).

The parser refuses most of what smuggles; here is what it lets through.
"""

from collections.abc import Mapping
from itertools import chain

from starlette.types import Scope

from proxy.errors import BadRequest

_VERSIONS = frozenset({"1.0", "1.1"})
_LISTS = frozenset(
    {
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"baggage",
        b"cache-control",
        b"connection",
        b"forwarded",
        b"pragma",
        b"te",
        b"tracestate",
        b"via",
        b"x-forwarded-for",
    }
)  # each line adds to the one before; we read none of them but Accept


def headers_of(scope: Scope, max_headers: int, max_bytes: int) -> dict[bytes, str]:
    """Return the headers by name. Refused: too many, too large, not ASCII, twice what is no list.

    Raises BadRequest.
    """
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    if len(fields) > max_headers or sum(map(len, chain.from_iterable(fields))) > max_bytes:
        raise BadRequest("headers-too-large", "The request has too many or too long headers.", 431)
    try:
        found = {name: str(value, "ascii") for name, value in fields}
    except UnicodeDecodeError:
        raise BadRequest("header-not-ascii", "Header values must be ASCII.") from None
    if len(found) < len(fields) and not _LISTS.issuperset(_repeated(fields)):
        raise BadRequest("duplicate-header", "A header that must be single was sent twice.")
    return found


def _repeated(fields: list[tuple[bytes, bytes]]) -> set[bytes]:
    names = [name for name, _ in fields]
    return {name for name in names if names.count(name) > 1}


def check_framing(scope: Scope, headers: Mapping[bytes, str]) -> None:
    """Refuse bodies whose end is a matter of opinion. Raises BadRequest.

    `chunked` is the only transfer coding, and HTTP/1.0 has none (RFC 9112 section 6.1). The parser
    would take any list that ends in `chunked` and leave the other codings undone.
    """
    version = scope["http_version"]
    if version not in _VERSIONS:
        raise BadRequest("unsupported-version", "Speak HTTP/1.1.", 505)
    coding = headers.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != "chunked" or version != "1.1"):
        raise BadRequest("invalid-transfer-encoding", "The only transfer coding is chunked.")
