"""`python -m tests.harness.full_disk serve …`: the gateway, unable to make any file grow.

The limit (RLIMIT_FSIZE) is set once the gateway is up, when its operators' port is first asked to
kill: every write of the ledger and of the halt file then fails as on a full disk.
"""

import resource
import signal
from typing import Any

from proxy.cli import main
from proxy.killswitch.switch import KillSwitch

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    whole = KillSwitch.kill

    async def on_a_full_disk(self: KillSwitch, *given: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return await whole(self, *given)

    setattr(KillSwitch, "kill", on_a_full_disk)  # noqa: B010  (mypy knows the method's type)
    main()
