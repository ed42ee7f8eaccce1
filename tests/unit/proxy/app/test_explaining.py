"""Decisions explained from a log, under the policy in force."""

from pathlib import Path

from proxy.app.explaining import Explainer
from proxy.pdp.base import DECISION_PATH
from proxy.pdp.bundle import stage
from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.record import DecisionRecord
from tests.harness.tiny_bundle import DECISION, write


async def test_what_is_in_the_log_is_explained(tmp_path: Path) -> None:
    """By the bundle that is live then; the rest, and a log that is not yet, give nothing."""
    opa = find_opa().path
    bundle = stage(write(tmp_path / "bundle"), tmp_path / "staged", opa)
    log = tmp_path / "log"
    explainer = Explainer(log, opa, lambda: bundle)
    assert await explainer("dec_1") is None
    log.mkdir()
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, {}, DECISION, bundle.revision)
    (log / "decisions-1.jsonl").write_bytes(record.to_line())
    found = await explainer("dec_1")
    assert found is not None
    assert (found.tenant, found.verdict, found.note) == ("acme", "allow", "")
    assert await explainer("dec_2") is None
