"""What a server asks and says while its call runs."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.call import Door, ToolCall
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, RpcReply
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.pipeline_parts import allow
from tests.unit.proxy.pipeline.conftest import House

SAMPLING = "sampling/createMessage"
QUESTION = b'{"b":1.0,"a":"https://x.example/"}'
CANARY = Finding("canary", Severity.CRITICAL, FindingAction.DENY_AND_LOCK, "bait", "touched")


class Client:
    """Writes down what it is told and asked, and answers."""

    era: Era | None = Era.HANDSHAKE
    session = "s1"
    capabilities: Mapping[str, Any] = {"sampling": {}}
    wants_progress = True
    log_level: str | None = "info"

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.asked: list[tuple[str, bytes]] = []
        self.pauses: list[float] = []

    async def tell(self, method: str, params: bytes) -> None:
        self.told.append((method, params))

    async def ask(self, method: str, params: bytes) -> RpcReply:
        self.asked.append((method, params))
        return RpcReply(result=b'{"role":"assistant"}')

    async def pause(self, retry_s: float) -> None:
        self.pauses.append(retry_s)


class Run:
    """One call, the client it has, and what the server heard back."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client = Client()
        self.replies: list[RpcReply] = []

    async def asking(self, method: str = SAMPLING, params: bytes = QUESTION) -> Answer:
        """Run a call whose server asks that."""

        async def meanwhile(conversation: Conversation) -> None:
            self.replies.append(await conversation.ask(method, params))

        return await self._run(meanwhile)

    async def telling(self, method: str, params: bytes) -> Answer:
        """Run a call whose server says that."""
        return await self._run(lambda conversation: conversation.tell(method, params))

    async def pausing(self, retry_s: float) -> Answer:
        """Run a call whose server closes its stream and goes on."""
        return await self._run(lambda conversation: conversation.pause(retry_s))

    async def _run(self, meanwhile: Any) -> Answer:
        self.house.tool.meanwhile = meanwhile
        call = ToolCall("repo", "read_file", b'{"path":"a"}', Door.MCP)
        return await self.house.pipeline.run(await self.house.caller(), call, self.client)


@pytest.fixture
def run(house: House) -> Run:
    """Return a call to come."""
    return Run(house)


async def test_the_client_is_asked_what_policy_allowed(run: Run) -> None:
    """In canonical form: what policy saw is what the client sees."""
    await run.asking()
    assert run.client.asked == [(SAMPLING, b'{"a":"https://x.example/","b":1}')]
    assert run.replies == [RpcReply(result=b'{"role":"assistant"}')]


async def test_policy_decides_on_the_request_of_a_server(run: Run) -> None:
    """As a method of that server, with everything it says."""
    await run.asking()
    asked = run.house.engine.inputs[1]
    assert asked["action"]["name"] == SAMPLING
    assert (asked["resource"]["id"], asked["resource"]["type"]) == (f"repo/{SAMPLING}", "method")
    assert asked["context"]["arguments"] == {"a": "https://x.example/", "b": 1}
    assert asked["context"]["urls"] == ["https://seen.example/"]


async def test_a_request_of_a_server_is_audited(run: Run) -> None:
    """Beside the record of its call, under the same step."""
    answer = await run.asking()
    records = await run.house.store.decisions(10, ("*",))
    assert [(one.resource_id, one.step_id) for one in records] == [
        (f"repo/{SAMPLING}", answer.step_id),
        ("repo/read_file", answer.step_id),
    ]


@pytest.mark.parametrize("method", ["elicitation/create", "vendor/ask"])
async def test_what_the_manifest_does_not_offer_is_refused(run: Run, method: str) -> None:
    """The server gets an error, the client hears nothing, the call goes on."""
    answer = await run.asking(method)
    assert answer.outcome is Outcome.DONE
    assert run.client.asked == []
    assert b"refused by policy" in (run.replies[0].error or b"")


@pytest.mark.parametrize("verdict", ["deny", "hold"])
async def test_what_policy_does_not_allow_is_refused(run: Run, verdict: str) -> None:
    """A hold as well: nobody could answer the server later."""
    first = allow()
    refusal = allow(verdict=verdict)
    decisions = iter([first, refusal])

    def next_decision() -> None:
        run.house.engine.decision = next(decisions)

    next_decision()
    run.house.tool.before_send = next_decision
    await run.asking()
    assert run.client.asked == []
    assert run.replies[0].error is not None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (SAMPLING, b"{"),
        (SAMPLING, b"[]"),
        (SAMPLING, b'{"n":123456789012345678901}'),
        (SAMPLING, b"[" * 100_000),
        ("sampling", b"{}"),
    ],
)
async def test_what_cannot_be_read_is_refused(run: Run, method: str, params: bytes) -> None:
    """There is no canonical form of it to decide on."""
    await run.asking(method, params)
    assert b"cannot be read" in (run.replies[0].error or b"")


