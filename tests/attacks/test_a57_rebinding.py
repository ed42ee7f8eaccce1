"""A57: a name that is public when it is looked at and private when it is connected to."""

from pathlib import Path

import pytest

from tests.harness.own_network import run_inside, why_not

HERE = Path(__file__).parent


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_names_are_judged_by_the_address_that_is_connected_to(tmp_path: Path) -> None:
    """Every attack of own_network/rebinding.py, in a network where all addresses answer."""
    ran = run_inside(HERE / "own_network" / "rebinding.py", tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
