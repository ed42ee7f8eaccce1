"""`python -m proxy` is `detent`."""

from proxy.cli import main

main()
