"""Path templates: a value stays its segment."""

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ConfigError, UpstreamFailed
from proxy.upstream.url_template import UrlTemplate

ROWS = UrlTemplate("/{database}/{table}/-/rows/{row}.json")


def test_places_are_filled() -> None:
    """Each value goes where its name stands."""
    values = {"database": "db", "table": "t", "row": "7"}
    assert ROWS.fill(values) == "/db/t/-/rows/7.json"
    assert ROWS.names == ("database", "table", "row")


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a b", "a%20b"),
        ("a?b#c", "a%3Fb%23c"),
        ("a;x=1", "a%3Bx%3D1"),
        ("100%", "100%25"),
        ("a+b&c=d", "a%2Bb%26c%3Dd"),
        ("é世", "%C3%A9%E4%B8%96"),
        ("..a", "..a"),
        ("a..", "a.."),
        ("...", "..."),
        ("~a-b_c.d", "~a-b_c.d"),
        ("@:$,!'()*", "%40%3A%24%2C%21%27%28%29%2A"),
    ],
)
def test_data_is_encoded(value: str, segment: str) -> None:
    """What is data in one segment is percent-encoded."""
    assert UrlTemplate("/a/{x}").fill({"x": value}) == f"/a/{segment}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        " .. ",
        ".;",
        "..;",
        "..;/x",
        ";x=",
        "a/b",
        "../admin",
        "..\\admin",
        "a\\b",
        "%2e%2e%2f",
        "%2E",
        "%252e%252e",
        "%2e\u0301",  # composing hides the e
        "a%2fb",
        "%00",
        "a\x00b",
        "a\r\nb",
        "a\tb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "\uff0e\uff0e",
        "\u2025",
        "a\uff0fb",
        "a\uff3cb",
        "\ud800",
    ],
)
def test_structure_is_refused(value: str) -> None:
    """What some server may read as structure, now or after decoding again, is refused."""
    with pytest.raises(UpstreamFailed):
        UrlTemplate("/a/{x}/b").fill({"x": value})


def test_parts_that_make_dots_together_are_refused() -> None:
    """Two harmless values in one segment do not make a dot segment."""
    with pytest.raises(UpstreamFailed):
        UrlTemplate("/{a}{b}").fill({"a": ".", "b": "."})


def test_a_missing_value_is_refused() -> None:
    """A path with a hole is not sent."""
    with pytest.raises(UpstreamFailed, match="row"):
        ROWS.fill({"database": "a", "table": "b"})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["database", "table", "row"]), st.text(), min_size=3))
def test_whatever_is_filled_in_comes_back_out(values: dict[str, str]) -> None:
    """A filled path has the template's segments, and each decodes to its value."""
    try:
        path = ROWS.fill(values)
    except UpstreamFailed:
        return
    assert ROWS.matches(path)
    segments = [unquote(segment) for segment in path.split("/")]
    expected = [values["database"], values["table"], "-", "rows", values["row"] + ".json"]
    assert segments == ["", *expected]


@pytest.mark.parametrize("path", ["/a/b", "/a/x/b/c", "/a/x/b/", "/a//b", "/a/x?/b", "/c/x/b"])
def test_other_paths_do_not_match(path: str) -> None:
    """A path with other segments is not this template's."""
    assert not UrlTemplate("/a/{x}/b").matches(path)


@pytest.mark.parametrize("path", ["/", "/a/", "/a/{x}", "/{x}/", "/a%20b/{x}", "/a:b/~{x}"])
def test_templates_that_are_good(path: str) -> None:
    """The root, trailing slashes and encoded literals are templates."""
    template = UrlTemplate(path)
    assert template.matches(template.fill(dict.fromkeys(template.names, "v")))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a/{x}",
        "/a//b",
        "/a/../b",
        "/./b",
        "/%2e%2e/b",
        "/a b",
        "/{x",
        "/x}",
        "/{}",
        "/{a b}",
        "/{x}/{x}",
        "/a?b=c",
        "/a#b",
        "/%zz",
        "/a\\b",
        "/é",
    ],
)
def test_templates_that_are_not(path: str) -> None:
    """What is no plain path is a mistake in the configuration."""
    with pytest.raises(ConfigError):
        UrlTemplate(path)
