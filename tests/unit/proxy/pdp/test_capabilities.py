"""What policies may use is made from OPA's own list and agrees with the policies' copy."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.capabilities import CAPABILITIES, OLDEST_OPA, REFUSED, narrowed

OURS = json.loads(CAPABILITIES.read_text())
NAMES = {builtin["name"] for builtin in OURS["builtins"]}


def of_opa(opa: Path, *arguments: str) -> dict[str, Any]:
    """Return OPA's own capabilities."""
    command = [str(opa), "capabilities", *arguments]
    done = subprocess.run(command, check=True, capture_output=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_file_is_made_from_the_oldest_opa(opa: Path) -> None:
    """policies/README.md says how to make it again."""
    assert CAPABILITIES.read_text() == narrowed(of_opa(opa, "--version", OLDEST_OPA))


def test_the_policies_carry_the_same_list(policies: Path) -> None:
    """So that `opa check --capabilities capabilities.json` says what Detent will say."""
    assert (policies / "capabilities.json").read_bytes() == CAPABILITIES.read_bytes()


UNREPLAYABLE = [
    "http.send",
    "io.jwt.decode_verify",
    "io.jwt.encode_sign",
    "io.jwt.encode_sign_raw",
    "net.lookup_ip_addr",
    "opa.runtime",
    "rand.intn",
    "time.now_ns",
    "uuid.rfc4122",
]


@pytest.mark.parametrize("name", [*UNREPLAYABLE, *sorted(REFUSED)])
def test_what_cannot_be_replayed_is_not_there(name: str) -> None:
    """Calls out, clocks, dice, logs."""
    assert name not in NAMES


def test_nothing_the_running_opa_calls_nondeterministic_is_there(opa: Path) -> None:
    """A newer OPA may know better."""
    current = of_opa(opa, "--current")["builtins"]
    assert NAMES.isdisjoint(one["name"] for one in current if one.get("nondeterministic"))


def test_the_running_opa_has_everything_that_is_there(opa: Path) -> None:
    """A policy that passes the check can be loaded."""
    assert {one["name"] for one in of_opa(opa, "--current")["builtins"]} >= NAMES


def test_no_host_may_be_reached() -> None:
    """An empty list, where a missing one would mean every host."""
    assert OURS["allow_net"] == []


def test_the_same_list_is_written_in_the_same_way(opa: Path) -> None:
    """The order OPA gives makes no difference."""
    capabilities = of_opa(opa, "--version", OLDEST_OPA)
    turned = {**capabilities, "builtins": capabilities["builtins"][::-1]}
    assert narrowed(turned) == narrowed(capabilities)
