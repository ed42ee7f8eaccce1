"""A server of bundles: signed by `opa build`, or not."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass
class Signer:
    """A key that signs bundles."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> str:
        """The PEM that OPA is given."""
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def build(self, opa: str, bundle: Path, target: Path) -> None:
        """Build a checked bundle into a signed archive."""
        private = target.parent / f"{target.name}.pem"
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        private.write_bytes(pem)
        private.chmod(0o600)
        build(opa, bundle, target, "--signing-key", str(private), "--signing-alg=ES256")


def build(opa: str, bundle: Path, target: Path, *options: str) -> None:
    """Build a bundle into an archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [opa, "build", "--bundle", str(bundle), f"--output={target}", *options]
    environ = {"PATH": os.defpath}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr


@contextmanager
def bundle_server(directory: Path, token: str) -> Iterator[str]:
    """Serve the files of a directory to whoever has the token; give the URL."""

    class Bundles(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] == f"Bearer {token}":
                super().do_GET()
            else:
                self.send_error(401)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bundles, directory=str(directory)))
    serving = Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
