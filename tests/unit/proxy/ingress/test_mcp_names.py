import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ingress.mcp_names import joined_name, split_name

NAMES = st.text("ab_.-", min_size=1, max_size=6)


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
