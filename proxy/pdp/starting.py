"""A bundle to start from: the policies Detent ships, in a directory of one's own."""

import shutil
from pathlib import Path

from proxy.errors import PolicyInvalid

# A link to `policies/` in a checkout; in a wheel the files themselves.
SHIPPED = Path(__file__).with_name("starter")
PAGE = Path(__file__).with_name("starter.md")
_OURS = shutil.ignore_patterns("__pycache__", "*.pyc")


def start_bundle(directory: Path) -> int:
    """Write rules, tests, suites, manifests and data; return how many files.

    Raises PolicyInvalid unless the directory is new or empty, and when nothing can be written.
    """
    try:
        if directory.exists() and any(directory.iterdir()):
            raise PolicyInvalid(f"{directory}: not empty. Cure: name a directory that is new")
        shutil.copytree(SHIPPED, directory, ignore=_OURS, dirs_exist_ok=True)
        shutil.copyfile(PAGE, directory / "README.md")
    except OSError as error:
        place = error.filename or directory
        problem = error.strerror or "some files could not be copied"
        raise PolicyInvalid(f"{place}: {problem}. Cure: name a directory you may write") from None
    return sum(1 for path in directory.rglob("*") if path.is_file())
