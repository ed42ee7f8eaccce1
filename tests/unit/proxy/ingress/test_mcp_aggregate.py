import json
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.mcp_aggregate import (
    joined_item,
    joined_params,
    joined_result,
    offering,
    routed,
)

OFFERED = frozenset(
    {
        ("a", "resources/read"),
        ("b", "resources/read"),
        ("b", "tasks/get"),
        ("a", "x/y"),
        ("b", "x/y"),
    }
)
PROMPT = {"type": "ref/prompt", "name": "a__p q"}
TEMPLATE = {"type": "ref/resource", "uri": "b+file:///{x}"}


@pytest.mark.parametrize(
    ("method", "params", "server", "own"),
    [
        ("prompts/get", {"name": "a__p q", "x": 1}, "a", {"name": "p q", "x": 1}),
        ("resources/read", {"uri": "b+file:///x"}, "b", {"uri": "file:///x"}),
        ("resources/subscribe", {"uri": "b+x+y:z"}, "b", {"uri": "x+y:z"}),
        ("completion/complete", {"ref": PROMPT}, "a", {"ref": PROMPT | {"name": "p q"}}),
        ("completion/complete", {"ref": TEMPLATE}, "b", {"ref": TEMPLATE | {"uri": "file:///{x}"}}),
        ("tasks/get", {"taskId": "t"}, "b", {"taskId": "t"}),
    ],
)
def test_a_request_means_one_server(
    method: str, params: dict[str, Any], server: str, own: dict[str, Any]
) -> None:
    """Which gets its own names, and everything else as it came."""
    assert routed(method, params, OFFERED) == (server, own)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "plain"}),
        ("prompts/get", {}),
        ("resources/read", {"uri": "file:///x"}),
        ("resources/read", {"uri": ["a+b"]}),
        ("completion/complete", {}),
        ("completion/complete", {"ref": []}),
        ("completion/complete", {"ref": {"type": ["ref/prompt"]}}),
        ("completion/complete", {"ref": {"type": "ref/other"}}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "plain"}}),
    ],
)
def test_a_name_of_no_server_is_invalid(method: str, params: dict[str, Any]) -> None:
    """It is not guessed."""
    with pytest.raises(BadRequest) as refused:
        routed(method, params, OFFERED)
    assert refused.value.rpc_code == -32602


@pytest.mark.parametrize("method", ["x/y", "y/z"])
def test_what_several_or_no_servers_offer_is_not_there(method: str) -> None:
    """Nothing in the request says whose it is."""
    with pytest.raises(LookupError):
        routed(method, {}, OFFERED)


def test_servers_are_listed_in_a_stable_order() -> None:
    """Merged lists are, too."""
    assert offering("resources/read", OFFERED) == ["a", "b"]


@pytest.mark.parametrize(
    ("method", "item", "joined"),
    [
        ("prompts/list", {"name": "p", "n": 1}, {"name": "a__p", "n": 1}),
        ("resources/list", {"uri": "f:x", "name": "x"}, {"uri": "a+f:x", "name": "x"}),
        ("resources/templates/list", {"uriTemplate": "f:{x}"}, {"uriTemplate": "a+f:{x}"}),
        ("resources/list", {"name": "x"}, None),
        ("resources/list", [], None),
    ],
)
def test_items_of_lists_get_joined_names(method: str, item: Any, joined: Any) -> None:
    """What has no name is left out."""
    found = joined_item(method, "a", json.dumps(item))
    assert (json.loads(found) if found else None) == joined


def test_a_prompt_that_could_be_mistaken_is_left_out() -> None:
    """Its server's name has the separator."""
    assert joined_item("prompts/list", "a__b", '{"name":"p"}') is None


LINK = {"type": "resource_link", "uri": "f:x", "name": "x"}
INSIDE = {"type": "resource", "resource": {"uri": "f:y", "text": "t"}}


@pytest.mark.parametrize(
    ("method", "result", "joined"),
    [
        (
            "resources/read",
            {"contents": [{"uri": "f:x", "text": "f:x"}]},
            {"contents": [{"uri": "a+f:x", "text": "f:x"}]},
        ),
        (
            "tools/call",
            {"content": [LINK, INSIDE, {"type": "text", "text": "f:x"}]},
            {
                "content": [
                    LINK | {"uri": "a+f:x"},
                    INSIDE | {"resource": {"uri": "a+f:y", "text": "t"}},
                    {"type": "text", "text": "f:x"},
                ]
            },
        ),
        (
            "prompts/get",
            {"messages": [{"role": "user", "content": INSIDE}, 1]},
            {
                "messages": [
                    {
                        "role": "user",
                        "content": INSIDE | {"resource": {"uri": "a+f:y", "text": "t"}},
                    },
                    1,
                ]
            },
        ),
        ("prompts/get", {"x": "resource"}, {"x": "resource"}),
    ],
)
def test_uris_in_results_can_be_read_again(method: str, result: Any, joined: Any) -> None:
    """On the same endpoint; texts are not touched."""
    assert json.loads(joined_result(method, "a", json.dumps(result).encode())) == joined


def test_a_result_without_resources_is_not_even_taken_apart() -> None:
    """It keeps its white space."""
    raw = b'{ "content": [ {"type":"text","text":"uri"} ] }'
    assert joined_result("tools/call", "a", raw) is raw


def test_names_are_not_looked_for_without_end() -> None:
    """Three levels are all there are."""
    deep = {"content": {"content": {"content": {"uri": "f:x"}}}}
    raw = json.dumps({"messages": [deep], "resource": 1}).encode()
    assert json.loads(joined_result("prompts/get", "a", raw))["messages"] == [deep]


def test_a_notification_names_a_uri_that_can_be_read() -> None:
    """Of its server."""
    assert json.loads(joined_params("a", b'{"uri":"f:x"}')) == {"uri": "a+f:x"}
