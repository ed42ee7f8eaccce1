import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ingress.mcp_names import (
    joined_name,
    joined_prompt,
    joined_uri,
    split_name,
    split_prompt,
    split_uri,
)

NAMES = st.text("ab_.-", min_size=1, max_size=6)
ANYTHING = st.text("a_+ /é\n", min_size=1, max_size=6)


@given(NAMES, NAMES)
def test_a_joined_name_splits_into_the_same_two(server: str, tool: str) -> None:
    """Or there is none: two tools never share a name."""
    joined = joined_name(server, tool)
    assert joined is None or split_name(joined) == (server, tool)


@pytest.mark.parametrize(
    ("server", "tool", "joined"),
    [
        ("repo", "git_log", "repo__git_log"),
        ("repo", "a__b", "repo__a__b"),
        ("re__po", "log", None),
        ("repo_", "log", None),
        ("repo", "_log", "repo___log"),
    ],
)
def test_the_first_separator_parts(server: str, tool: str, joined: str | None) -> None:
    """Servers with a separator of their own are only on their own endpoint."""
    assert joined_name(server, tool) == joined


@pytest.mark.parametrize("name", [None, 1, "", "log", "__log", "repo__", "re po__log"])
def test_other_names_have_no_parts(name: object) -> None:
    """They are no tool's."""
    assert split_name(name) is None


@given(NAMES, ANYTHING)
def test_prompts_may_have_any_name(server: str, prompt: str) -> None:
    """Or there is no joined one: two prompts never share a name."""
    joined = joined_prompt(server, prompt)
    assert joined is None or split_prompt(joined) == (server, prompt)


@given(NAMES, ANYTHING)
def test_a_joined_uri_splits_into_the_same_two(server: str, uri: str) -> None:
    """Always: names of servers have no plus sign."""
    assert split_uri(joined_uri(server, uri)) == (server, uri)


@pytest.mark.parametrize("uri", [None, 1, "", "file:///x", "+file:///x", "repo+", "re po+file:x"])
def test_other_uris_have_no_parts(uri: object) -> None:
    """They are no server's."""
    assert split_uri(uri) is None
