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
    ({"store": "postgresql://x"}, "pattern"),
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


def test_tls_declared_in_front_admits_other_addresses() -> None:
    """A load balancer that speaks TLS is said to be there."""
    listen = {"agents": "0.0.0.0:8787", "tls_terminated": True}
    assert Settings.model_validate({"listen": listen}).listen.agents.port == 8787
