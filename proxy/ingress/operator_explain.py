"""Why a decision was made, for operators: the long form of what the agent was told."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest, PolicyInvalid
from proxy.ingress.openapi import FLAG, TEXT, TIME, many, maybe, record
from proxy.ingress.operator_requests import query_of
from proxy.model.decision import Verdict
from proxy.model.session import Operator
from proxy.pdp.review.explain import WORDS, Explanation

Explain = Callable[[str], Awaitable[Explanation | None]]

EXPLAINED = record(
    decision_id=TEXT,
    at=TIME,
    tenant=TEXT,
    agent=TEXT,
    tool=TEXT,
    verdict={"enum": [str(verdict) for verdict in Verdict]},
    revision=TEXT,
    fired=many(
        record(
            rule=TEXT,
            said={"enum": list(WORDS.values())},
            reason=TEXT,
            message=TEXT,
            places=many(TEXT),
            looked_at=many(record(path=TEXT, value=maybe(TEXT), is_masked=FLAG)),
        )
    ),
    note=TEXT,
)

# As the gateway makes them: a log of gigabytes is read for no other text.
_DECISION = re.compile(r"dec_[A-Za-z0-9_-]{24}")
_ABSENT = "The decision log has no such decision; it may be off (policy.log), or the file is gone."
_BROKEN = "The decision cannot be explained now; try `detent policy explain` with its policies."


class ExplainRoutes:
    """The request for one explanation; without `explain` there is no decision log."""

    def __init__(self, explain: Explain | None) -> None:
        self._explain = explain

    async def explanation(self, operator: Operator, request: Request) -> Response:
        """Tell which rules made a decision, where they stand, and what they looked at.

        They are asked again under the policy in force; `note` says when that decides otherwise.
        """
        query_of(request)
        try:
            found = await self._found(request.path_params["decision"])
        except PolicyInvalid as error:
            raise BadRequest("not-explained", _BROKEN, 503) from error
        if not found or not operator.covers(found.tenant):
            raise BadRequest("not-found", _ABSENT, 404)
        return JSONResponse(asdict(found))

    async def _found(self, decision: str) -> Explanation | None:
        is_one = _DECISION.fullmatch(decision)
        return await self._explain(decision) if self._explain and is_one else None
