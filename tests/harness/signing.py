"""Keys that sign bundles, and bundles built and signed by Detent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from proxy.pdp.delivery.building import build, sign
from proxy.pdp.delivery.signature import Trust, trust
from proxy.pdp.find_opa import find_opa


@dataclass(frozen=True)
class BundleKey:
    """A key pair in PEM, under a name."""

    private: bytes
    public: bytes
    keyid: str = "acme-2026"

    @classmethod
    def make(cls, kind: str = "ES256", keyid: str = "acme-2026") -> "BundleKey":
        key: Any = (
            Ed25519PrivateKey.generate() if kind == "EdDSA" else generate_private_key(SECP256R1())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private, public, keyid)

    @property
    def trust(self) -> Trust:
        """The trust in it."""
        return trust(self.keyid, self.public)

    def sign(self, packed: bytes) -> bytes:
        """Return the archive, signed."""
        return sign(packed, self.private, self.keyid)

    def deliver(self, source: Path, number: int) -> bytes:
        """Build and sign a directory."""
        return self.sign(build(source, find_opa().path, number))

    def settings(self, directory: Path) -> dict[str, str]:
        """Write the public key; return `policy.verify`."""
        (directory / "policy.pub.pem").write_bytes(self.public)
        return {"keyid": self.keyid, "key": "policy.pub.pem"}
