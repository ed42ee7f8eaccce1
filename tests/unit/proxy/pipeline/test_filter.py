"""What a tool says, before the agent reads it."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from credentials.base import Lease
from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision, Obligation, Reason, Verdict
from proxy.model.finding import Alert, Finding, FindingAction, Severity
from proxy.model.session import Mode
from proxy.model.step import Step
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.monitors.live_secrets import LiveSecrets
from proxy.observability.metrics import Metrics
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.filter import Filtering, KnownTokens, ResponseFilter
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.sessions import SessionRequest
from tests.unit.proxy.pipeline.conftest import House, limits

LENT = "lent-Value_0f7a9c3e5b1d2468ace0-x"
HELD = "held-Value_9b8c7d6e5f4a3b2c1d0e-y"
ALLOW = Decision("dec_1", Verdict.ALLOW, (Reason("ok", "Fine."),), "sha256:r")
CANARY = Finding("canary", Severity.CRITICAL, FindingAction.DENY_AND_LOCK, "bait", "touched")


class Bait:
    """A monitor that sees one word."""

    def on_call(self, call: ToolCall) -> Finding | None:
        return CANARY if b"bait" in call.arguments else None

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        return CANARY if b"bait" in result else None


class Room:
    """A filter, and everything it does."""

    def __init__(self, house: House, caller: Caller) -> None:
        self.alerts: list[str] = []
        self.taken_back: list[str] = []
        self.house = house
        secrets = LiveSecrets()
        secrets.add("credentials.search", HELD)
        inspection = Inspection([Bait()], house.store, self._alert, Metrics("test"))
        tokens = KnownTokens(frozenset({token_sha256(house.token)}), house.store)
        self.filter = ResponseFilter(inspection, secrets, tokens, self._take_back)
        call = ToolCall("repo", "read_file", b"{}", Door.CALLS)
        session = caller.session
        self.step = Step("stp_1", call, caller.principal, session, 0, Mode.READ_WRITE)
        expires = datetime.now(UTC) + timedelta(seconds=30)
        self.lease = Lease("lse_1", "keys", expires, {"Authorization": f"Bearer {LENT}"})

    def opened(self, *masks: str) -> Filtering:
        """Open the filter of a call whose decision has these masks."""
        duties = tuple(Obligation("mask", {"path": path}) for path in masks)
        step = replace(self.step, decision=replace(ALLOW, obligations=duties))
        return self.filter.opened(step, self.lease)

    async def is_locked(self) -> bool:
        """Whether the agent is locked."""
        who = limits(self.step.principal.tenant, self.step.principal.agent)
        view = await self.house.store.view(self.step.session, who, datetime.now(UTC))
        return view.locked is not None

    async def _alert(self, alert: Alert) -> None:
        self.alerts.append(alert.message)

    async def _take_back(self, lease: Lease | None) -> bool:
        self.taken_back.append(lease.id if lease else "")
        return True


@pytest.fixture
async def room(house: House) -> Room:
    return Room(house, await house.caller())


def said(*texts: str) -> bytes:
    """Return a result with these text items."""
    content = [{"type": "text", "text": text} for text in texts]
    return json.dumps({"content": content}).encode()


def logged(text: str) -> bytes:
    return json.dumps({"level": "info", "data": text}).encode()


def texts_of(result: bytes) -> list[str]:
    return [item["text"] for item in json.loads(result)["content"]]


async def test_what_is_harmless_keeps_its_bytes(room: Room) -> None:
    """Results and frames alike, whatever their form."""
    filtering = room.opened()
    for document in (b'{ "a": 1.0 }', b"[]", b"not json", said("a", "b")):
        assert await filtering.result(document) == document
        assert await filtering.frame(document) == document
    assert (room.alerts, room.taken_back) == ([], [])


@pytest.mark.parametrize("secret", [LENT, HELD, base64.b64encode(HELD.encode()).decode()])
async def test_a_live_secret_is_redacted_the_agent_locked_the_lease_taken_back(
    room: Room, secret: str
) -> None:
    """Both what this call was lent and what the gateway holds, in any encoding."""
    shown = await room.opened().result(said(f"the key is {secret}, keep it"))
    assert texts_of(shown) == ["the key is [redacted], keep it"]
    assert await room.is_locked()
    assert room.taken_back == ["lse_1"]
    (message,) = room.alerts
    assert secret not in message


async def test_the_same_secret_is_told_once_a_call(room: Room) -> None:
    """A hundred frames are one alert."""
    filtering = room.opened()
    for _ in range(3):
        assert HELD.encode() not in await filtering.frame(logged(HELD))
    assert HELD.encode() not in await filtering.result(said(HELD))
    assert len(room.alerts) == 1
    assert "credentials.search" in room.alerts[0]


@pytest.mark.parametrize("at", range(1, len(LENT), 4))
async def test_a_secret_in_two_frames_never_arrives_whole(room: Room, at: int) -> None:
    """Wherever it is cut, a half of it is kept back and everybody is told."""
    filtering = room.opened()
    shown = await filtering.frame(logged(LENT[:at])) + await filtering.frame(logged(LENT[at:]))
    assert await room.is_locked()
    assert LENT[:at].encode() not in shown or LENT[at:].encode() not in shown


async def test_a_secret_in_many_frames_is_found_at_the_end(room: Room) -> None:
    """Character by character, the last ones in the result."""
    filtering = room.opened()
    for char in HELD[:-4]:
        await filtering.frame(logged(char))
    assert texts_of(await filtering.result(said(HELD[-4:]))) == ["[redacted]"]
    assert await room.is_locked()


async def test_a_secret_over_the_texts_of_a_result_is_found(room: Room) -> None:
    """A model reads them one after the other."""
    parts = [HELD[i : i + 5] for i in range(0, len(HELD), 5)]
    assert set(texts_of(await room.opened().result(said(*parts)))) == {"[redacted]"}
    assert await room.is_locked()


async def test_what_was_found_is_not_found_again_in_what_follows(room: Room) -> None:
    """The end that is remembered is what the agent was shown."""
    filtering = room.opened()
    await filtering.frame(logged(f"key {HELD}"))
    assert await filtering.frame(logged("all is well")) == logged("all is well")


async def test_a_live_detent_token_locks(room: Room) -> None:
    """An agent's, an operator's, an open session's."""
    opened = await room.house.pipeline.open_session(room.house.token, SessionRequest())
    for token in (room.house.token, opened.token):
        shown = await room.opened().result(said(f"token: {token}"))
        assert texts_of(shown) == ["token: [redacted]"]
    assert await room.is_locked()
    assert room.alerts[0].startswith("A tool showed a live Detent token")


