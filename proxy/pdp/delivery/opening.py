"""Opening what was delivered: our own verification first, then OPA's of the same bytes."""

import tempfile
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.building import Delivered, verify
from proxy.pdp.delivery.signature import Trust
from proxy.pdp.opa_command import run_opa

OPA_TIMEOUT_S = 30.0
_ARCHIVE, _KEY, _BUILT = "bundle.tar.gz", "key.pem", "built.tar.gz"


def open_bundle(packed: bytes, trusted: Trust, opa: Path) -> Delivered:
    """Return what an archive holds when both hold its signature good. Raises PolicyInvalid.

    Blocks for part of a second: call it in a thread.
    """
    delivered = verify(packed, trusted)
    with tempfile.TemporaryDirectory(prefix="detent-verify-") as private:
        directory = Path(private)
        (directory / _ARCHIVE).write_bytes(packed)
        (directory / _KEY).write_text(trusted.pem)
        arguments = (
            "build",
            f"--verification-key={_KEY}",
            f"--verification-key-id={trusted.keyid}",
            f"--signing-alg={trusted.algorithm}",
            f"--scope={trusted.scope}",
            f"--output={_BUILT}",
            "--bundle",
        )
        if run_opa(opa, directory, arguments, OPA_TIMEOUT_S, _ARCHIVE).returncode != 0:
            raise PolicyInvalid("OPA does not verify the bundle. Cure: build and sign it again")
    return delivered
