import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.tiny_bundle import BROKEN_RULE, write

Run = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle")


def test_people_get_a_count_for_every_tool(detent: Run, bundle: Path) -> None:
    """The inputs themselves are too many to read."""
    result = detent("policy", "boundaries", bundle)
    assert result.exit_code == 0, result.output
    assert "rec/read" in result.output
    assert result.output.splitlines()[-1].endswith(" inputs")


def test_machines_get_what_a_diff_reads(detent: Run, bundle: Path, tmp_path: Path) -> None:
    """The same bundle, the same bytes; and a bundle does not differ from itself on them."""
    first = detent("policy", "boundaries", "--json", bundle).output
    assert first == detent("policy", "boundaries", "--json", bundle).output
    made = json.loads(first)
    assert made[0].keys() == {"label", "input"}
    corpus = tmp_path / "corpus.json"
    corpus.write_text(first)
    for named in (corpus, "boundaries"):
        result = detent("policy", "diff", bundle, bundle, "--corpus", named)
        assert result.exit_code == 0, result.output
        assert "0 flips" in result.output


def test_a_broken_bundle_is_a_usage_error(detent: Run, bundle: Path) -> None:
    """As everywhere."""
    broken = write(bundle, {"main.rego": BROKEN_RULE})
    assert detent("policy", "boundaries", broken).exit_code == 2
