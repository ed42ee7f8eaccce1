import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.attach_leases import MAX_AT_ONCE, MAX_NAME, AttachedLeases
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from tests.harness.attached import MINE, Attached
from tests.harness.attached import attached as serve

THEIRS = Scope(ScopeKind.AGENT, "globex/other")


@pytest.fixture
async def attached(tmp_path: Path) -> AsyncIterator[Attached]:
    async with serve(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def leases(attached: Attached) -> AttachedLeases:
    return AttachedLeases(attached.kill_switch, attached.relay)


def renewal(holder: str, known: int = 0, acked: int = 0) -> dict[str, Any]:
    return {"holder": holder, "nonce": f"n-{holder}", "known": known, "acked": acked}


def ask(leases: AttachedLeases, asked: str, document: Any) -> Any:
    """Ask as the first sidecar."""
    answer = leases.answer(MINE, asked, json.dumps(document).encode())
    assert answer is not None
    return json.loads(answer)


def test_many_are_renewed_with_one_request(leases: AttachedLeases, attached: Attached) -> None:
    """Each by its own nonce, for at most what is left of our own lease."""
    grants = ask(leases, "leases", {"holders": [renewal("one"), renewal("two", acked=7)]})
    assert grants["nonces"] == ["n-one", "n-two"]
    assert 0 < grants["remaining_s"] <= attached.lease.remaining_s + 0.5
    standing = attached.relay.standing(7)
    assert standing["pod-1/one"].value == "outstanding"
    assert standing["pod-1/two"].value == "acked"


def test_one_and_many_without_a_lease_of_ours(leases: AttachedLeases, attached: Attached) -> None:
    """Nobody may start anything."""
    attached.lease.give_up()
    assert ask(leases, "lease", renewal("one"))["remaining_s"] == 0.0
    assert ask(leases, "leases", {"holders": [renewal("one")]})["remaining_s"] == 0.0


async def test_the_news_are_for_the_last_of_them(
    leases: AttachedLeases, attached: Attached
) -> None:
    """Whoever carries them may tell each all of it, and reads no others' names."""
    for scope in (GLOBAL, THEIRS):
        await attached.kill_switch.kill((scope,), "oncall", "")
    attached.kill_switch.learn(await attached.ledger.kill_log())
    holders = [renewal("one", known=2), renewal("two", known=0)]
    entries = ask(leases, "leases", {"holders": holders})["entries"]
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert entries[1]["order"]["scopes"] == []
    assert ask(leases, "leases", {"holders": holders[:1]})["entries"] == []


def test_those_without_room_are_left_out(leases: AttachedLeases, attached: Attached) -> None:
    """Who holds a lease keeps it; when there is room for none it is told."""
    attached.relay._max_holders = 1
    ask(leases, "lease", renewal("one"))
    holders = [renewal("two"), renewal("one")]
    assert ask(leases, "leases", {"holders": holders})["nonces"] == ["n-one"]
    for asked, document in (("lease", renewal("two")), ("leases", {"holders": holders[:1]})):
        with pytest.raises(BadRequest) as refused:
            ask(leases, asked, document)
        assert (refused.value.code, refused.value.http) == ("too-many-holders", 503)


@pytest.mark.parametrize(
    ("asked", "document"),
    [
        ("leases", {"holders": []}),
        ("leases", {"holders": [renewal("one")] * (MAX_AT_ONCE + 1)}),
        ("leases", [renewal("one")]),
        ("leases", {"holders": [renewal("x" * (MAX_NAME + 1))]}),
        ("lease", renewal("x" * (MAX_NAME + 1))),
        ("lease", [1]),
    ],
    ids=["none", "too many", "no document", "a long name of many", "a long name", "no renewal"],
)
def test_what_does_not_fit_is_refused(leases: AttachedLeases, asked: str, document: Any) -> None:
    """Whole: nobody has a lease then."""
    with pytest.raises(BadRequest):
        ask(leases, asked, document)
    assert leases.relay.holding() == ()


def test_what_is_about_no_lease_is_answered_elsewhere(leases: AttachedLeases) -> None:
    """The ledger, for one."""
    assert leases.answer(MINE, "store/session", b"[]") is None


def test_a_holder_leaves_or_says_what_it_obeys(leases: AttachedLeases, attached: Attached) -> None:
    """For itself."""
    ask(leases, "leases", {"holders": [renewal("one"), renewal("two")]})
    assert ask(leases, "acknowledge", ["one", 4]) is None
    assert ask(leases, "leave", ["two"]) is None
    standing = {name: state.value for name, state in attached.relay.standing(4).items()}
    assert standing["pod-1/one"] == "acked"
    assert "pod-1/two" not in standing
