"""Room for copies of a bundle: a temporary directory that may be full."""

import contextlib
import tempfile
from collections.abc import Iterator

from proxy.errors import PolicyUndelivered


@contextlib.contextmanager
def needs_room() -> Iterator[None]:
    """Tell of a disk that takes nothing: the policy may be fine. Raises PolicyUndelivered."""
    try:
        yield
    except OSError as error:
        cure = f"make room in {tempfile.gettempdir()}"
        raise PolicyUndelivered(f"it cannot be copied ({error.strerror}); {cure}") from None
