"""A76: who may stop may not therefore let go on; a lift is somebody's, with a reason, on record.

The operators' port of a real gateway. One person with the role may lift: nothing asks for a second.
"""

from collections.abc import Callable

import pytest

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.gateway import Gateway
from tests.harness.standing import Standing
from tests.harness.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = ("kill", "view", "approve", "policy")
TOKENS = {role: new_token(TokenKind.OPERATOR) for role in (*ROLES, "lift")}
NO_REASON = [None, {}, {"reason": ""}, {"reason": "  "}, {"reason": 7}, {"why": "fixed"}]


@pytest.fixture(scope="module")
def shape() -> Callable[[World], None]:
    """An operator for each role alone, beside the one that has them all."""

    def more_operators(world: World) -> None:
        identity = world._identity()
        identity["operators"] += [
            {"name": f"only-{role}", "roles": [role], "tenants": ["*"]}
            | {"token_sha256": token_sha256(token)}
            for role, token in TOKENS.items()
        ]
        world.settings["identity"] = identity

    return more_operators


async def killed(gateway: Gateway) -> str:
    """Stop everything as who may do nothing else; return the path of the kill."""
    status, report = await gateway.operate("POST", "/killswitch", token=TOKENS["kill"])
    assert status == 200
    return f"/killswitch/{report['epoch']}"


async def test_a76_a_lower_role_lifts_nothing(standing: Standing) -> None:
    """403 for each other role, tokens of agents and nobody; calls stay refused."""
    gateway, why = standing.gateway, {"reason": "fixed"}
    path = await killed(gateway)
    for role in ROLES:
        assert (await gateway.operate("DELETE", path, why, token=TOKENS[role]))[0] == 403
    agents = (gateway.world.agent_token, new_token(TokenKind.SESSION), new_token(TokenKind.SIDECAR))
    for token in agents:
        assert (await gateway.operate("DELETE", path, why, token=token))[0] in {401, 403}
    assert (await gateway.call("write"))[0] == 503
    assert standing.recorder.received == []
    assert (await gateway.operate("DELETE", path, why, token=TOKENS["lift"]))[0] == 200


async def test_a76_a_lift_says_why(standing: Standing) -> None:
    """Without a reason it is refused, and what was stopped stays so."""
    gateway = standing.gateway
    path = await killed(gateway)
    for body in NO_REASON:
        assert (await gateway.operate("DELETE", path, body, token=TOKENS["lift"]))[0] == 400
    assert (await gateway.call("write"))[0] == 503
    assert standing.recorder.received == []
    body = {"reason": "the loop is fixed"}
    assert (await gateway.operate("DELETE", path, body, token=TOKENS["lift"]))[0] == 200


async def test_a76_who_lifted_is_on_record(standing: Standing) -> None:
    """Name, reason and time, for whoever may look; the tool is reached again."""
    gateway = standing.gateway
    path = await killed(gateway)
    _, before = await gateway.operate("GET", path, token=TOKENS["view"])
    assert (before["active"], before["lifted"]) == (True, None)
    body = {"reason": "the loop is fixed"}
    _, told = await gateway.operate("DELETE", path, body, token=TOKENS["lift"])
    _, after = await gateway.operate("GET", path, token=TOKENS["view"])
    lifted = after["lifted"]
    assert (after["active"], lifted["epoch"]) == (False, told["epoch"])
    assert (lifted["actor"], lifted["reason"]) == ("only-lift", "the loop is fixed")
    assert (after["actor"], lifted["at"] >= after["at"]) == ("only-kill", True)
    assert (await gateway.call("write"))[0] == 200
    assert len(standing.recorder.received) == 1
