"""The `remote` engine: an OPA that others run, through opa-python-client's asynchronous client.

The client keeps the session, the TLS settings and the token; each query is one request without a
retry. Its own `query_rule` is not used: it would parse the body and write another, and read an
answer of any size.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import aiohttp
from opa_client.opa_async import AsyncOpaClient

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.answer import MAX_ANSWER_BYTES, QUERY, OtherRevision, parse_answer
from proxy.pdp.base import DECISION_PATH, PATHS, QueryAnswer, StagedBundle, nothing

START_DEADLINE_S = 5.0
CLIENT_TIMEOUT_S = 60.0  # a bound behind the deadline of each query


class _Client(AsyncOpaClient):  # type: ignore[misc]  # the library has no types
    """The client, with the one request we make of it."""

    async def open(self) -> None:
        await self._init_session()

    def evaluate(self, path: str, body: bytes) -> AbstractAsyncContextManager[Any]:
        request: AbstractAsyncContextManager[Any] = self._request(
            "POST",
            f"{self.root_url}/data/{path}?{QUERY}",
            data=body,
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            allow_redirects=False,
        )
        return request


class RemoteOpa:
    """Asks one OPA at `host`:`port`, over TLS unless told otherwise.

    `token` is sent as a bearer token. `client_certificate` is a PEM file with certificate and key.
    """

    def __init__(
        self,
        host: str,
        port: int = 8181,
        *,
        tls: bool = True,
        token: str | None = None,
        client_certificate: str | None = None,
    ) -> None:
        self._client = _Client(
            host=host,
            port=port,
            ssl=tls,
            cert=client_certificate,
            token=token,
            retries=0,
            timeout=CLIENT_TIMEOUT_S,
        )
        self._revision = ""

    async def start(self, bundle: StagedBundle) -> None:
        """Check that it serves exactly this bundle. Raises PolicyInvalid, PolicyUnavailable."""
        await self._client.open()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            await self.replace(bundle)
            undo.pop_all()

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Expect this bundle from now on, if it is the one served; else the old one.

        Raises PolicyInvalid, PolicyUnavailable.
        """
        try:
            await self._ask(DECISION_PATH, b'{"input":{}}', START_DEADLINE_S, bundle.revision)
        except OtherRevision as error:
            raise PolicyInvalid(f"{error}; load this bundle into that OPA first") from error
        self._revision = bundle.revision
        swapped()

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Ask once. Raises PolicyUnavailable."""
        return await self._ask(path, body, deadline_s, self._revision)

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.close_connection()

    async def _ask(self, path: str, body: bytes, deadline_s: float, revision: str) -> QueryAnswer:
        if path not in PATHS:
            raise PolicyUnavailable(f"{path!r} is not a path of the decision point")
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._client.evaluate(path, body) as response,
            ):
                answer = await _read(response)
                return parse_answer(response.status, answer, revision)
        except TimeoutError as error:
            raise PolicyUnavailable(f"OPA did not answer within {deadline_s} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PolicyUnavailable(f"OPA cannot be asked: {type(error).__name__}") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, or a little more than may be answered of a larger one."""
    body = b""
    while len(body) <= MAX_ANSWER_BYTES and (chunk := await response.content.readany()):
        body += chunk
    if len(body) > MAX_ANSWER_BYTES:
        response.close()
    return body
