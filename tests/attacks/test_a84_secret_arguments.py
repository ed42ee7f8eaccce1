"""A84: arguments with personal data and secrets, and everything of Detent that people read.

A field that the tool's schema calls secret (`writeOnly`, `format: password`) reaches the tool and
nobody else; hashes stay, so that a call can be recognised.
"""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import TEXT, World, http_tool

CARD, PASSWORD, NOTE = "4929-1234-5678-9012", "correct horse battery", "for the garden"
ARGUMENTS = {
    "card": CARD,
    "to": NOTE,
    "login": {"user": "ada", "password": PASSWORD},
    "text": "x",
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "card": TEXT | {"writeOnly": True},
        "to": TEXT,
        "text": TEXT,
        "login": {
            "type": "object",
            "properties": {"user": TEXT, "password": TEXT | {"format": "password"}},
        },
    },
}
PLACED = {"body": list(SCHEMA["properties"]), "input_schema": SCHEMA}  # type: ignore[call-overload]  # a dict
READABLE = [
    "/v1/approvals?state=any",
    "/v1/decisions",
    "/v1/sessions",
    "/v1/intents?state=unknown",
    "/v1/findings",
    "/killswitch",
    "/metrics",
]


@pytest.fixture
async def alerted(world: World) -> AsyncIterator[Recorder]:
    """Where alerts go."""
    receiver = await Recorder().start()
    world.environ["HOOK"] = "whsec_" + base64.b64encode(b"s" * 32).decode()
    hook = {"url": f"{receiver.url}/alerts", "secret": {"env": "HOOK"}}
    world.settings = {"alerts": [{"webhook": hook}]}
    world.tools["rec"]["pay"] = http_tool("POST", "/pay", "irreversible", **PLACED)
    world.tools["rec"]["charge"] = http_tool("POST", "/charge", "write", **PLACED)
    yield receiver
    await receiver.stop()


async def text_of(gateway: Gateway, path: str) -> str:
    """Return a document of the operators' port as it comes."""
    headers = {"Authorization": f"Bearer {gateway.world.operator_token}"}
    async with gateway.http.get(gateway.operators + path, headers=headers) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def everything_read(gateway: Gateway, alerted: Recorder) -> dict[str, str]:
    """Return all that people can read, by where."""
    found = {path: await text_of(gateway, path) for path in READABLE}
    for session in json.loads(found["/v1/sessions"])["sessions"]:
        path = f"/v1/chains/{session['id']}"
        found[path] = await text_of(gateway, path)
    for approval in json.loads(found[READABLE[0]])["approvals"]:
        path = f"/v1/approvals/{approval['id']}"
        found[path] = await text_of(gateway, path)
    async with asyncio.timeout(10):
        while not alerted.received:
            await asyncio.sleep(0.05)
    alerts = b"".join(one.body for one in alerted.received).decode()
    return found | {"log": gateway.text, "alerts": alerts}


async def test_a84_secret_fields_are_seen_by_the_tool_alone(
    world: World, recorder: Recorder, alerted: Recorder
) -> None:
    """A held and approved call, one that is done, one that fails: no secret, and every hash."""
    async with Gateway(world) as gateway:
        _, held = await gateway.call("pay", ARGUMENTS)
        approval = f"/v1/approvals/{held['approval']['id']}"
        status, shown = await gateway.operate("POST", approval + "/approve", {"reason": "ok"})
        assert status == 200
        assert (await gateway.call("pay", ARGUMENTS))[0] == 200
        recorder.status = 400
        assert (await gateway.call("charge", ARGUMENTS))[1]["outcome"] == "failed"
        assert (await gateway.call("charge", ARGUMENTS | {"text": 1}))[0] == 400
        read = await everything_read(gateway, alerted)
    assert recorder.bodies() == [ARGUMENTS, ARGUMENTS]
    for where, text in read.items():
        assert CARD not in text, where
        assert PASSWORD not in text, where
    request = json.loads(shown["request"]["json"])["arguments"]
    assert request == hidden()
    assert shown["request"]["sha256"] in read["/v1/decisions"]
    assert NOTE in read[approval]


def hidden() -> dict[str, Any]:
    """Return the arguments as people may read them."""
    login = {"user": "ada", "password": "[redacted]"}
    return ARGUMENTS | {"card": "[redacted]", "login": login}


async def test_a84_an_approval_keeps_no_secret_in_the_ledger(
    world: World, alerted: Recorder, recorder: Recorder
) -> None:
    """Not only is it not shown: what an operator is asked was never written down whole."""
    del alerted
    async with Gateway(world) as gateway:
        await gateway.call("pay", ARGUMENTS)
    with closing(sqlite3.connect(world.database)) as ledger:
        rows = ledger.execute("SELECT request FROM approvals").fetchall()
    assert [json.loads(request)["arguments"] for (request,) in rows] == [hidden()]
    assert recorder.received == []
