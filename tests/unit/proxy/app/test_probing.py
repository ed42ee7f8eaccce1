"""Suites are asked before anything is made of the policies."""

import os
from pathlib import Path

import pytest

from proxy.app.probing import probe_suites
from proxy.errors import PolicyInvalid
from proxy.pdp.find_opa import find_opa
from tests.harness.processes import children_of
from tests.harness.tiny_bundle import FAILING_SUITE, write

OPA = find_opa(tools_dir=Path(".tools/bin")).path


async def test_good_suites_pass_and_nothing_is_left_running(tmp_path: Path) -> None:
    """No process, no file."""
    bundle = write(tmp_path / "bundle")
    before = sorted(bundle.rglob("*"))
    await probe_suites(bundle, OPA)
    assert children_of(os.getpid()) == []
    assert sorted(bundle.rglob("*")) == before


async def test_a_case_that_fails_is_told(tmp_path: Path) -> None:
    """With what it expected."""
    bundle = write(write(tmp_path / "bundle"), {"suites/reads.yaml": FAILING_SUITE})
    with pytest.raises(PolicyInvalid, match="verdict is allow, not deny"):
        await probe_suites(bundle, OPA)
