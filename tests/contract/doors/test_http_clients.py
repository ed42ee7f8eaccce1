"""Ordinary REST clients against the agents' port, served as the gateway serves it.

However a client spells a request, it becomes the same canonical call.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import httpx
import httpx2
import pytest

from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from tests.harness.agents_port import AgentsPort
from tests.harness.doors import TOKEN

TEXT = {"type": "string"}
PROPERTIES = {
    "user": TEXT,
    "q": TEXT,
    "tags": {"type": "array", "items": TEXT},
    "n": {"type": "integer"},
    "row": {},
    "If-Match": TEXT,
}
BINDING = HttpBinding(
    "PUT",
    "/users/{user}",
    query=("q", "tags", "n"),
    body=("row",),
    headers=("If-Match",),
    input_schema=json.dumps({"type": "object", "properties": PROPERTIES}).encode(),
)
WRITE = {("rec", "write"): ToolManifest("rec", "write", Effect.WRITE, http=BINDING)}
USERS = ["bob", "J\u00fcrgen M\u00fcller", "a+b", "100%", "a?b#c", "\u4e16\u754c", "a&b=c", "~*'()"]
HEADERS = {"Authorization": f"Bearer {TOKEN}", "If-Match": '"v1"', "X-Own": "x"}
BODY = '{"row":{"\u00e9":[1.5,null]}}'.encode()


@dataclass(frozen=True)
class Told:
    """What a client understood."""

    status: int
    content_type: str
    body: bytes


Params = Mapping[str, str | list[str]]
Client = Callable[[str, Params], Coroutine[Any, Any, Told]]


async def by_httpx(url: str, params: Params) -> Told:
    headers = HEADERS | {"Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as http:
        got = await http.put(url, params=params, content=BODY, headers=headers)
    return Told(got.status_code, got.headers["content-type"], got.content)


async def by_httpx2(url: str, params: Params) -> Told:
    headers = HEADERS | {"Content-Type": "application/json"}
    async with httpx2.AsyncClient(trust_env=False) as http:
        got = await http.put(url, params=params, content=BODY, headers=headers)
    return Told(got.status_code, got.headers["content-type"], got.content)


async def by_aiohttp(url: str, params: Params) -> Told:
    pairs = [(name, one) for name, value in params.items() for one in _several(value)]
    headers = HEADERS | {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.put(url, params=pairs, data=BODY, headers=headers) as got,
    ):
        return Told(got.status, got.headers["content-type"], await got.read())


async def by_urllib(url: str, params: Params) -> Told:
    def ask() -> Told:
        target = f"{url}?{urlencode(params, doseq=True)}"
        headers = HEADERS | {"Content-Type": "application/json"}
        request = urllib.request.Request(target, BODY, headers, method="PUT")  # noqa: S310 loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as got:
            return Told(got.status, got.headers["content-type"], got.read())

    return await asyncio.to_thread(ask)


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


CLIENTS: dict[str, Client] = {
    "httpx": by_httpx,
    "httpx2": by_httpx2,
    "aiohttp": by_aiohttp,
    "urllib": by_urllib,
}


def created(_: ToolCall) -> Answer:
    raw = b'{"status":201,"content_type":"application/json","body":{"n": 1.0}}'
    return Answer("stp_1", "allow", (), Outcome.DONE, result=raw, decision_id="dec_1")


@pytest.fixture
def port(agents_port: AgentsPort) -> AgentsPort:
    agents_port.gate.http_tools = WRITE
    agents_port.gate.answer = created
    return agents_port


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("user", USERS)
async def test_every_client_makes_the_same_call(
    port: AgentsPort, client: Client, user: str
) -> None:
    """Spaces as plus or escape, escapes in capitals or not, reserved characters raw or not."""
    params: Params = {"q": f"{user} & {user}", "tags": ["a b", user], "n": "7"}
    told = await client(f"{port.url}/http/rec/users/{quote(user, safe='')}", params)
    assert told == Told(201, "application/json", b'{"n": 1.0}')
    (call,) = port.gate.calls
    assert json.loads(call.arguments) == {
        "user": user,
        "q": f"{user} & {user}",
        "tags": ["a b", user],
        "n": 7,
        "row": {"\u00e9": [1.5, None]},
        "If-Match": '"v1"',
    }


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_client_that_hangs_up_does_not_stop_its_call(
    port: AgentsPort, client: Client
) -> None:
    """What has begun is settled, and can be asked for again under its key."""
    port.gate.hold = asyncio.Event()
    asking = asyncio.create_task(client(f"{port.url}/http/rec/users/bob", {}))
    async with asyncio.timeout(5):
        while not port.gate.calls:
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.sleep(0.1)
    port.gate.hold.set()
    await asyncio.gather(asking, return_exceptions=True)
    assert port.gate.cancelled == []
