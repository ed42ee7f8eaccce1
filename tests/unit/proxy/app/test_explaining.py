"""Decisions explained from a log, under the policy in force."""

from pathlib import Path

import pytest

from proxy.app.explaining import Explainer
from proxy.errors import PolicyInvalid
from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.bundle import discard, stage
from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.record import DecisionRecord
from tests.harness.tiny_bundle import DECISION, write


@pytest.fixture
def bundles(tmp_path: Path) -> list[StagedBundle]:
    """Two revisions of a policy."""
    changed = write(tmp_path / "bundle")
    first = stage(changed, tmp_path / "staged", find_opa().path)
    main = changed / "main.rego"
    main.write_text(f"{main.read_text()}\n# changed\n")
    return [first, stage(changed, tmp_path / "staged", find_opa().path)]


def logged(directory: Path, revision: str) -> Path:
    """Write a log with one decision."""
    directory.mkdir()
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, {}, DECISION, revision)
    (directory / "decisions-1.jsonl").write_bytes(record.to_line())
    return directory


async def test_what_is_in_the_log_is_explained(bundles: list[StagedBundle], tmp_path: Path) -> None:
    """By the bundle that is live then; the rest, and a log that is not yet, give nothing."""
    log = tmp_path / "log"
    explainer = Explainer(log, find_opa().path, lambda: bundles[0])
    assert await explainer("dec_1") is None
    logged(log, bundles[0].revision)
    found = await explainer("dec_1")
    assert found is not None
    assert (found.tenant, found.verdict, found.note) == ("acme", "allow", "")
    assert await explainer("dec_2") is None


async def test_a_bundle_that_is_being_deleted_explains_nothing(
    bundles: list[StagedBundle], tmp_path: Path
) -> None:
    """The one in its place does; one that is broken and stays is told."""
    log = logged(tmp_path / "log", bundles[1].revision)
    first, *others = bundles
    discard(first)
    live = iter([first, *others * 9])
    found = await Explainer(log, find_opa().path, lambda: next(live))("dec_1")
    assert found is not None
    assert found.note == ""
    with pytest.raises(PolicyInvalid):
        await Explainer(log, find_opa().path, lambda: first)("dec_1")


async def test_a_bundle_replaced_meanwhile_is_asked_again(
    bundles: list[StagedBundle], tmp_path: Path
) -> None:
    """What is told is of the bundle that was live from first to last."""
    log = logged(tmp_path / "log", bundles[1].revision)
    first, second = bundles
    live = iter([first, second, second, second])
    found = await Explainer(log, find_opa().path, lambda: next(live))("dec_1")
    assert found is not None
    assert found.note == ""
