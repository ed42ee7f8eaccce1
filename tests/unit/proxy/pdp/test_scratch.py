"""A copy for which there is no room says so, with a cure."""

import errno
import tempfile

import pytest

from proxy.errors import PolicyUnavailable
from proxy.pdp.scratch import needs_room


def test_a_full_disk_is_no_verdict_on_the_policy() -> None:
    """It is told with the directory that is full, and without a chain of causes."""
    with pytest.raises(PolicyUnavailable, match="No space left") as raised, needs_room():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert tempfile.gettempdir() in str(raised.value)
    assert raised.value.__suppress_context__


def test_other_failures_pass_as_they_are() -> None:
    """What a policy itself does wrong is not blamed on the disk."""
    with pytest.raises(ValueError, match="not a disk"), needs_room():
        raise ValueError("not a disk")
