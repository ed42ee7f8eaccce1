import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app.shadowing import Both, Candidate, candidate_of, recorder_of
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.model.decision import Decision, Reason, Verdict
from proxy.observability.metrics import Metrics
from proxy.pdp.managed_opa import ManagedOpa
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import BROKEN_RULE, RULE, write

LIVE = Decision("dec_1", Verdict.DENY, (Reason("no", "No."),), "sha256:live")


class Noted:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        del schema, decision
        self.bodies.append(body)


@pytest.fixture
async def started(
    tmp_path: Path, opa: Path, settings_of: Callable[..., Settings]
) -> AsyncIterator[Candidate]:
    """A candidate in a directory, asked."""
    write(tmp_path / "candidate")
    candidate = candidate_of(settings_of(policy={"shadow": "candidate"}), opa)
    assert candidate is not None
    candidate.note(b"{}", b"", LIVE)  # before there is an engine nobody is asked
    await candidate.reload()
    candidate.ask(ManagedOpa(opa), frozenset(), Metrics("1"))
    await candidate.reload()
    yield candidate
    await candidate.stop()
    candidate.cleanup()


async def test_a_candidate_is_asked_what_was_decided(started: Candidate) -> None:
    """A live deny that it would allow is a flip."""
    started.note(b'{"input":{}}', b"", LIVE)
    assert started.shadow is not None
    await started.shadow.idle()
    report = started.report()
    assert report["counts"]["flip"] == 1
    assert report["problem"] is None


async def test_a_broken_candidate_leaves_the_one_before(started: Candidate, tmp_path: Path) -> None:
    """It is told, and taken when it is mended."""
    before = started.report()["revision"]
    write(tmp_path / "candidate", {"main.rego": BROKEN_RULE})
    await started.reload()
    assert started.report()["revision"] == before
    assert "main.rego" in started.report()["problem"]
    write(tmp_path / "candidate", {"main.rego": RULE + "\n# mended\n"})
    await started.reload()
    assert started.report()["revision"] != before
    assert started.report()["problem"] is None


async def test_a_candidate_whose_engine_fails_leaves_the_one_before(
    started: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copy is removed."""
    before = started.report()["revision"]
    assert started.shadow is not None
    write(tmp_path / "candidate", {"main.rego": RULE + "\n# next\n"})
    monkeypatch.setattr(started.shadow._engine, "_command", tmp_path / "no-opa")
    await started.reload()
    assert started.report()["revision"] == before
    assert started.report()["problem"]


async def test_a_signed_candidate_is_verified(
    tmp_path: Path, opa: Path, settings_of: Callable[..., Settings]
) -> None:
    """One that is not signed is not asked."""
    key = BundleKey.make()
    packed = key.deliver(write(tmp_path / "bundle"), 1)
    (tmp_path / "c.tar.gz").write_bytes(packed)
    verify = key.settings(tmp_path)
    candidate = candidate_of(settings_of(policy={"shadow": "c.tar.gz", "verify": verify}), opa)
    assert candidate is not None
    candidate.ask(ManagedOpa(opa), frozenset(), Metrics("1"))
    await candidate.reload()
    revision = candidate.report()["revision"]
    assert revision.startswith("sha256:")
    (tmp_path / "c.tar.gz").write_bytes(packed[:-1])
    await candidate.reload()
    assert candidate.report()["revision"] == revision
    assert "cut off" in candidate.report()["problem"]
    await candidate.stop()
    candidate.cleanup()


async def test_nothing_is_asked_without_an_engine(
    tmp_path: Path, opa: Path, settings_of: Callable[..., Settings]
) -> None:
    """Nor without a candidate in the settings; a key that is missing is told at once."""
    assert candidate_of(settings_of(), opa) is None
    write(tmp_path / "candidate")
    candidate = candidate_of(settings_of(policy={"shadow": "candidate"}), opa)
    assert candidate is not None
    assert candidate.report() == {"revision": None, "counts": {}, "problem": None}
    await candidate.stop()
    candidate.cleanup()
    lost: dict[str, Any] = {"shadow": "c.tar.gz", "verify": {"keyid": "k", "key": "lost.pem"}}
    with pytest.raises(ConfigError, match=r"policy\.verify\.key"):
        candidate_of(settings_of(policy=lost), opa)
    shutil.rmtree(tmp_path / "candidate")


def test_every_decision_goes_to_all_who_want_it() -> None:
    """A log, a candidate, both, or nobody."""
    log, candidate = Noted(), Noted()
    both = recorder_of(log, candidate)
    assert isinstance(both, Both)
    both.note(b"x", b"", LIVE)
    assert log.bodies == candidate.bodies == [b"x"]
    assert recorder_of(log, None) is log
    assert recorder_of(None, candidate) is candidate
    assert recorder_of(None, None) is None
