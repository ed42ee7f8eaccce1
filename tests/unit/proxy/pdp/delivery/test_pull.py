import errno
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.delivery import pull as module
from proxy.pdp.delivery.kept import LAST_GOOD
from proxy.pdp.delivery.pull import DeliveredPolicy
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import RULE, write


class Served:
    """An origin that gives what it is told to, as often as it is told."""

    def __init__(self, packed: bytes) -> None:
        self.packed: bytes | None = packed
        self.away = 0
        self.known: bytes | None = None
        self.is_closed = False

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        if self.away:
            self.away -= 1
            raise PolicyUnavailable("away")
        return self.packed if anew or self.packed != self.known else None

    def judged(self) -> None:
        self.known = self.packed

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def served(signed: bytes, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    return Served(signed)


@pytest.fixture
async def policy(
    served: Served, key: BundleKey, opa: Path, tmp_path: Path
) -> AsyncIterator[DeliveredPolicy]:
    policy = DeliveredPolicy(served, key.trust, opa, tmp_path / "state")
    yield policy
    await policy.close()
    assert served.is_closed
    assert not policy.directory.exists()


def other(bundle: Path, key: BundleKey, number: int) -> bytes:
    """Deliver another policy."""
    return key.deliver(write(bundle, {"main.rego": f"{RULE}\n# {number}\n"}), number)


async def test_the_first_bundle_is_waited_for(policy: DeliveredPolicy, served: Served) -> None:
    """Unpacked, with its revision and number."""
    served.away = 2
    await policy.first()
    assert policy.revision.startswith("sha256:")
    assert policy.number == 0  # on trial
    policy.settled(loaded=True)
    assert policy.number == 7
    assert "main.rego" in read_bundle(policy.directory)
    assert (policy.directory / "suites/reads.yaml").exists()


async def test_without_a_bundle_there_is_no_start(
    policy: DeliveredPolicy, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, with what to look at; at once for one that is refused."""
    monkeypatch.setattr(module, "FIRST_S", 0.05)
    served.away = 10_000
    with pytest.raises(PolicyUnavailable, match=r"policy\.bundle"):
        await policy.first()
    served.away, served.packed = 0, b"x"
    with pytest.raises(PolicyInvalid):
        await policy.first()
    assert (policy.revision, policy.number, policy.signed()) == ("", 0, b"")


async def test_the_last_good_bundle_begins_the_next_run(
    policy: DeliveredPolicy, served: Served, key: BundleKey, opa: Path, tmp_path: Path
) -> None:
    """Without asking anybody; what was never loaded is not kept."""
    await policy.first()
    assert not (tmp_path / "state" / LAST_GOOD).exists()
    policy.settled(loaded=True)
    again = DeliveredPolicy(Served(b""), key.trust, opa, tmp_path / "state")
    await again.first()
    assert (again.revision, again.signed()) == (policy.revision, served.packed)
    await again.close()


async def test_a_kept_bundle_is_verified_again(
    policy: DeliveredPolicy, opa: Path, tmp_path: Path
) -> None:
    """One that another key signed is left; the source is asked."""
    await policy.first()
    policy.settled(loaded=True)
    new = BundleKey.make()
    served = Served(new.deliver(tmp_path / "bundle", 3))
    again = DeliveredPolicy(served, new.trust, opa, tmp_path / "state")
    await again.first()
    again.settled(loaded=True)
    assert again.number == 3
    await again.close()


@pytest.mark.parametrize("kept", [b"x", None], ids=["damaged", "no file"])
async def test_a_last_good_bundle_that_is_lost_is_known(
    policy: DeliveredPolicy, tmp_path: Path, kept: bytes | None
) -> None:
    """Nothing keeps an older one away then: people have to hear of it."""
    place = tmp_path / "state" / LAST_GOOD
    place.parent.mkdir()
    place.write_bytes(kept) if kept else place.mkdir()
    await policy.first()
    assert "an older one could be" in policy.problem


async def test_what_is_new_is_told_once(
    policy: DeliveredPolicy, served: Served, bundle: Path, key: BundleKey
) -> None:
    """Nothing new is also the same bundle again, and the same one in another archive."""
    await policy.first()
    policy.settled(loaded=True)
    assert not await policy.look()
    assert not await policy.look(anew=True)
    served.packed = key.deliver(bundle, 7)
    assert not await policy.look()
    served.packed = other(bundle, key, 8)
    assert await policy.look()
    policy.settled(loaded=True)
    assert policy.number == 8
    assert not await policy.look()


async def test_what_was_not_settled_is_still_on_trial(
    policy: DeliveredPolicy, served: Served, bundle: Path, key: BundleKey
) -> None:
    """Whoever gave up in between has lost nothing: the next look tells of it again."""
    await policy.first()
    policy.settled(loaded=True)
    served.packed = other(bundle, key, 8)
    assert [await policy.look(), await policy.look()] == [True, True]


async def test_what_could_not_be_tried_is_new_again(
    policy: DeliveredPolicy, served: Served, bundle: Path, key: BundleKey
) -> None:
    """An engine that did not start says nothing of the bundle; one that is broken is known."""
    await policy.first()
    policy.settled(loaded=True)
    served.packed = other(bundle, key, 8)
    told = []
    for again in (True, False):
        told.append(await policy.look())
        policy.settled(loaded=False, again=again)
    assert [*told, await policy.look()] == [True, True, False]


async def test_a_full_disk_is_no_verdict(
    policy: DeliveredPolicy,
    served: Served,
    bundle: Path,
    key: BundleKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle is taken once there is room; until then what stands there stays whole."""
    await policy.first()
    policy.settled(loaded=True)
    served.packed = other(bundle, key, 8)
    before = read_bundle(policy.directory)
    for place in ("open_bundle", "write_files"):
        with monkeypatch.context() as full:
            full.setattr(module, place, no_room)
            with pytest.raises(PolicyUnavailable, match=r"\(No space left on device\); make room"):
                await policy.look()
        assert read_bundle(policy.directory) == before
    assert await policy.look()


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("number", "told"), [(6, "smaller than 7"), (7, "other policies")])
async def test_an_older_bundle_is_refused_unless_it_is_admitted(
    policy: DeliveredPolicy, served: Served, bundle: Path, key: BundleKey, number: int, told: str
) -> None:
    """Also another one under the same number."""
    await policy.first()
    policy.settled(loaded=True)
    before = policy.revision
    served.packed = other(bundle, key, number)
    with pytest.raises(PolicyInvalid, match=told):
        await policy.look()
    assert policy.revision == before
    assert await policy.look(older=True)
    policy.settled(loaded=True)
    assert policy.number == number


async def test_a_bundle_that_does_not_load_gives_way_to_the_last_good_one(
    policy: DeliveredPolicy, served: Served, bundle: Path, key: BundleKey
) -> None:
    """Its number is no floor either: the corrected one may have it."""
    await policy.first()
    policy.settled(loaded=True)
    good = policy.revision
    served.packed = other(bundle, key, 9)
    await policy.look()
    policy.settled(loaded=False)
    assert (policy.revision, policy.number) == (good, 7)
    assert b"# 9" not in read_bundle(policy.directory)["main.rego"]
    served.packed = other(bundle, key, 8)
    assert await policy.look()


async def test_a_first_bundle_that_does_not_load_leaves_nothing(policy: DeliveredPolicy) -> None:
    """There is no last good one to go back to."""
    await policy.first()
    policy.settled(loaded=False)
    policy.settled(loaded=True)
    assert (policy.revision, policy.signed()) == ("", b"")


async def test_a_state_that_cannot_be_written_costs_only_the_next_start(
    policy: DeliveredPolicy, tmp_path: Path, served: Served
) -> None:
    """The bundle is in force all the same."""
    (tmp_path / "state").write_text("")
    await policy.first()
    policy.settled(loaded=True)
    assert policy.signed() == served.packed
    shutil.rmtree(policy.directory)
