"""A world to build gateways from, and what they are built with."""

import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from proxy.app.assemble import Assembled, assemble
from proxy.app.build import Builder
from proxy.app.secrets import Secrets
from proxy.config import Settings, load_settings
from proxy.observability.masking import Masker
from proxy.pdp.find_opa import find_opa
from tests.harness.tiny_bundle import write
from tests.harness.world import World

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def opa() -> Path:
    """The real OPA."""
    return find_opa().path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """What a gateway is made from: a bundle that is quick to load, a server nobody calls."""
    world = World(tmp_path, NOBODY)
    write(world.bundle)
    return world


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings of some blocks, the way a file gives them."""

    def make(**blocks: Any) -> Settings:
        return Settings.model_validate({"directory": tmp_path, **blocks})

    return make


@pytest.fixture
def builder_of(settings_of: Callable[..., Settings]) -> Callable[..., Builder]:
    """Make the builder of such settings; its environment has one secret, `KEY`."""

    def make(**blocks: Any) -> Builder:
        settings = settings_of(**blocks)
        return Builder(settings, Secrets(settings, {"KEY": "a-secret-of-more-than-32-characters"}))

    return make


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that temporary files go to."""
    place = tmp_path / "t"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
async def assembled(world: World) -> AsyncIterator[Assembled]:
    """A gateway that is ready to start, and is stopped whatever happens."""
    made = assemble(load_settings(world.write(), {}), {}, Masker())
    yield made
    await made.gateway.stop()
    made.cleanup()


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `cert.pem` for 127.0.0.1, its `key.pem` and others that do not fit."""
    folder = tmp_path_factory.mktemp("pem")
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "detent")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    folder.joinpath("cert.pem").write_bytes(cert.public_bytes(Encoding.PEM))
    folder.joinpath("broken.pem").write_text("no certificate")
    for file, private, encryption in (
        ("key.pem", key, NoEncryption()),
        ("open.pem", key, NoEncryption()),
        ("other.pem", other, NoEncryption()),
        ("locked.pem", key, BestAvailableEncryption(b"word")),
    ):
        path = folder / file
        path.touch(0o644 if file == "open.pem" else 0o600)
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return folder
