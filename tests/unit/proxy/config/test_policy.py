from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.policy import Policy, is_archive

VERIFY = {"keyid": "acme-2026", "key": "policy.pub.pem"}


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ("policies", False),
        ("policies/x.tar", False),
        ("policy.tar.gz", True),
        ("https://policies.acme/detent.tar.gz", True),
        ("http://127.0.0.1:8788/v1/policy/bundle", True),
    ],
)
def test_what_travels_is_one_file(bundle: str, *, expected: bool) -> None:
    """A directory is on this machine, and reviewed as it is."""
    assert (
        is_archive(Policy.model_validate({"bundle": bundle, "verify": VERIFY}).bundle) is expected
    )


def test_nothing_is_no_archive() -> None:
    """There may be no candidate."""
    assert not is_archive(None)


@pytest.mark.parametrize(
    "block", [{"bundle": "p.tar.gz"}, {"bundle": "https://p/x"}, {"shadow": "p.tar.gz"}]
)
def test_what_travels_is_signed(block: dict[str, Any]) -> None:
    """Without a key nothing of it is taken."""
    with pytest.raises(ValidationError, match=r"policy\.verify"):
        Policy.model_validate(block)


@pytest.mark.parametrize(
    "bundle",
    ["http://policies.acme/x.tar.gz", "https://policies.acme/x?token=1", "http://127.0.0.1/x"],
)
def test_other_urls_are_refused(bundle: str) -> None:
    """Plain HTTP is for loopback, and a URL carries no secret."""
    with pytest.raises(ValidationError, match="https://"):
        Policy.model_validate({"bundle": bundle, "verify": VERIFY})


@pytest.mark.parametrize("keyid", ["", "a b", "x" * 65])
def test_a_key_has_a_plain_name(keyid: str) -> None:
    """It stands in every signature."""
    with pytest.raises(ValidationError):
        Policy.model_validate({"verify": VERIFY | {"keyid": keyid}})


def test_the_engine_remote_needs_its_url() -> None:
    """There is no default for somebody else's OPA."""
    with pytest.raises(ValidationError, match=r"policy\.remote"):
        Policy.model_validate({"engine": "remote"})
    assert Policy().bundle == Path("policies")


@pytest.mark.parametrize("given", ["var/decisions", {"directory": "var/decisions"}])
def test_the_decision_log_is_a_directory_or_a_block(given: object) -> None:
    """Off without a word."""
    log = Policy.model_validate({"log": given}).log
    assert log is not None
    assert (log.directory, log.files) == (Path("var/decisions"), 16)
    assert Policy().log is None


@pytest.mark.parametrize(
    "wrong", [{}, {"directory": "x", "files": 1}, {"directory": "x", "a": 1}, 7]
)
def test_a_decision_log_that_is_none_is_refused(wrong: object) -> None:
    """The file that is written is never the one that is cleared away."""
    with pytest.raises(ValidationError):
        Policy.model_validate({"log": wrong})
