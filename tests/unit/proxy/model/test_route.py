"""Path templates: what they read, and when two of them can be the same request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.route import Route, has_structure, is_dots, split_template, whole_numbers


def read(path: str, *segments: str, whole: tuple[str, ...] = ()) -> dict[str, str] | None:
    return Route.of("GET", path, whole).read(segments)


def confused(path: str, other: str, *, whole: tuple[str, ...] = ()) -> bool:
    one, two = Route.of("GET", path, whole), Route.of("GET", other, whole)
    assert one.is_confused_with(two) == two.is_confused_with(one)
    return one.is_confused_with(two)


def test_a_template_is_split_into_literals_and_names() -> None:
    """Names stand at the odd places."""
    assert split_template("/a/{b}-{c}.json") == (("a",), ("", "b", "-", "c", ".json"))


@pytest.mark.parametrize(
    ("path", "segments", "values"),
    [
        ("/a/{b}", ("a", "x y"), {"b": "x y"}),
        ("/{t}.json", ("a.json.json",), {"t": "a.json"}),
        ("/{a}-{b}", ("x-y",), {"a": "x", "b": "y"}),
        ("/%7Eme/{b}", ("~me", "1"), {"b": "1"}),
        ("/", ("",), {}),
        ("/a/", ("a", ""), {}),
        ("/a/{b}", ("A", "x"), None),
        ("/{t}.json", (".json",), None),
        ("/{t}.json", ("a.csv",), None),
        ("/{b}", ("",), None),
        ("/a.c", ("abc",), None),
    ],
)
def test_places_take_the_text_that_stands_there(
    path: str, segments: tuple[str, ...], values: dict[str, str] | None
) -> None:
    """Letter for letter, and never nothing."""
    assert read(path, *segments) == values


@pytest.mark.parametrize(
    ("path", "text"), [("/{a}-{b}", "x-y-z"), ("/{a}{b}", "xyz"), ("/{a}.{b}.{c}", "1.2.3.4")]
)
def test_two_readings_are_none(path: str, text: str) -> None:
    """Nobody guesses where one place ends."""
    with pytest.raises(ValueError, match="two readings"):
        read(path, text)


@pytest.mark.parametrize(
    ("text", "fits"), [("12", True), ("-3", True), ("", False), ("x", False), ("\u0661", False)]
)
def test_a_place_of_whole_numbers_takes_nothing_else(text: str, fits: bool) -> None:
    """So `/items/{id}` is not `/items/mine`."""
    assert (read("/{id}", text, whole=("id",)) is not None) == fits


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/{a}", "/{b}"),
        ("/{a}/x", "/y/{b}"),
        ("/{a}.json", "/x-{b}"),
        ("/{a}.json", "/{a}.json"),
        ("/x", "/x"),
        ("/a/{n}", "/{b}/c"),
    ],
)
def test_routes_that_can_be_confused(path: str, other: str) -> None:
    """One request fits both, and neither is the more literal one."""
    assert confused(path, other)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/users/me", "/users/{id}"),
        ("/{a}.json", "/{a}"),
        ("/{a}.json", "/{a}.csv"),
        ("/x-{a}", "/y-{b}"),
        ("/a", "/b"),
        ("/a", "/a/"),
        ("/{a}/x/{b}", "/{a}/{c}/{b}"),
        ("/{n}/x", "/y/{b}"),
        ("/{n}", "/{b}"),
    ],
)
def test_routes_that_cannot(path: str, other: str) -> None:
    """They never meet, or one is the more literal one everywhere; `n` is a whole number."""
    assert not confused(path, other, whole=("n",))


def test_other_methods_are_other_routes() -> None:
    """Whatever their paths."""
    assert not Route.of("GET", "/{a}").is_confused_with(Route.of("PUT", "/{a}"))


def test_the_more_literal_route_is_the_smaller_one() -> None:
    """Literals before mixtures, before whole numbers, before any text."""
    paths = ["/{a}", "/{n}", "/{a}.json", "/a"]
    ranks = [Route.of("GET", path, ("n",)).ranks for path in paths]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 4


@pytest.mark.parametrize(
    "text", ["a/b", "a\\b", "a%2fb", "%2e", "a\0", "a\nb", "\x7f", "\x9f", "\u2028", "\uff0f"]
)
def test_structure_is_found(text: str) -> None:
    """Also after folding, and after decoding once more."""
    assert has_structure(text)


@pytest.mark.parametrize("text", ["a b", "100% sure", "a;b", "a?b#c", "\u00e9", "..."])
def test_data_is_no_structure(text: str) -> None:
    """Whatever can be escaped."""
    assert not has_structure(text)


@pytest.mark.parametrize(
    ("text", "dots"),
    [("", True), (".", True), ("..", True), (" ..", True), ("..;x", True), (";x", True),
     ("\uff0e\uff0e", True), ("\u2025", True), ("...", False), (".a", False), ("a..", False)],
)  # fmt: skip
def test_dots_are_found(text: str, dots: bool) -> None:
    """In the spellings that servers take for `.`, `..` and nothing."""
    assert is_dots(text) == dots


def test_whole_numbers_are_those_the_schema_says_so_of() -> None:
    """And nothing else besides."""
    about = {"a": {"type": "integer"}, "b": {"type": ["integer"]}, "c": {"type": "number"}}
    more = {"d": {"type": ["integer", "string"]}, "e": True}
    assert whole_numbers({"properties": about | more}) == {"a", "b"}
    assert whole_numbers({}) == frozenset()


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_is_read_can_be_put_back(first: str, second: str) -> None:
    """The places and the literals are the whole segment."""
    segment = f"{first}-{second}"
    try:
        values = read("/{a}-{b}", segment)
    except ValueError:
        return
    assert values is not None
    assert f"{values['a']}-{values['b']}" == segment