async def test_without_an_audit_record_nobody_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger comes first."""

    async def full(_: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(run.house.stages.settle, "asked", full)
    await run.asking()
    assert run.client.asked == []
    assert b"cannot be decided now" in (run.replies[0].error or b"")


async def test_notifications_reach_the_client(run: Run) -> None:
    """As the server wrote them."""
    await run.telling("notifications/message", b'{"data":1.0}')
    assert run.client.told == [("notifications/message", b'{"data":1.0}')]


async def test_a_client_is_let_go_when_its_server_asks_for_that(run: Run) -> None:
    """There is nothing in it to decide on."""
    await run.pausing(0.5)
    assert run.client.pauses == [0.5]


async def test_a_canary_in_a_notification_ends_the_call(run: Run) -> None:
    """The client does not see it, and as bytes had left, the outcome is not known."""
    run.house.eye.result_finding = CANARY
    answer = await run.telling("notifications/message", b"{}")
    assert run.client.told == []
    assert (answer.outcome, answer.reasons[0].id) == (Outcome.UNKNOWN, "canary-touched")


async def test_a_canary_in_the_clients_answer_never_reaches_the_server(run: Run) -> None:
    """A client can leak through its answers as well as through arguments."""

    async def ask(method: str, params: bytes) -> RpcReply:
        run.house.eye.call_finding = CANARY
        return RpcReply(result=b'{"text":"bait"}')

    run.client.ask = ask  # type: ignore[method-assign]  # another answer for this test
    answer = await run.asking()
    assert run.replies == []
    assert answer.reasons[0].id == "canary-touched"


async def test_the_server_learns_what_the_client_can_do(run: Run) -> None:
    """Its era, its session, its capabilities and what it wants to hear."""
    await run.telling("notifications/message", b"{}")
    heard = run.house.tool.calls[0].conversation
    assert (heard.era, heard.session, heard.wants_progress) == (Era.HANDSHAKE, "s1", True)
    assert (heard.capabilities, heard.log_level) == ({"sampling": {}}, "info")


async def test_without_a_client_the_server_asks_in_vain(house: House) -> None:
    """Plain doors have nobody to ask, and each session is told apart all the same."""
    replies: list[RpcReply] = []

    async def meanwhile(conversation: Conversation) -> None:
        replies.append(await conversation.ask(SAMPLING, b"{}"))
        await asyncio.sleep(0)

    house.tool.meanwhile = meanwhile
    caller = await house.caller()
    await house.pipeline.run(caller, ToolCall("repo", "read_file", b'{"path":"a"}', Door.CALLS))
    assert replies[0].error is not None
    assert house.tool.calls[0].conversation.session == caller.session.id


async def test_a_question_that_would_only_be_previewed_is_refused(run: Run) -> None:
    """A preview of a question is no question."""
    first, preview = allow(), allow(obligations=[{"type": "dry_run"}])
    run.house.tool.before_send = lambda: setattr(run.house.engine, "decision", preview)
    run.house.engine.decision = first
    await run.asking()
    assert run.client.asked == []


ASKS = b'"inputRequests":{"k":{"method":"%b"}}'


@pytest.mark.parametrize(("method", "told"), [(SAMPLING, 1), ("elicitation/create", 0)])
async def test_a_notification_of_a_task_asks_nothing_policy_refuses(
    run: Run, method: str, told: int
) -> None:
    """It has the same requests as the answer of `tasks/get`; the call goes on without it."""
    params = b'{"status":"input_required",' + ASKS % method.encode() + b"}"
    answer = await run.telling("notifications/tasks", params)
    assert (answer.outcome, len(run.client.told)) == (Outcome.DONE, told)


async def test_masks_of_the_decision_are_put_on_the_reply(run: Run) -> None:
    """What the client answers is the result of the server's request."""
    run.house.engine.decision = allow(obligations=[{"type": "mask", "path": "/result/role"}])
    await run.asking()
    assert run.replies == [RpcReply(result=b'{"role":"[masked]"}')]


async def test_an_error_of_the_client_has_nothing_to_mask(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to the server as it is."""
    error = RpcReply(error=b'{"code":-1,"message":"declined"}')
    run.house.engine.decision = allow(obligations=[{"type": "mask", "path": "/result/role"}])

    async def declines(method: str, params: bytes) -> RpcReply:
        return error

    monkeypatch.setattr(run.client, "ask", declines)
    await run.asking()
    assert run.replies == [error]


async def test_a_reply_that_cannot_be_masked_ends_the_call(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not get it."""
    run.house.engine.decision = allow(obligations=[{"type": "mask", "path": "/result/role"}])

    async def nonsense(method: str, params: bytes) -> RpcReply:
        return RpcReply(result=b"not json")

    monkeypatch.setattr(run.client, "ask", nonsense)
    answer = await run.asking()
    assert answer.reasons[0].id == "result-withheld"
    assert run.replies == []
