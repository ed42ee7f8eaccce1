import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from proxy.errors import StoreUnavailable
from proxy.ingress import attach as module
from proxy.ingress.attach import attach_app
from proxy.ingress.guard import GuardSettings
from proxy.model.finding import Alert, Severity
from proxy.model.kill import GLOBAL
from proxy.model.sidecar import Sidecar
from proxy.model.token import TokenKind, new_token
from tests.harness.attached import HOST, MINE, OTHER, Attached
from tests.harness.attached import attached as serve
from tests.harness.ledger import NOW, Call, session

RENEWAL = b'{"holder":"hld","nonce":"n","known":0,"acked":0}'


@pytest.fixture
async def attached(tmp_path: Path) -> AsyncIterator[Attached]:
    async with serve(tmp_path) as gateway:
        yield gateway


async def ask(attached: Attached, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask as the first sidecar."""
    token = more.pop("token", attached.tokens[MINE.name])
    headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
    if "content" in more:
        headers["content-type"] = "application/json"
    return await attached.client.request(method, f"/attach/v1/{path}", headers=headers, **more)


@pytest.mark.parametrize("kind", [None, *TokenKind])
async def test_only_a_sidecars_own_token_is_known(
    attached: Attached, kind: TokenKind | None
) -> None:
    """Those of agents and operators mean nothing here, and a stranger's as little."""
    token = new_token(kind) if kind else "anything"
    for method, path in (("POST", "lease"), ("GET", "bundle"), ("POST", "store/session")):
        body = {"content": b"[]"} if method == "POST" else {}
        answer = await ask(attached, method, path, token=token, **body)
        assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


async def test_no_token_at_all(attached: Attached) -> None:
    """401 as well."""
    assert (await attached.client.get("/attach/v1/bundle")).status_code == 401


async def test_a_holder_is_its_sidecars(attached: Attached) -> None:
    """Nobody acknowledges in another's name."""
    await ask(attached, "POST", "lease", content=RENEWAL)
    theirs = attached.tokens[OTHER.name]
    await ask(attached, "POST", "acknowledge", content=b'["hld",9]', token=theirs)
    await ask(attached, "POST", "leave", content=b'["hld"]', token=theirs)
    assert attached.relay.standing(9)["pod-1/hld"].value == "outstanding"
    await ask(attached, "POST", "acknowledge", content=b'["hld",9]')
    assert attached.relay.standing(9)["pod-1/hld"].value == "acked"


async def test_too_many_holders_are_told(attached: Attached) -> None:
    """503: another gateway may have room."""
    attached.relay._max_holders = 0
    answer = await ask(attached, "POST", "lease", content=RENEWAL)
    assert (answer.status_code, answer.json()["code"]) == (503, "too-many-holders")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("lease", b"{}"),
        ("lease", b"not JSON"),
        ("acknowledge", b'["hld"]'),
        ("acknowledge", b'["hld","9"]'),
        ("leave", b"[]"),
        ("store/session", b'[{"a":1}]'),
    ],
)
async def test_what_does_not_fit_is_refused(attached: Attached, path: str, body: bytes) -> None:
    """400, and the input is not repeated."""
    answer = await ask(attached, "POST", path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-arguments")


@pytest.mark.parametrize("method", ["rule_approval", "close", "__init__", "steps", "nothing"])
async def test_a_method_that_is_not_on_the_list_does_not_exist(
    attached: Attached, method: str
) -> None:
    """Whatever the ledger has besides."""
    answer = await ask(attached, "POST", f"store/{method}", content=b"[]")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-method")


async def test_the_policy_comes_by_its_revision(attached: Attached) -> None:
    """And is not sent again to whoever has it."""
    answer = await ask(attached, "GET", "bundle")
    assert (answer.content, answer.headers["etag"]) == (b"archive", '"sha256:1"')
    known = await ask(attached, "GET", "bundle", headers={"if-none-match": '"sha256:1"'})
    assert (known.status_code, known.content) == (304, b"")


async def test_news_are_waited_for(attached: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the newest epoch; without news it comes in the end all the same."""
    monkeypatch.setattr(module, "POLL_S", 0.05)
    assert (await ask(attached, "GET", "kills?known=0")).content == b"0"
    monkeypatch.setattr(module, "POLL_S", 5.0)
    waiting = asyncio.create_task(ask(attached, "GET", "kills?known=0"))
    await asyncio.sleep(0.02)
    await attached.kill_switch.kill((GLOBAL,), "oncall", "")
    assert (await waiting).content == b"1"


@pytest.mark.parametrize("query", ["", "?known=-1", "?known=x", "?known=1&known=2"])
async def test_what_is_known_has_to_be_an_epoch(attached: Attached, query: str) -> None:
    """400 otherwise."""
    answer = await ask(attached, "GET", f"kills{query}")
    assert answer.status_code == 400


async def test_a_reservation_names_the_holder_that_carries_the_call(attached: Attached) -> None:
    """Under the sidecar's own name, whatever it says: by that it is found when it is gone."""
    store = attached.store()
    await store.open_session(session(), None, 10)
    call = Call().reservation()
    await store.reserve(replace(call, intent=replace(call.intent, holder="pod-2/hld")))
    row = await attached.ledger.step("stp1")
    assert row is not None
    assert row.intent.holder == "pod-1/pod-2/hld"


async def test_an_alert_about_no_agent_is_told_in_the_sidecars_name(attached: Attached) -> None:
    """It comes through, and cannot be taken for the gateway's own word; one of an agent stays."""
    own = Alert("alr1", NOW, "late-start", Severity.CRITICAL, "step stp1 started 1.0 s late")
    about = replace(own, id="alr2", tenant="acme", agent="loop")
    for alert in (own, about):
        await attached.store().enqueue_alert(alert)
    due = [alert for alert, _ in await attached.ledger.due_alerts(NOW, 10)]
    told = replace(own, message=f"sidecar pod-1: {own.message}")
    assert sorted(due, key=lambda one: one.id) == [told, about]


@pytest.mark.parametrize("changes", [{"tenant": "globex"}, {"session_id": "ses1"}], ids=str)
async def test_an_alert_about_others_is_refused(
    attached: Attached, changes: dict[str, Any]
) -> None:
    """Whoever it names has to be the sidecar's own."""
    alert = Alert("alr1", NOW, "live-secret", Severity.CRITICAL, "x")
    with pytest.raises(StoreUnavailable, match="not-your-agent"):
        await attached.store().enqueue_alert(replace(alert, **changes))


async def test_a_token_of_an_issuer_is_its_sidecars(attached: Attached) -> None:
    """Whoever the issuer does not know is nobody."""
    tokens = cast("Any", Known())
    app = attach_app(replace(attached.ports, tokens=tokens), GuardSettings(frozenset({HOST})))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        for token, status in (("eyJ.good", 200), ("eyJ.bad", 401)):
            headers = {"authorization": f"Bearer {token}"}
            answer = await client.get("/attach/v1/bundle", headers=headers)
            assert answer.status_code == status


class Known:
    """Knows one token."""

    async def sidecar(self, token: str) -> Sidecar | None:
        return MINE if token == "eyJ.good" else None

    def remembered(self, token: str) -> Sidecar | None:
        del token
        return None
