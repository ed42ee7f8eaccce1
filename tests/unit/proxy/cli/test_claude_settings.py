from typing import Any

import pytest

from proxy.cli.claude_settings import EVENTS, guarded_settings, hook, locked_settings, with_server

URL = "http://127.0.0.1:8787"
OTHER: dict[str, Any] = {"matcher": "Bash", "hooks": [{"type": "command", "command": "lint"}]}


def test_every_event_asks_the_gateway_and_blocks_without_an_answer() -> None:
    """The token is named, never written."""
    hooks = guarded_settings({}, URL)["hooks"]
    assert set(hooks) == set(EVENTS)
    assert all(entries == [{"hooks": [hook(URL)]}] for entries in hooks.values())
    assert hook(URL) == {
        "type": "http",
        "url": "http://127.0.0.1:8787/hooks/claude-code",
        "timeout": 10,
        "onFailure": "block",
        "headers": {"Authorization": "Bearer $DETENT_TOKEN"},
        "allowedEnvVars": ["DETENT_TOKEN"],
    }


def test_what_is_there_stays() -> None:
    """Other settings, other events, other hooks of the same event."""
    given: dict[str, Any] = {
        "model": "x",
        "hooks": {"PreToolUse": [OTHER, "odd"], "Notification": [OTHER]},
    }
    after = guarded_settings(given, URL)
    assert after["model"] == "x"
    assert after["hooks"]["Notification"] == [OTHER]
    assert after["hooks"]["PreToolUse"] == [OTHER, "odd", {"hooks": [hook(URL)]}]
    assert given["hooks"]["PreToolUse"] == [OTHER, "odd"]


@pytest.mark.parametrize("settle", [guarded_settings, locked_settings, with_server])
def test_doing_it_again_changes_nothing(settle: Any) -> None:
    """Nor does it pile up."""
    once = settle({"hooks": {"PreToolUse": [OTHER]}}, URL)
    assert settle(once, URL) == once


def test_another_port_takes_the_place_of_the_old_one() -> None:
    """A hook of ours beside one of others goes alone."""
    mixed = {"hooks": [hook(URL), *OTHER["hooks"]]}
    after = guarded_settings({"hooks": {"PreToolUse": [mixed]}}, "http://127.0.0.1:9999")
    first, second = after["hooks"]["PreToolUse"]
    assert first == {"hooks": OTHER["hooks"]}
    assert second == {"hooks": [hook("http://127.0.0.1:9999")]}


def test_managed_settings_cannot_be_switched_off_from_below() -> None:
    """Hooks, permission modes, MCP servers, URLs, versions."""
    after = locked_settings({}, URL)
    assert after["allowManagedHooksOnly"] is True
    assert after["disableAllHooks"] is False
    assert after["allowedHttpHookUrls"] == [f"{URL}/hooks/claude-code"]
    assert after["httpHookAllowedEnvVars"] == ["DETENT_TOKEN"]
    assert after["permissions"]["disableBypassPermissionsMode"] == "disable"
    assert after["permissions"]["disableAutoMode"] == "disable"
    assert after["allowManagedMcpServersOnly"] is True
    assert after["allowedMcpServers"] == [{"serverUrl": f"{URL}/mcp"}]
    assert set(after["hooks"]) == set(EVENTS)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (None, "2.1.295"),
        ("2.0.9", "2.1.295"),
        ("2.1.330", "2.1.330"),
        ("3.0", "3.0"),
        (7, "2.1.295"),
    ],
)
def test_the_oldest_version_is_never_lowered(known: object, wanted: str) -> None:
    """An organization that asks for more gets more."""
    given = {} if known is None else {"requiredMinimumVersion": known}
    assert locked_settings(given, URL)["requiredMinimumVersion"] == wanted


def test_the_gateway_is_an_mcp_server() -> None:
    """Beside those that are there; its token comes from the environment."""
    after = with_server({"mcpServers": {"mine": {"command": "x"}}}, URL)
    assert after["mcpServers"]["mine"] == {"command": "x"}
    assert after["mcpServers"]["detent"] == {
        "type": "http",
        "url": f"{URL}/mcp",
        "headers": {"Authorization": "Bearer ${DETENT_TOKEN}"},
    }


@pytest.mark.parametrize("given", [{"hooks": []}, {"hooks": {"PreToolUse": {}}}])
def test_settings_of_another_form_are_not_replaced(given: dict[str, Any]) -> None:
    """What nobody understands is left to people."""
    with pytest.raises(TypeError, match="is no "):
        guarded_settings(given, URL)
