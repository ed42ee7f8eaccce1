"""What operators see and change of the policy in force: status, promotion, rollback, the archive.

The archive is served as it was signed, with its digest as ETag (RFC 9110, section 8.8.3): other
gateways and other OPAs pull it from here, under a role that gives nothing else.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest, PolicyInvalid, PolicyUndelivered
from proxy.ingress.operator_access import Access
from proxy.ingress.operator_requests import members_of, query_of, reason_of
from proxy.model.kill import GLOBAL, Scope
from proxy.model.session import Operator

MAX_DETAIL_CHARS = 4_000
MAX_REVISION_CHARS = 200

_NOT_HERE = "This gateway has no policy that operators change here."
_NO_ARCHIVE = "The policy in force did not come as a signed bundle; see policy.bundle."
_BEFORE = "Name the revision before this one, as GET /v1/policy tells it, or none."
_REVISION = "Name the candidate's revision, as GET /v1/policy tells it."

Record = Callable[[Operator, str, str, Scope], Awaitable[None]]


class LivePolicyPort(Protocol):
    """The policy in force."""

    async def status(self) -> dict[str, Any]:
        """Return what is in force here, and what became of others."""
        ...

    async def promote(self, revision: str) -> str:
        """Serve the candidate; return its revision. Raises PolicyError."""
        ...

    async def rollback(self, revision: str = "") -> str:
        """Serve what was in force before; return its revision. Raises PolicyError."""
        ...

    def signed(self) -> bytes:
        """Return the last good archive as it was signed, nothing if there is none."""
        ...


class PolicyRoutes:
    """The requests; `record` writes each change down before it is made."""

    def __init__(self, live: LivePolicyPort | None, access: Access, record: Record) -> None:
        self._given = live
        self._access = access
        self._record = record

    async def status(self, operator: Operator, request: Request) -> Response:
        """Tell which policy this replica decides by, and what became of others."""
        del operator  # revisions are no tenant's
        query_of(request)
        return JSONResponse(await self._live.status())

    async def bundle(self, operator: Operator, request: Request) -> Response:
        """Give the signed archive of the policy in force, if it is another one."""
        del operator
        query_of(request)
        packed = self._live.signed()
        if not packed:
            raise BadRequest("no-signed-bundle", _NO_ARCHIVE, 404)
        tag = f'"{await asyncio.to_thread(_digest, packed)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(packed, media_type="application/gzip", headers={"etag": tag})

    async def promote(self, operator: Operator, request: Request) -> Response:
        """Decide by the candidate from now on."""
        members = await self._members(operator, request, frozenset({"reason", "revision"}))
        revision = members.get("revision")
        if not isinstance(revision, str) or not 0 < len(revision) <= MAX_REVISION_CHARS:
            raise BadRequest("revision-required", _REVISION)
        reason = reason_of(members, required=False)
        live = self._live
        await self._record(operator, "promote-policy", reason, GLOBAL)
        return await changed(live.promote(revision))

    async def rollback(self, operator: Operator, request: Request) -> Response:
        """Decide by the policy before this one from now on."""
        members = await self._members(operator, request, frozenset({"reason", "revision"}))
        revision = members.get("revision", "")
        if not isinstance(revision, str) or len(revision) > MAX_REVISION_CHARS:
            raise BadRequest("revision-required", _BEFORE)
        reason = reason_of(members, required=False)
        live = self._live
        await self._record(operator, "rollback-policy", reason, GLOBAL)
        return await changed(live.rollback(revision))

    @property
    def _live(self) -> LivePolicyPort:
        if self._given is None:
            raise BadRequest("not-here", _NOT_HERE, 404)
        return self._given

    async def _members(
        self, operator: Operator, request: Request, known: frozenset[str]
    ) -> dict[str, Any]:
        query_of(request)
        members = await members_of(request, known)
        await self._access.require(operator, GLOBAL)
        return members


async def changed(change: Awaitable[str]) -> Response:
    """Answer a change of the policy: the revision that decides now, or why it is none.

    Raises BadRequest: 422 for what is refused, 503 for what cannot be had.
    """
    try:
        revision = await change
    except PolicyInvalid as error:
        detail = str(error)[:MAX_DETAIL_CHARS] or "The policy is refused; the log says why."
        raise BadRequest("policy-invalid", detail, 422) from None
    except PolicyUndelivered as error:
        raise BadRequest("policy-undelivered", str(error)[:MAX_DETAIL_CHARS], 503) from None
    return JSONResponse({"policy_revision": revision})


def _digest(packed: bytes) -> str:
    return hashlib.sha256(packed).hexdigest()
