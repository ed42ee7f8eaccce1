from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.settings import Settings

BAD: list[tuple[dict[str, Any], str]] = [
    ({"listen": {"agents": "0.0.0.0:8787"}}, "beyond loopback"),
    ({"listen": {"agents": "8787"}}, "host:port"),
    ({"listen": {"tls_cert": "a.pem"}}, "go together"),
    ({"policy": {"engine": "remote"}}, "policy.remote.url"),
    ({"servers": {"x": {"mcp": {}}}}, "exactly one"),
    ({"servers": {"x": {"mcp": {"command": ["a"], "url": "http://x"}}}}, "exactly one"),
    ({"servers": {"x": {"http": {"base_url": "u"}, "env": {"DETENT_X": "1"}}}}, "never gets it"),
    ({"servers": {"a_b": {"http": {"base_url": "u"}}}}, "pattern"),
    ({"credentials": {"x": {}}}, "exactly one"),
    ({"canaries": [{"name": "c", "token": {}}]}, "exactly one"),
    ({"store": "mysql://x"}, "pattern"),
    ({"store": "postgresql://detent:s3cret@host/ledger"}, "no password in the URL"),
    ({"identity": {"agents": [{"name": "a", "tenant": "t", "token_sha256": "short"}]}}, "pattern"),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_unsafe_or_unclear_settings_are_refused(values: dict[str, Any], message: str) -> None:
    """Each refusal says what is wrong."""
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(values)


def test_the_defaults_bind_loopback() -> None:
    """Nothing listens to other machines unless told to."""
    listen = Settings().listen
    assert listen.agents.is_loopback
    assert listen.operators.is_loopback


def test_probes_may_come_from_anywhere_and_only_when_wanted() -> None:
    """Their port tells nothing, so it needs no TLS; it is off until it is named."""
    assert Settings().listen.health is None
    listen = Settings.model_validate({"listen": {"health": "0.0.0.0:8790"}}).listen
    assert listen.health is not None
    assert not listen.health.is_loopback


def test_tls_declared_in_front_admits_other_addresses() -> None:
    """A load balancer that speaks TLS is said to be there."""
    listen = {"agents": "0.0.0.0:8787", "tls_terminated": True}
    assert Settings.model_validate({"listen": listen}).listen.agents.port == 8787


def test_a_store_is_a_file_or_a_database() -> None:
    """The halt file lies on this machine either way."""
    settings = Settings.model_validate({"store": "postgresql://detent@db.example:5432/ledger"})
    assert settings.halt_file == settings.directory / "var/detent.halt"
    assert Settings().halt_file == Settings().database.with_suffix(".halt")


def test_a_path_may_look_like_a_password() -> None:
    """A file's name is its own affair."""
    assert Settings.model_validate({"store": "sqlite:///a:b@c.db"}).database.name == "a:b@c.db"


def test_a_password_in_the_url_is_not_repeated() -> None:
    """Not by the message either."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"store": "postgresql://detent:s3cret@host/ledger"})
    assert "s3cret" not in refused.value.errors()[0]["msg"]


def test_the_halt_file_is_where_it_is_said_to_be() -> None:
    """A read-only place of the settings needs another; without a word it is beside the ledger."""
    assert Settings().halt_file.name == "detent.halt"
    named = Settings.model_validate({"kill": {"halt_file": "/var/lib/detent/detent.halt"}})
    assert str(named.halt_file) == "/var/lib/detent/detent.halt"


@pytest.mark.parametrize(
    ("blocks", "cure"),
    [
        ({}, "set store: postgresql://"),
        (
            {
                "store": "postgresql://detent@db.example/ledger",
                "attach": {"url": "https://gw.example", "token": {"env": "T"}},
            },
            "leave `workers` out",
        ),
    ],
)
def test_workers_need_a_ledger_they_can_share(blocks: dict[str, Any], cure: str) -> None:
    """A SQLite file is one process's alone; a sidecar is one process."""
    assert Settings.model_validate(blocks | {"workers": 1}).workers == 1
    with pytest.raises(ValidationError, match=cure):
        Settings.model_validate(blocks | {"workers": 2})
    assert Settings.model_validate({"store": "postgres://u@h/d", "workers": 2}).workers == 2
