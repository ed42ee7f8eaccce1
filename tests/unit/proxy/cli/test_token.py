import json
import re
from collections.abc import Callable

import pytest
from click.testing import Result

from proxy.model.token import token_sha256

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("kind", "prefix"), [("agent", "dta_"), ("operator", "dto_"), ("sidecar", "dtx_")]
)
def test_a_token_comes_with_the_line_for_the_settings(detent: Run, kind: str, prefix: str) -> None:
    """The hash is that of the token that is shown."""
    result = detent("token", "new", kind)
    made = re.findall(rf"{prefix}\S+|[0-9a-f]{{64}}", result.output)
    assert result.exit_code == 0
    assert made[1:] == [token_sha256(made[0])]
    assert f"token_sha256: {made[1]}" in result.output


def test_a_token_for_machines_is_one_document(detent: Run) -> None:
    """Token and hash, nothing else."""
    made = json.loads(detent("token", "new", "agent", "--json").output)
    assert made == {"token": made["token"], "token_sha256": token_sha256(made["token"])}


def test_no_two_tokens_are_the_same(detent: Run) -> None:
    """Each is made anew."""
    assert detent("token", "new", "agent").output != detent("token", "new", "agent").output


def test_another_kind_is_a_usage_error(detent: Run) -> None:
    """Sessions' tokens are not made by hand."""
    assert detent("token", "new", "session").exit_code == 2
