import json
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.choice import CHOSEN, Choices, revision_of
from proxy.pdp.delivery.packing import pack_files


def archive(revision: str) -> bytes:
    return pack_files({".manifest": json.dumps({"revision": revision}).encode()})


def test_a_choice_holds_for_what_it_was_made_against(tmp_path: Path) -> None:
    """A source that moves on is obeyed again; a restart is not moving on."""
    Choices(tmp_path).choose(archive("b"), "a")
    again = Choices(tmp_path)
    assert again.instead_of("a") == archive("b")
    assert again.instead_of("c") == b""


def test_a_source_that_moved_on_ends_a_choice(tmp_path: Path) -> None:
    """For good: what it was made against may be offered again."""
    choices = Choices(tmp_path)
    choices.moved_on("a")
    choices.choose(archive("b"), "a")
    choices.moved_on("a")
    assert choices.instead_of("a") == archive("b")
    choices.moved_on("c")
    assert choices.instead_of("a") == b""


def test_choosing_what_is_offered_is_no_choice(tmp_path: Path) -> None:
    """It takes the one there was back."""
    choices = Choices(tmp_path)
    choices.choose(archive("b"), "a")
    choices.choose(archive("a"), "a")
    assert choices.instead_of("a") == b""
    assert not (tmp_path / CHOSEN).exists()


def test_other_processes_see_a_choice(tmp_path: Path) -> None:
    """Once; their own is not news to them."""
    ours, theirs = Choices(tmp_path), Choices(tmp_path)
    ours.choose(archive("b"), "a")
    assert (ours.changed(), theirs.changed()) == (False, True)
    theirs.instead_of("a")
    assert not theirs.changed()
    ours.clear()
    assert (ours.changed(), theirs.changed()) == (False, True)


def test_what_was_in_force_before_is_kept(tmp_path: Path) -> None:
    """The last one."""
    choices = Choices(tmp_path)
    assert choices.previous() == b""
    choices.replaced(archive("a"))
    choices.replaced(archive("b"))
    assert revision_of(Choices(tmp_path).previous()) == "b"


def test_a_choice_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """It would be gone after a restart."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PolicyInvalid, match=r"policy\.state"):
        Choices(tmp_path / "file").choose(archive("b"), "a")


@pytest.mark.parametrize("packed", [b"x", pack_files({}), pack_files({".manifest": b"{}"})])
def test_an_archive_without_a_revision_is_refused(packed: bytes) -> None:
    """It was never staged."""
    with pytest.raises(PolicyInvalid):
        revision_of(packed)


def test_what_was_left_has_to_be_named(tmp_path: Path) -> None:
    """By any process, after a restart, and when the source has moved on."""
    choices = Choices(tmp_path)
    with pytest.raises(PolicyInvalid, match="nothing to go back to"):
        choices.back("", "now")
    choices.replaced(archive("bad"))
    assert choices.back("", "now") == choices.back("bad", "now") == archive("bad")
    with choices.leaving("bad"):
        choices.choose(archive("good"), "bad")
    for other in (choices, Choices(tmp_path)):
        other.moved_on("next")
        with pytest.raises(PolicyInvalid, match=r"bad, .*was itself left by a rollback"):
            other.back("", "now")
        with pytest.raises(PolicyInvalid, match="before this one is bad"):
            other.back("other", "now")
        assert other.back("bad", "now") == archive("bad")


def test_what_others_have_just_left_is_not_taken(tmp_path: Path) -> None:
    """A process that still decides by it has not heard of their rollback yet."""
    choices = Choices(tmp_path)
    choices.replaced(archive("bad"))
    with pytest.raises(PolicyInvalid, match="left by a rollback"):
        choices.back("", "bad")


def test_a_rollback_that_fails_has_left_nothing(tmp_path: Path) -> None:
    """The next one is as free as this one was."""
    choices = Choices(tmp_path)
    choices.replaced(archive("a"))
    with pytest.raises(PolicyInvalid), choices.leaving("a"):
        raise PolicyInvalid("its suites fail")
    assert choices.back("", "now") == archive("a")
