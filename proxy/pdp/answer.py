"""OPA's answer to a data query, read strictly: `{"provenance": …, "result": …}`.

OPA REST API, "Get a Document (with Input)" with `provenance=true&strict-builtin-errors=true`.
"""

from typing import Any

import jiter

from proxy.errors import PolicyUnavailable
from proxy.pdp.base import QueryAnswer

OK = 200
MAX_ANSWER_BYTES = 64 * 1024
QUERY = "provenance=true&strict-builtin-errors=true"


class OtherRevision(PolicyUnavailable):
    """OPA serves other policies than those asked for."""


def parse_answer(status: int, body: bytes, revision: str) -> QueryAnswer:
    """Return the result, None when the rule is undefined. Raises PolicyUnavailable.

    Refused: any status but 200, more than MAX_ANSWER_BYTES, JSON with duplicate keys, NaN or bytes
    that are not UTF-8, and an answer by other policies than those of `revision`.
    """
    if status != OK:
        raise PolicyUnavailable(f"OPA answered with status {status}")
    if len(body) > MAX_ANSWER_BYTES:
        raise PolicyUnavailable(f"OPA answered with more than {MAX_ANSWER_BYTES} bytes")
    try:
        answer = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise PolicyUnavailable("OPA answered with something that is not JSON") from error
    served = _revisions(answer)
    if revision not in served:
        raise OtherRevision(f"OPA serves {sorted(served)}, not policy revision {revision}")
    return QueryAnswer(answer.get("result"), revision)


def _revisions(answer: Any) -> set[str]:
    """Return the revision of every bundle that took part, as OPA's provenance tells."""
    try:
        bundles = answer["provenance"]["bundles"].values()
        return {str(bundle["revision"]) for bundle in bundles} - {""}
    except (AttributeError, KeyError, TypeError):
        return set()
