"""The URL of a database."""

import ssl
from pathlib import Path

import pytest

from proxy.stores.postgres.address import TLS_MODES, Address, no_password

HERE = (("127.0.0.1", 5432),)
GOOD = {
    "postgresql://u@127.0.0.1/d": (HERE, "disable"),
    "postgres://u@127.0.0.1/d": (HERE, "disable"),
    "postgresql://u@localhost:6000/d": ((("localhost", 6000),), "disable"),
    "postgresql://u@[::1]:6000/d": ((("::1", 6000),), "disable"),
    "postgresql://u@[2001:db8::1]/d": ((("2001:db8::1", 5432),), "verify-full"),
    "postgresql://u@db.example/d": ((("db.example", 5432),), "verify-full"),
    "postgresql://u@a:1,b/d": ((("a", 1), ("b", 5432)), "verify-full"),
    "postgresql://u@127.0.0.1,b/d": ((*HERE, ("b", 5432)), "verify-full"),
    "postgresql://u@db.example/d?sslmode=disable": ((("db.example", 5432),), "disable"),
    "postgresql://u@db.example/d?sslmode=require": ((("db.example", 5432),), "require"),
    "postgresql://u@/d?host=/run/postgresql": ((("/run/postgresql", 5432),), "disable"),
    "postgresql://u@/d?host=/run/postgresql&port=6000": ((("/run/postgresql", 6000),), "disable"),
}
BAD = {
    "mysql://u@h/d": "a PostgreSQL store is",
    "postgresql://u:s3cret@h/d": "store_password",
    "postgresql://u@h/d#s3cret": "store_password",
    "postgresql://h/d": "names no user",
    "postgresql://u@h": "names no database",
    "postgresql://u@h/%00": "names no database",
    "postgresql://u@/d": "name the host",
    "postgresql://u@h:0/d": "a port is",
    "postgresql://u@h:99999/d": "a port is",
    "postgresql://u@h:x/d": "a port is",
    "postgresql://u@h/d?sslmode=prefer": "sslmode is one of",
    "postgresql://u@h/d?password=s3cret": "unknown parameter",
    "postgresql://u@h/d?options=-cfsync=off": "unknown parameter",
    "postgresql://u@h/d?sslcert=a.pem": "go together",
    "postgresql://u@h/d?connections=1": "connections is",
    "postgresql://u@h/d?connections=201": "connections is",
    "postgresql://u@h/d?connections=x": "connections is",
}


@pytest.mark.parametrize("url", GOOD)
def test_hosts_and_tls_come_from_the_url(url: str) -> None:
    """Whatever leaves this machine is encrypted and verified unless the URL says otherwise."""
    address = Address.parse(url)
    hosts, tls = GOOD[url]
    assert (address.hosts, address.tls) == (hosts, tls)
    assert (address.user, address.database) == ("u", "d")
    assert address.is_local == all(host[0] in "1l:/" for host, _ in hosts)


@pytest.mark.parametrize(("url", "problem"), BAD.items(), ids=range(len(BAD)))
def test_what_is_unclear_or_unsafe_is_refused(url: str, problem: str) -> None:
    """And not repeated."""
    with pytest.raises(ValueError, match=problem) as refused:
        Address.parse(url)
    assert "s3cret" not in str(refused.value)


def test_what_the_url_leaves_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and the files of libpq are not asked."""
    monkeypatch.setenv("PGPASSWORD", "from-the-environment")
    address = Address.parse("postgresql://u%40x@h/my%20db?application_name=a&connections=7")
    assert (address.user, address.database) == ("u@x", "my db")
    assert (address.application_name, address.connections) == ("a", 7)
    arguments = address.arguments()
    assert arguments["password"]() == no_password() == ""
    assert arguments["target_session_attrs"] == "primary"


def test_what_is_shown_names_hosts_only() -> None:
    """No user, no database, no password."""
    address = Address.parse("postgresql://u@a:1,b/d", lambda: "s3cret")
    assert str(address) == "postgresql://a:1,b:5432"
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize("mode", TLS_MODES)
def test_each_mode_checks_what_its_name_says(mode: str) -> None:
    """As libpq's do."""
    context = Address.parse(f"postgresql://u@h/d?sslmode={mode}").tls_context()
    if mode == "disable":
        assert context is False
        return
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname is (mode == "verify-full")
    assert (context.verify_mode is ssl.CERT_NONE) is (mode == "require")
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("files", ["sslrootcert=ca.pem", "sslcert=ca.pem&sslkey=ca.pem"])
def test_files_lie_beside_the_settings_and_have_to_be_pem(tmp_path: Path, files: str) -> None:
    """A wrong one is found before anything is connected to."""
    address = Address.parse(f"postgresql://u@h/d?{files}", directory=tmp_path)
    with pytest.raises(FileNotFoundError):
        address.tls_context()
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        address.tls_context()
