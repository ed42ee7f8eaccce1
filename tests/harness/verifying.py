"""A tool of tier A: a service that verifies the call token of every request."""

import json
from pathlib import Path
from typing import Any

import rfc8785
from aiohttp import web

from credentials.keys import KeyDirectory
from credentials.verify import InvalidToken, Verifier
from tests.harness.recorder import Recorder
from tests.harness.world import ECHO, http_tool

ISSUER = "https://detent.example"
AUDIENCE = "https://fenced.example"
CREDENTIAL = {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["rows:write"]}
TOOLS: dict[str, Any] = {
    "write": http_tool("POST", "/write", "write", credential=CREDENTIAL, **ECHO)
}


class Verifying(Recorder):
    """Does what it is asked with a good token; `refused` are the codes of the others.

    `keys` is the directory of the gateway's keys, which only has to exist by the first request.
    """

    def __init__(self, keys: Path) -> None:
        super().__init__()
        self.keys = keys
        self.refused: list[str] = []
        self._verifier: Verifier | None = None

    def settings(self) -> dict[str, Any]:
        """Return the broker as a gateway has it."""
        return {"jwt": {"jwt": {"issuer": ISSUER, "keys": str(self.keys)}}}

    async def _answer(self, request: web.Request) -> web.Response:
        if self._verifier is None:
            jwks = KeyDirectory.open(self.keys).jwks
            self._verifier = Verifier(jwks, ISSUER, AUDIENCE, lambda _: 0)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        canonical = rfc8785.dumps(json.loads(await request.read()))
        try:
            self._verifier.verify(token, tool="fenced/write", arguments=canonical)
        except InvalidToken as refused:
            self.refused.append(refused.code)
            return web.json_response({"error": "invalid_token"}, status=401)
        return await super()._answer(request)
