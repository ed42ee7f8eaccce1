"""OpenID AuthZEN 1.0 against the running gateway: our own calls, and its certification scenario."""

from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.tiny_bundle import write
from tests.harness.world import World

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
ADMIN = BOB | {"properties": {"role": "admin"}}
RECORD, ARCHIVED = (
    {"type": "record", "id": "record-1"},
    {"type": "record", "id": "record-2", "properties": {"status": "archived"}},
)
READ, WRITE = {"name": "read"}, {"name": "write"}
# Facts of the certification scenario for the Authorization API 1.0: who may do what.
FIXTURE: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], bool]] = [
    (ALICE, READ, RECORD, True),
    (ALICE, WRITE, RECORD, True),
    (BOB, READ, RECORD, True),
    (BOB, WRITE, RECORD, False),
    (ALICE, WRITE, ARCHIVED, False),
    (ADMIN, WRITE, ARCHIVED, True),
    (ALICE, {"name": "delete", "properties": {"soft": True}}, RECORD, True),
    (ALICE, {"name": "delete", "properties": {"soft": False}}, RECORD, False),
]
POLICY = """\
package detent.main

allowed(id) := {
	"verdict": "allow", "reasons": [{"id": id, "message": "Of the fixture."}],
	"obligations": [], "grant": null, "cost": {"risk": 0}, "labels": [],
}

default decision := {
	"verdict": "deny", "reasons": [{"id": "default-deny", "message": "No rule allows this."}],
	"obligations": [], "grant": null, "cost": {"risk": 0}, "labels": [],
}

decision := allowed("reads") if input.action.name == "read"

decision := allowed("alice-writes") if {
	input.action.name == "write"
	input.subject.id == "alice"
	object.get(input.resource.properties, "status", "active") == "active"
}

decision := allowed("admins-write") if {
	input.action.name == "write"
	input.subject.properties.role == "admin"
}

decision := allowed("soft-deletes") if {
	input.action.name == "delete"
	input.action.properties.soft == true
}

visible := []
"""


def of_tester(tool: str, **context: Any) -> dict[str, Any]:
    """Return the question whether the tester may call a tool of the recorder."""
    return {
        "subject": {"type": "agent", "id": "tester", "properties": {"tenant": "acme"}},
        "action": {"name": "tools/call"},
        "resource": {"type": "tool", "id": f"rec/{tool}"},
        "context": context,
    }


def entities(
    subject: dict[str, Any], action: dict[str, Any], resource: dict[str, Any]
) -> dict[str, Any]:
    """Return one request."""
    return {"subject": subject, "action": action, "resource": resource}


@pytest.mark.parametrize(
    ("tool", "arguments", "verdict"),
    [
        ("write", {"text": "hello"}, "allow"),
        ("read", {}, "allow"),
        ("drop", {"text": "all"}, "hold"),
        ("none", {}, "deny"),
        ("read", {"unknown": 1}, "deny"),
    ],
)
async def test_an_evaluation_says_what_the_call_then_gets(
    gateway: Gateway, recorder: Recorder, tool: str, arguments: dict[str, Any], verdict: str
) -> None:
    """The same verdict and reasons, and only the call has reached the tool."""
    status, answer = await gateway.operate("POST", ONE, of_tester(tool, arguments=arguments))
    assert status == 200
    assert (answer["context"]["verdict"], recorder.received) == (verdict, [])
    _, called = await gateway.call(tool, arguments)
    asked_ids = [why["id"] for why in answer["context"]["reasons"]]
    assert answer["decision"] is (verdict == "allow")
    assert asked_ids == [why["id"] for why in called["reasons"]][: len(asked_ids)]


async def test_a_kill_answers_for_everybody(gateway: Gateway) -> None:
    """Who enforces elsewhere is held by the same pull."""
    assert (await gateway.operate("POST", ONE, of_tester("read")))[1]["decision"] is True
    await gateway.operate("POST", "/killswitch?wait=5", {"scope": "agent:acme/tester"})
    answer = (await gateway.operate("POST", ONE, of_tester("read")))[1]
    assert answer["decision"] is False
    assert answer["context"]["reasons"][0]["id"] == "killed"


async def test_agents_cannot_ask(gateway: Gateway) -> None:
    """The operators' port knows no agents."""
    token = gateway.world.agent_token
    status, answer = await gateway.operate("POST", ONE, of_tester("read"), token=token)
    assert (status, answer["code"]) == (403, "agent-token")


async def test_a_policy_can_decide_for_others(world: World) -> None:
    """The fixture of the certification scenario, one by one and as a batch; properties count."""
    world.write()
    write(world.bundle, {"main.rego": POLICY})
    batch = {"evaluations": [entities(*row[:3]) for row in FIXTURE]}
    expected = [row[3] for row in FIXTURE]
    async with Gateway(world) as gateway:
        answers = [(await gateway.operate("POST", ONE, entities(*row[:3])))[1] for row in FIXTURE]
        assert [one["decision"] for one in answers] == expected
        status, answer = await gateway.operate("POST", MANY, batch)
    assert status == 200
    assert [one["decision"] for one in answer["evaluations"]] == expected
