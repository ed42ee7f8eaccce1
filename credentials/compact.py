"""The parts of a signed JWT in compact form (RFC 7515 section 7.1), read strictly."""

from typing import Any

import jiter

from credentials import base64url

MAX_TOKEN_BYTES = 8192
PARTS = 3


def json_object(part: str) -> dict[str, Any]:
    """Read a part that holds a JSON object. Raises ValueError, also for a member given twice."""
    # No cache: strings of strangers must not stay in a cache of the whole process.
    parsed = jiter.from_json(
        base64url.decode(part), allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True
    )
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what came is a value, not a type
    return parsed
