"""A78: a start with keys that everybody could have read, secrets that are none, or no door lock."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main, serve
from tests.harness.certificates import make_certificates
from tests.harness.tiny_bundle import write
from tests.harness.world import World

LONG = "a-secret-that-is-long-enough-for-anything"
HASH = "5" * 64
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def small(tmp_path: Path) -> World:
    """A world that is quick to start, and to refuse."""
    world = World(tmp_path, NOWHERE)
    write(world.bundle)
    return world


@pytest.fixture(autouse=True)
def _our_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process as it is."""
    monkeypatch.setattr(serve, "configure", lambda *_: None)


def started(world: World) -> tuple[int, str]:
    """Run `detent serve` where it will not come up; return its exit code and what it said."""
    result = CliRunner().invoke(main, ["serve", "--config", str(world.write())], env=world.environ)
    assert isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def file(world: World, name: str, content: str, mode: int) -> str:
    """Write a file with a mode; return its name."""
    path = world.directory / name
    path.write_text(content)
    path.chmod(mode)
    return name


def broker(source: dict[str, str]) -> dict[str, Any]:
    return {"credentials": {"key": {"static": {"header": "X-Api-Key", "secret": source}}}}


def canary(source: dict[str, str]) -> dict[str, Any]:
    return {"canaries": [{"name": "bait", "token": source}]}


def webhook(source: dict[str, str]) -> dict[str, Any]:
    return {"alerts": [{"webhook": {"url": "https://example.org", "secret": source}}]}


USES: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "broker": broker, "canary": canary, "webhook": webhook,
}  # fmt: skip


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_secret_that_others_can_reach_is_refused(
    small: World, use: Callable[[dict[str, str]], dict[str, Any]], mode: int
) -> None:
    """Somebody may have read it, or may write another; the message has the cure, not the secret."""
    small.settings = use({"file": file(small, "secret", LONG, mode)})
    code, said = started(small)
    assert code == 2
    assert "chmod 600" in said
    assert LONG not in said


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("value", ["changeme", "x" * 40, "short", ""])
def test_a_placeholder_is_no_secret(
    small: World, use: Callable[[dict[str, str]], dict[str, Any]], value: str
) -> None:
    """From a file as from the environment."""
    for source in ({"file": file(small, "secret", value, 0o600)}, {"env": "VALUE"}):
        small.environ = {"VALUE": value}
        small.settings = use(source)
        code, said = started(small)
        assert code == 2
        assert said.startswith("detent: ")


@pytest.mark.parametrize("length", [8, 24, 31])
def test_a_short_signing_secret_is_refused(small: World, length: int) -> None:
    """Alerts are signed with it by HMAC: 32 characters at least."""
    small.environ = {"HOOK": LONG[:length]}
    small.settings = webhook({"env": "HOOK"})
    code, said = started(small)
    assert code == 2
    assert "at least 32" in said


def test_signing_keys_that_others_can_reach_are_refused(small: World) -> None:
    """The directory, and each key in it."""
    keys = small.directory / "keys"
    small.settings = {"credentials": {"jwt": {"jwt": {"issuer": "https://x", "keys": "keys"}}}}
    keys.mkdir(mode=0o755)
    keys.chmod(0o755)
    assert started(small)[0] == 2
    keys.chmod(0o700)
    (keys / "stray.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (keys / "stray.pem").chmod(0o644)
    code, said = started(small)
    assert code == 2
    assert "detent: " in said


def test_a_tls_key_that_others_can_read_is_refused(small: World) -> None:
    """Anybody could pretend to be the gateway."""
    make_certificates(small.directory, "localhost")
    (small.directory / "server.pem").chmod(0o644)
    tls = {"tls_cert": "server.pem", "tls_key": "server.pem"}
    small.settings = {"listen": {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", **tls}}
    code, said = started(small)
    assert code == 2
    assert "chmod 600" in said


WITHOUT_A_LOCK: dict[str, dict[str, Any]] = {
    "a switch": {"auth": False},
    "a switch of identity": {"identity": {"disabled": True}},
    "anonymous agents": {"identity": {"anonymous": {"tenant": "acme"}}},
    "an agent without a token": {"identity": {"agents": [{"name": "a", "tenant": "acme"}]}},
    "an empty hash": {
        "identity": {"agents": [{"name": "a", "tenant": "acme", "token_sha256": ""}]}
    },
    "a token in place of its hash": {
        "identity": {"agents": [{"name": "a", "tenant": "acme", "token_sha256": "dta_" + "x" * 43}]}
    },
    "one token for two": {
        "identity": {
            "agents": [
                {"name": name, "tenant": tenant, "token_sha256": HASH}
                for name, tenant in (("a", "acme"), ("b", "globex"))
            ]
        }
    },
    "an agent's token for an operator": {
        "identity": {
            "agents": [{"name": "a", "tenant": "acme", "token_sha256": HASH}],
            "operators": [{"name": "o", "roles": ["kill"], "tenants": ["*"], "token_sha256": HASH}],
        }
    },
    "everybody's ports without TLS": {
        "listen": {"agents": "0.0.0.0:0", "operators": "127.0.0.1:0"}
    },
    "a secret in the file": {
        "credentials": {"key": {"static": {"header": "X-Api-Key", "secret": LONG}}}
    },
    "any page": {"listen": {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", "origins": ["*"]}},
    "a null page": {
        "listen": {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", "origins": ["null"]}
    },
}


@pytest.mark.parametrize("settings", WITHOUT_A_LOCK.values(), ids=WITHOUT_A_LOCK)
def test_there_is_no_way_to_leave_the_door_open(small: World, settings: dict[str, Any]) -> None:
    """No setting turns authentication off, and no secret stands in the file."""
    small.settings = settings
    code, said = started(small)
    assert code == 2
    assert said.startswith("detent: detent.yaml:")
    assert LONG not in said


@pytest.mark.parametrize("name", ["DETENT_AUTH", "DETENT_IDENTITY__DISABLED", "DETENT_INSECURE"])
def test_nor_does_the_environment(small: World, name: str) -> None:
    """A variable nobody knows is an unknown key."""
    small.environ = {name: "true"}
    code, said = started(small)
    assert code == 2
    assert "unknown key" in said


def test_what_a_start_makes_is_private(small: World) -> None:
    """Keys and ledger are ours alone from the first moment, whatever the umask says."""
    small.settings = {"credentials": {"jwt": {"jwt": {"issuer": "https://x", "keys": "keys"}}}}
    small.servers = {"x": {"http": {"base_url": "not a url"}}}
    before = os.umask(0)
    try:
        started(small)
    finally:
        os.umask(before)
    made = [*small.directory.glob("keys/**/*"), *small.directory.glob("keys")]
    assert made
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in made)
