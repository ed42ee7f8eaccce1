"""A75, A76, A77: who may stop, who may let go on, and what the port tells strangers.

The whole application of the operators' port, guard included, on a real ledger and kill switch.
"""

import asyncio
from typing import Any

import pytest

from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.operators import HOST, TOKENS, Plane

AGENT = new_token(TokenKind.AGENT)
SESSION = new_token(TokenKind.SESSION)
WHY = {"reason": "because"}

STOPPING: list[tuple[str, str, Any]] = [("POST", "/killswitch", None)]
GOING_ON: list[tuple[str, str, Any]] = [
    ("DELETE", "/killswitch/1", WHY),
    ("POST", "/v1/agents/acme/loop/unlock", WHY),
    ("DELETE", "/v1/dry-run", {"scope": "global"}),
    ("POST", "/v1/policy/reload", None),
]
LOOKING: list[tuple[str, str, Any]] = [
    ("GET", "/killswitch", None),
    ("GET", "/killswitch/1", None),
    ("GET", "/v1/sessions", None),
    ("GET", "/v1/chains/ses_1", None),
    ("GET", "/v1/decisions", None),
    ("GET", "/v1/intents", None),
    ("GET", "/v1/dry-run", None),
    ("GET", "/metrics", None),
]
EVERYTHING = STOPPING + GOING_ON + LOOKING

NO_TOKEN = {
    "none": {"authorization": ""},
    "wrong": {"authorization": f"Bearer {new_token(TokenKind.OPERATOR)}"},
    "hash": {"authorization": f"Bearer {token_sha256(TOKENS['chief'])}"},
    "basic": {"authorization": f"Basic {TOKENS['chief']}"},
    "cookie": {"authorization": "", "cookie": f"token={TOKENS['chief']}"},
    "other header": {"authorization": "", "x-api-key": TOKENS["chief"]},
    "proxy header": {"authorization": "", "proxy-authorization": f"Bearer {TOKENS['chief']}"},
}


@pytest.mark.parametrize("headers", NO_TOKEN.values(), ids=NO_TOKEN)
@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
async def test_without_an_operators_token_nothing_is_answered(
    plane: Plane, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    """401 with a challenge, and nothing has happened."""
    status, answer = await plane.ask(method, path, body, **headers)
    assert (status, answer["code"]) == (401, "not-authenticated")
    assert plane.kill_switch.state.epoch == 0
    assert plane.reloads == []


@pytest.mark.parametrize("token", [AGENT, SESSION], ids=["agent", "session"])
@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
async def test_an_agents_token_opens_nothing(
    plane: Plane, method: str, path: str, body: Any, token: str
) -> None:
    """An agent can neither stop others, nor lift its own kill or lock, nor read along."""
    await plane.kill_switch.kill((Scope(ScopeKind.AGENT, "acme/loop"),), "test", "")
    status, answer = await plane.ask(method, path, body, by=token)
    assert (status, answer["code"]) == (403, "agent-token")
    assert plane.kill_switch.state.epoch == 1


ORIGINS = ["https://evil.test", "null", f"http://{HOST}", "http://localhost:8788", "file://"]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("method", "path", "body"), STOPPING + GOING_ON)
async def test_a_browser_page_can_do_nothing(
    plane: Plane, method: str, path: str, body: Any, origin: str
) -> None:
    """Any Origin is refused, even with a valid token, even our own address."""
    status, answer = await plane.ask(method, path, body, origin=origin)
    assert (status, answer["code"]) == (403, "wrong-origin")
    assert plane.kill_switch.state.epoch == 0


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
async def test_a_form_can_do_nothing(plane: Plane, kind: str) -> None:
    """The types that a page may send without asking first are refused."""
    fields = {"authorization": plane.bearer("chief"), "content-type": kind}
    answer = await plane.client.post("/killswitch", content=b'{"reason":"x"}', headers=fields)
    assert answer.status_code == 415
    assert plane.kill_switch.state.epoch == 0


async def test_there_is_no_preflight(plane: Plane) -> None:
    """No header of an answer permits another origin anything."""
    answer = await plane.client.options(
        "/killswitch", headers={"access-control-request-method": "POST"}
    )
    assert answer.status_code == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "KILL"])
async def test_only_post_stops(plane: Plane, method: str) -> None:
    """Links, images and prefetches send GET; a header cannot make it a POST."""
    headers = {"authorization": plane.bearer("chief"), "x-http-method-override": "POST"}
    answer = await plane.client.request(method, "/killswitch", headers=headers)
    assert answer.status_code == (200 if method == "GET" else 405)
    assert not plane.kill_switch.covers([GLOBAL])


