from collections.abc import Callable
from typing import Any

import pytest

from proxy.app.tiers import summary, tier_of, tiers_of
from proxy.config import Settings
from proxy.model.tool import CredentialRule, Effect, Tier, ToolManifest

SERVERS = {
    "rest": {"http": {"base_url": "https://rest.example"}},
    "mcp": {"mcp": {"url": "https://mcp.example"}},
    "child": {"mcp": {"command": ["server"]}},
}
BROKERS = {
    "tokens": {"jwt": {"issuer": "https://detent.example", "keys": "keys"}},
    "key": {"static": {"secret": {"env": "KEY"}}},
}


@pytest.fixture
def settings(settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(servers=SERVERS, credentials=BROKERS)


def manifest(server: str, broker: str, **more: Any) -> ToolManifest:
    return ToolManifest(server, "write", Effect.WRITE, credential=CredentialRule(broker), **more)


@pytest.mark.parametrize(
    ("server", "broker", "tier"),
    [
        ("rest", "tokens", Tier.A),
        ("mcp", "tokens", Tier.A),
        ("child", "tokens", Tier.B),
        ("absent", "tokens", Tier.B),
        ("rest", "key", Tier.B),
        ("rest", "none", Tier.B),
        ("rest", "absent", Tier.B),
    ],
)
def test_a_tier_hangs_on_what_the_service_can_check(
    settings: Settings, server: str, broker: str, tier: Tier
) -> None:
    """A token that ends with the kill lease, in a header that gets there."""
    assert tier_of(manifest(server, broker), settings) is tier


def test_what_an_agent_runs_itself_is_tier_c(settings: Settings) -> None:
    """Whatever else its manifest says."""
    assert tier_of(manifest("rest", "tokens", hooks=True), settings) is Tier.C


def test_tiers_are_told_by_tool_and_by_server(settings: Settings) -> None:
    """For the operators' views, and for `detent check`."""
    tools = [manifest("rest", "tokens"), manifest("child", "none")]
    assert tiers_of(tools, settings) == {"rest/write": Tier.A, "child/write": Tier.B}
    assert [(server, text[-8:]) for server, text in summary(tools, settings)] == [
        ("child", "(tier B)"),
        ("rest", "(tier A)"),
    ]
