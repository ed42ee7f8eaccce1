"""Paths whose segments are data: everything below `/http/`.

Such a path may carry escapes (RFC 3986 section 2.1), decoded once and segment by segment. What
some reader could take for structure is refused here, so that no two of them disagree.
"""

import re

from proxy.errors import BadRequest
from proxy.model.route import has_structure, is_dots

MAX_PATH_BYTES = 4_096

_RAW = re.compile(rb"(?:/(?:[A-Za-z0-9._~@:!$'()*,+&=-]|%[0-9A-Fa-f]{2})*)+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def segments_of(raw_path: bytes) -> tuple[str, ...]:
    """Return the decoded segments of a path as it was sent, without the slash it begins with.

    Only the last one may be empty. Raises BadRequest: invalid-path, path-too-long.
    """
    if len(raw_path) > MAX_PATH_BYTES:
        raise BadRequest("path-too-long", "The path is too long.", 414)
    if _RAW.fullmatch(raw_path) is None:
        raise _invalid()
    *first, last = (_decoded(segment) for segment in raw_path[1:].split(b"/"))
    whole = (*first, last) if last else tuple(first)
    if any(is_dots(segment) or has_structure(segment) for segment in whole):
        raise _invalid()
    return (*first, last)


def _decoded(segment: bytes) -> str:
    plain = _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), segment)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise _invalid() from None


def _invalid() -> BadRequest:
    detail = "Escapes stand for UTF-8 text inside one segment: no slash, dots, control or escape."
    return BadRequest("invalid-path", detail)
