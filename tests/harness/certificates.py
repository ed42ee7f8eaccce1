"""Certificates of an authority nobody else knows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])


def make_certificates(folder: Path, *names: str) -> tuple[Path, Path]:
    """Write an authority, and a server with its key for these names; return both PEM files."""
    signer, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority, server = folder / "authority.pem", folder / "server.pem"
    issued = _issue(_AUTHORITY, signer, signer, x509.BasicConstraints(ca=True, path_length=None))
    authority.write_bytes(issued.public_bytes(Encoding.PEM))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    issued = _issue(subject, own, signer, alternatives)
    server.write_bytes(private + issued.public_bytes(Encoding.PEM))
    return authority, server


def _issue(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )
