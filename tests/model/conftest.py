"""The tools of the model, or a reason to skip."""

import pytest

from tests.model.spin import NotInstalled, find_compiler, find_spin


@pytest.fixture
def tools() -> tuple[str, str]:
    """Spin and the C compiler; skips when one is missing."""
    try:
        return find_spin(), find_compiler()
    except NotInstalled as missing:
        pytest.skip(str(missing))