async def test_a_dead_detent_token_is_redacted_and_locks_nobody(room: Room) -> None:
    """Anybody can write that form into a page; a lock would be theirs to give."""
    filtering = room.opened()
    for _ in range(2):
        shown = await filtering.result(said(new_token(TokenKind.SESSION)))
        assert texts_of(shown) == ["[redacted]"]
    assert not await room.is_locked()
    assert len(room.alerts) == 1


async def test_masks_are_put_on_results_and_frames(room: Room) -> None:
    """After monitors and secrets have seen what stood there."""
    filtering = room.opened("/result/email", "/result/*/phone")
    shown = await filtering.result(b'{"structuredContent":{"email":"a@b.c","x":1}}')
    assert json.loads(shown) == {"structuredContent": {"email": "[masked]", "x": 1}}
    shown = await filtering.frame(b'{"level":"info","data":[{"phone":"1"}]}')
    assert json.loads(shown)["data"] == [{"phone": "[masked]"}]


async def test_a_secret_behind_a_mask_still_locks(room: Room) -> None:
    """The tool echoes it, whoever sees it."""
    await room.opened("/result/key").result(json.dumps({"key": HELD}).encode())
    assert await room.is_locked()


@pytest.mark.parametrize(
    "document",
    [b"not json " + HELD.encode(), json.dumps({"a": HELD}).encode()[:-1]],
)
async def test_what_cannot_be_redacted_is_withheld(room: Room, document: bytes) -> None:
    """And the agent is locked all the same."""
    with pytest.raises(Refused, match="result-withheld"):
        await room.opened().result(document)
    assert await room.is_locked()


async def test_what_cannot_be_masked_is_withheld(room: Room) -> None:
    """A mask is not optional."""
    with pytest.raises(Refused, match="result-withheld"):
        await room.opened("/result/a").result(b"not json")


async def test_a_mask_that_is_not_understood_opens_no_filter(room: Room) -> None:
    """Nothing is asked of a tool whose answer could not be shown."""
    with pytest.raises(Refused, match="obligation-unknown"):
        room.opened("/arguments/a")


@pytest.mark.parametrize("frames", [[logged("bait")], [logged("ba"), logged("it")]])
async def test_a_canary_in_frames_is_withheld(room: Room, frames: list[bytes]) -> None:
    """Whole, or in pieces."""
    filtering = room.opened()
    for frame in frames[:-1]:
        await filtering.frame(frame)
    with pytest.raises(Refused, match="canary-touched"):
        await filtering.frame(frames[-1])
    assert await room.is_locked()


async def test_a_canary_in_the_answer_of_a_client_is_kept_from_the_server(room: Room) -> None:
    """What goes up is looked at as well."""
    filtering = room.opened()
    await filtering.answer(b'{"role":"assistant"}')
    with pytest.raises(Refused, match="canary-touched"):
        await filtering.answer(b'{"text":"bait"}')


async def test_a_call_without_a_credential_is_filtered_too(room: Room) -> None:
    """What the gateway holds is live whatever the call was lent."""
    filtering = room.filter.opened(replace(room.step, decision=ALLOW), None)
    assert texts_of(await filtering.result(said(HELD))) == ["[redacted]"]


async def test_numbers_of_a_secret_result_keep_their_shape(room: Room) -> None:
    """Only what shows the secret changes."""
    document: dict[str, Any] = {"status": 200, "body": {"n": 1, "key": HELD, "ok": True}}
    shown = json.loads(await room.opened().result(json.dumps(document).encode()))
    assert shown == {"status": 200, "body": {"n": 1, "key": "[redacted]", "ok": True}}
