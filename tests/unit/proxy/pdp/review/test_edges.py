from typing import Any

import pytest

from proxy.pdp.review.edges import (
    MAX_TEXT_CHARS,
    MISSING,
    inside,
    of_constraint,
    of_text,
    of_value,
    twin,
)

WORKSPACES = {"scratch": "/srv/scratch"}


def edges(**constraint: Any) -> list[Any]:
    """Return the values at the edges of a constraint."""
    return [edge.value for edge in of_constraint({"argument": "x", **constraint}, WORKSPACES)]


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"max": 200}, [200, 201, 199, "200"]),
        ({"min": 1}, [1, 2, 0]),
        ({"max_length": 3}, ["aaa", "aaaa", ["a"] * 3, ["a"] * 4]),
        ({"one_of": ["local", "all"]}, ["local", "all", "LOCAL", "local ", "lосаl", ["local", "all"]]),  # noqa: RUF001, E501
        ({"one_of": [2, 5]}, [2, 5, 6, 1]),
        ({"path_within": ["$scratch"]}, ["/srv/scratch", "/srv/scratch-evil", "/srv/scratch/../evil"]),  # noqa: E501
        ({"path_within": ["/"]}, ["/", "../a", "~/a"]),
        ({"path_within": ["$gone"]}, ["$gone", "$gone/a"]),
        ({"host_in": ["*.corp.example"]}, ["https://x.corp.example/", "https://corp.example/", "https://evilcorp.example/", "https://x.corp.example.evil.example/"]),  # noqa: E501
        ({"cidr_in": ["192.0.2.0/30"]}, ["http://192.0.2.0/", "http://192.0.2.3/", "http://192.0.2.4/", "http://192.0.1.255/"]),  # noqa: E501
        ({"cidr_in": ["2001:db8::/127"]}, ["http://[2001:db8::1]/", "http://[2001:db8::2]/"]),
        ({"cidr_in": ["0.0.0.0/0"]}, ["http://0.0.0.0/", "http://255.255.255.255/"]),
    ],
)  # fmt: skip
def test_the_edges_of_a_constraint_are_on_both_sides_of_it(
    constraint: dict[str, Any], expected: list[Any]
) -> None:
    """At the bound, one step in, one step out, and what only looks like it."""
    found = edges(**constraint)
    assert [value for value in expected if value not in found] == []


@pytest.mark.parametrize(
    "constraint",
    [
        {"max": "200"},
        {"max": True},
        {"max_length": "3"},
        {"max_length": 0},
        {"max_length": MAX_TEXT_CHARS},
        {"relative_ok": True},
        {"path_wihtin": ["$scratch"]},
    ],
)
def test_what_cannot_be_read_has_no_edges(constraint: dict[str, Any]) -> None:
    """The policy itself refuses such a constraint, or it would make texts of megabytes."""
    assert edges(**constraint) == []


def test_a_network_nobody_can_read_is_passed_over() -> None:
    """Its neighbours are not."""
    assert edges(cidr_in=["everywhere"]) == ["http://localhost/"]


def test_a_long_cap_has_no_list_as_long() -> None:
    """A text of that length is enough."""
    found = edges(max_length=4_000)
    assert [len(value) for value in found] == [4_000, 4_001, 4_000]


@pytest.mark.parametrize("value", ["a", 7, 7.5, True, None, [], ["a"], [1, ["b"]], {"a": 1}])
def test_a_value_of_any_type_is_also_missing_null_and_of_another(value: Any) -> None:
    """No rule may be disarmed by that."""
    found = [edge.value for edge in of_value(value)]
    assert MISSING in found
    assert None in found
    assert len({type(one) for one in found}) >= 4


def test_the_last_item_of_a_list_goes_to_its_own_edges() -> None:
    """The others stay inside: one bad item must be enough."""
    found = [edge.value for edge in of_value(["a.txt"])]
    assert ["a.txt", "a.txt/../.."] in found
    assert ["a.txt", None] in found
    assert [] in found


def test_texts_that_look_alike_differ() -> None:
    """Every edge of a text is another text."""
    found = [edge.value for edge in of_text("main")]
    assert "main" not in found
    assert len(set(found)) == len(found)
    assert twin("acme") != "acme"


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        ({"path_within": ["$scratch"], "max_length": 9}, "/srv/scratch"),
        ({"host_in": ["*.corp.example"]}, "https://x.corp.example/"),
        ({"cidr_in": ["192.0.2.0/24"]}, "http://192.0.2.0/"),
        ({"cidr_in": ["everywhere"]}, "http://127.0.0.1/"),
        ({"one_of": ["b", "a"]}, "b"),
        ({"min": 3, "max": 9}, 3),
        ({"max": 9}, 9),
        ({"max_length": 9}, "a"),
    ],
)
def test_a_value_inside_is_known_for_every_kind(constraint: dict[str, Any], value: Any) -> None:
    """What the call that everything else departs from has."""
    assert inside(constraint, WORKSPACES) == value