@pytest.mark.parametrize(
    "path",
    ["/killswitch?token=", "/killswitch?access_token=", "/killswitch?authorization=Bearer%20"],
)
async def test_a_token_in_the_query_is_refused(plane: Plane, path: str) -> None:
    """It would end in logs and histories."""
    answer = await plane.client.post(path + TOKENS["chief"])
    assert answer.status_code == 400
    assert TOKENS["chief"] not in answer.text
    assert plane.kill_switch.state.epoch == 0


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8788", "127.0.0.1:8788", ""])
async def test_a_rebound_name_is_refused(plane: Plane, host: str) -> None:
    """DNS rebinding brings the attacker's own host name."""
    status, _ = await plane.ask("POST", "/killswitch", host=host)
    assert status in {400, 421}
    assert plane.kill_switch.state.epoch == 0


FOREIGN = [
    "global",
    "tenant:globex",
    "agent:globex/loop",
    "tool:repo/git_commit",
    {"kind": "tenant", "id": "acme2"},
]


@pytest.mark.parametrize("scope", FOREIGN, ids=str)
async def test_another_tenant_cannot_be_stopped(plane: Plane, scope: Any) -> None:
    """What touches others takes an operator of all."""
    status, answer = await plane.ask("POST", "/killswitch", {"scope": scope}, by="acme")
    assert (status, answer["code"]) == (403, "not-covered")
    assert plane.kill_switch.state.epoch == 0


async def test_another_tenants_session_cannot_be_stopped_or_read(plane: Plane) -> None:
    """Its id tells nothing to whoever found it."""
    session = await plane.session("globex")
    await plane.step(session)
    scope = {"scope": f"session:{session.id}"}
    assert (await plane.ask("POST", "/killswitch", scope, by="acme"))[0] == 403
    for path in ("/v1/sessions", "/v1/decisions", "/v1/intents?state=intent", "/killswitch"):
        _, answer = await plane.ask("GET", path, by="acme")
        assert "globex" not in str(answer)
        assert session.id not in str(answer)


async def test_stopping_again_is_stopping(plane: Plane) -> None:
    """A replayed kill takes the next epoch and halts what was halted."""
    first, again = [await plane.ask("POST", "/killswitch", WHY) for _ in range(2)]
    assert (first[1]["epoch"], again[1]["epoch"]) == (1, 2)
    assert plane.kill_switch.covers([GLOBAL])


async def test_a_replayed_lift_lifts_nothing_new(plane: Plane) -> None:
    """A recorded lift does not undo a later kill."""
    await plane.ask("POST", "/killswitch")
    await plane.ask("DELETE", "/killswitch/1", WHY)
    await plane.ask("POST", "/killswitch")
    assert (await plane.ask("DELETE", "/killswitch/1", WHY))[0] == 404
    assert plane.kill_switch.covers([GLOBAL])


async def test_no_kill_is_turned_away_for_being_one_of_many(plane: Plane) -> None:
    """In a flood of refused requests every kill is taken; no answer says to come back later."""
    noise = [plane.ask("POST", "/killswitch", by=AGENT) for _ in range(200)]
    kills = [plane.ask("POST", "/killswitch", by="kill") for _ in range(20)]
    answers = await asyncio.gather(*noise, *kills)
    assert {status for status, _ in answers[:200]} == {403}
    assert all(answer["halted_locally"] for _, answer in answers[200:])
    assert len({answer["order_id"] for _, answer in answers[200:]}) == 20


@pytest.mark.parametrize("by", ["kill", "view", "approve", "policy"])
async def test_a_lower_role_does_not_let_go_on(plane: Plane, by: str) -> None:
    """A76: who may stop may not therefore lift, unlock or switch a dry run off."""
    await plane.ask("POST", "/killswitch")
    for method, path, body in GOING_ON[:3]:
        status, answer = await plane.ask(method, path, body, by=by)
        assert (status, answer["code"]) == (403, "role-missing")
    assert plane.kill_switch.covers([GLOBAL])


HIDDEN = [
    "/docs",
    "/redoc",
    "/openapi.json",
    "/debug",
    "/console",
    "/.env",
    "/metrics/",
    "//metrics",
]


@pytest.mark.parametrize("path", HIDDEN)
async def test_strangers_find_nothing(plane: Plane, path: str) -> None:
    """A77: no documentation, no debugging, no second spelling of a path."""
    answer = await plane.client.get(path, headers={"authorization": ""})
    assert answer.status_code in {400, 404}
    assert "detent_" not in answer.text


async def test_health_is_empty(plane: Plane) -> None:
    """A77: no version, no state, no server name."""
    await plane.ask("POST", "/killswitch")
    answer = await plane.client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")
    assert not {"server", "x-powered-by"} & set(answer.headers)


async def test_refusals_repeat_nothing_of_the_request(plane: Plane) -> None:
    """Not the path, not the body, not a token."""
    body = b'{"scope":"agent:<script>marker</script>","marker":1}'
    for by in ("chief", "acme", AGENT, "dto_marker"):
        _, answer = await plane.ask("POST", "/killswitch", body, by=by)
        assert "marker" not in str(answer)
