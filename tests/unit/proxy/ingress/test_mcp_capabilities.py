from typing import Any

import pytest

from proxy.ingress.mcp_capabilities import (
    LOG_LEVELS,
    is_logged,
    missing_capabilities,
    server_capabilities,
)
from proxy.model.mcp import Era

CHANGING = {"listChanged": True}


@pytest.mark.parametrize(
    ("methods", "era", "told"),
    [
        ([], Era.HANDSHAKE, {}),
        (["prompts/get"], Era.HANDSHAKE, {"prompts": CHANGING}),
        (
            ["resources/read"],
            Era.STATELESS,
            {"resources": CHANGING | {"subscribe": False}},
        ),
        (
            ["resources/list", "resources/subscribe"],
            Era.STATELESS,
            {"resources": CHANGING | {"subscribe": True}},
        ),
        (
            ["completion/complete", "logging/setLevel"],
            Era.HANDSHAKE,
            {"completions": {}, "logging": {}},
        ),
        (["tasks/get"], Era.HANDSHAKE, {}),
        (
            ["tasks/result", "tasks/list"],
            Era.HANDSHAKE,
            {"tasks": {"list": {}, "requests": {"tools": {"call": {}}}}},
        ),
        (["tasks/result"], Era.STATELESS, {}),
        (
            ["tasks/update"],
            Era.STATELESS,
            {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        ),
    ],
)
def test_clients_are_told_what_the_manifest_offers(
    methods: list[str], era: Era, told: dict[str, Any]
) -> None:
    """Tools can always be listed; everything else has to have an entry."""
    offered = {("rec", method) for method in methods}
    assert server_capabilities(offered, era) == {"tools": CHANGING} | told


ELICIT, SAMPLE = "elicitation/create", "sampling/createMessage"


@pytest.mark.parametrize(
    ("method", "params", "declared", "missing"),
    [
        (ELICIT, {}, {"elicitation": {}}, {}),
        (ELICIT, {"mode": "form"}, {"elicitation": {"form": {}}}, {}),
        (ELICIT, {}, {}, {"elicitation": {}}),
        (ELICIT, {}, {"elicitation": True}, {"elicitation": {}}),
        (ELICIT, {}, {"elicitation": {"url": {}}}, {"elicitation": {}}),
        (ELICIT, {"mode": "url"}, {"elicitation": {}}, {"elicitation": {"url": {}}}),
        (ELICIT, {"mode": "url"}, {"elicitation": {"url": {}}}, {}),
        (SAMPLE, {}, {"sampling": {}}, {}),
        (SAMPLE, {"tools": []}, {"sampling": {}}, {"sampling": {"tools": {}}}),
        (SAMPLE, {"tools": []}, {"sampling": {"tools": {}}}, {}),
        ("roots/list", {}, {"sampling": {}}, {"roots": {}}),
        ("vendor/ask", {}, {}, {}),
    ],
)
def test_a_client_is_asked_only_what_it_declared(
    method: str, params: dict[str, Any], declared: dict[str, Any], missing: dict[str, Any]
) -> None:
    """Modes and parts of a capability count; methods nobody declares are for policy alone."""
    assert missing_capabilities([(method, params)], declared) == missing


def test_everything_that_is_missing_is_told_at_once() -> None:
    """As one ClientCapabilities object."""
    asked = [(ELICIT, {"mode": "url"}), (ELICIT, {}), (SAMPLE, {})]
    assert missing_capabilities(asked, {}) == {"elicitation": {"url": {}}, "sampling": {}}


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_levels_are_ordered(level: str) -> None:
    """As RFC 5424 has them: the wanted one and what is worse."""
    told = [one for one in LOG_LEVELS if is_logged(one, level)]
    assert told == list(LOG_LEVELS[LOG_LEVELS.index(level) :])


@pytest.mark.parametrize("level", [None, 1, "fatal", ["error"]])
def test_an_unknown_level_is_not_told(level: object) -> None:
    """It cannot be compared."""
    assert not is_logged(level, "debug")
