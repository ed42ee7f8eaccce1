"""The `detent` command: arguments in, exit codes out.

Exit codes: 0 ok, 1 finding or denied, 2 usage or configuration, 3 unavailable.
"""

from proxy.cli.main import main

__all__ = ["main"]
