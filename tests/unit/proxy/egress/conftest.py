"""Servers, clients and certificates of the egress tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits
from tests.harness.wire import Wire


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on asyncio's own loop and on uvloop, which hands bytes over later."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Give a tool on loopback that keeps every byte."""
    async with Wire() as server:
        yield server


MakeClient = Callable[..., EgressClient]


@pytest.fixture
async def make_client(wire: Wire) -> AsyncIterator[MakeClient]:
    """Give a maker of clients, of the wire unless told otherwise."""
    made: list[EgressClient] = []

    def make(
        url: str = "", limits: EgressLimits | None = None, ca_file: str | None = None
    ) -> EgressClient:
        policy = AddressPolicy(allow_private=True)
        made.append(EgressClient(url or wire.url, policy, limits, ca_file))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def client(make_client: MakeClient) -> EgressClient:
    """Give a client of the wire."""
    return make_client()


def _certificate(
    name: str, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, *, authority: bool
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = signer if authority else ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return built, key


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with `ca.pem`, and `server.pem` for localhost and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    authority, _ = _certificate("authority", issuer, signer, authority=True)
    server, key = _certificate("localhost", issuer, signer, authority=False)
    folder.joinpath("ca.pem").write_bytes(authority.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    folder.joinpath("server.pem").write_bytes(private + server.public_bytes(Encoding.PEM))
    return folder


@pytest.fixture
def authority(certificates: Path) -> Path:
    """Give the file of a certificate authority nobody else knows."""
    return certificates / "ca.pem"


@pytest.fixture
async def tls_wire(certificates: Path) -> AsyncIterator[Wire]:
    """Give a wire that speaks TLS with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem")
    async with Wire(tls=context) as server:
        yield server
