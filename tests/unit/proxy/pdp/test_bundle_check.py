"""What OPA must not find in a bundle, told with file, line and cure."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp import bundle_check
from proxy.pdp.bundle_check import check

Written = Callable[[dict[str, str]], Path]

MANIFEST = '{"roots": ["detent"]}'
MAIN = "package detent.main\n\ndecision := 1\n"


@pytest.fixture
def bundle(written: Written) -> Callable[[dict[str, str]], Path]:
    """Write a bundle that is in order but for the given files."""
    return lambda files: written({".manifest": MANIFEST, "main.rego": MAIN, **files})


def test_the_shipped_policies_pass(policies: Path, opa: Path) -> None:
    """The whole source, tests and all."""
    check(policies, opa)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ('http.send({"method": "GET", "url": "http://127.0.0.1/"})', "http.send"),
        ("opa.runtime()", "opa.runtime"),
        ('net.lookup_ip_addr("example.com")', "net.lookup_ip_addr"),
        ("time.now_ns()", "time.now_ns"),
        ('rand.intn("a", 6)', "rand.intn"),
        ('uuid.rfc4122("a")', "uuid.rfc4122"),
        ('io.jwt.decode_verify("a", {})', "io.jwt.decode_verify"),
        ("io.jwt.encode_sign({}, {}, {})", "io.jwt.encode_sign"),
        ('crypto.x509.parse_and_verify_certificates("a")', "crypto.x509.parse_and_verify"),
        ('trace("a")', "trace"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    bundle: Written, opa: Path, call: str, name: str
) -> None:
    """No calls out, no clock, no dice, and nothing that writes arguments to a log."""
    directory = bundle({"rules/a.rego": f"package detent.rules.a\n\nx := {call}\n"})
    with pytest.raises(PolicyInvalid, match=rf"^rules/a\.rego:3: {name}\S* does not exist here"):
        check(directory, opa)


def test_a_print_is_refused(bundle: Written, opa: Path) -> None:
    """Arguments do not belong in OPA's log."""
    directory = bundle({"a.rego": "package detent.a\n\nx if print(input)\n"})
    with pytest.raises(PolicyInvalid, match=r"^a\.rego:3: "):
        check(directory, opa)


def test_the_bundle_cannot_widen_what_it_may_use(bundle: Written, opa: Path) -> None:
    """A capabilities.json of the bundle's own changes nothing."""
    widened = '{"builtins": [], "allow_net": ["example.com"]}'
    policy = "package detent.a\n\nx := time.now_ns()\n"
    directory = bundle({"capabilities.json": widened, "a.rego": policy})
    with pytest.raises(PolicyInvalid, match=r"time\.now_ns"):
        check(directory, opa)


@pytest.mark.parametrize(
    "package", ["system", "system.authz", 'system["authz"]', 'system["log.mask"]']
)
def test_packages_of_opas_own_are_refused(written: Written, opa: Path, package: str) -> None:
    """Even where the roots would let them in."""
    directory = written(
        {
            ".manifest": '{"roots": ["detent", "system"]}',
            "main.rego": MAIN,
            "a.rego": f"package {package}\n\nallow := true\n",
        }
    )
    with pytest.raises(PolicyInvalid, match=r"^a\.rego:1: package system\S* belongs to OPA"):
        check(directory, opa)


def test_a_package_called_almost_like_opas_is_ours(written: Written, opa: Path) -> None:
    """`systems` is nobody's."""
    manifest = '{"roots": ["detent", "systems"]}'
    files = {".manifest": manifest, "main.rego": MAIN, "a.rego": "package systems\n\nx := 1\n"}
    check(written(files), opa)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("package detent.a\n\nx if input.y ==\n", r"^a\.rego:4: .*Cure: correct the syntax"),
        ("package detent.a\n\nx if not y == 1\n", r"^a\.rego:3: .*Cure: "),
        ("package detent.a\n\nx if y\n\ny if x\n", r"^a\.rego:3: .*Cure: a rule must not depend"),
        ("package detent.a\n\nimport data.b\n", r"^a\.rego:3: import data\.b unused\. Cure: "),
        ("package other\n\nx := 1\n", r"do not permit .*a\.rego.*Cure: add its root"),
        ("package detent.main\n\nx(1) := 1\n\nx := 2\n", r"^a\.rego:\d+: .*Cure: "),
    ],
)
def test_a_broken_policy_is_told_with_its_place(
    bundle: Written, opa: Path, text: str, problem: str
) -> None:
    """File and line as far as OPA tells them, and a cure."""
    with pytest.raises(PolicyInvalid, match=problem):
        check(bundle({"a.rego": text}), opa)


def test_every_problem_is_told_at_once(bundle: Written, opa: Path) -> None:
    """One line a problem."""
    policy = "package detent.a\n\nx := time.now_ns()\n\ny := opa.runtime()\n"
    with pytest.raises(PolicyInvalid, match=r"time\.now_ns[^\n]*\n[^\n]*opa\.runtime"):
        check(bundle({"a.rego": policy}), opa)


def test_a_bundle_without_the_entry_points_is_refused(written: Written, opa: Path) -> None:
    """It would answer nothing, and nothing is a deny for everybody."""
    directory = written({".manifest": MANIFEST, "a.rego": "package detent.a\n\nx := 1\n"})
    with pytest.raises(PolicyInvalid, match=r"detent\.main is missing"):
        check(directory, opa)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo '[]'", "cannot be inspected|is missing"),
        ("echo not json; echo boom >&2; exit 3", "^boom. Cure: "),
        ("exit 3", "Cure: "),
        ('case "$1" in check) exit 0;; esac; exit 3', "cannot be inspected"),
    ],
)
def test_an_opa_that_fails_refuses_the_bundle(
    policies: Path, tmp_path: Path, script: str, problem: str
) -> None:
    """Whatever is not a clean yes is a no."""
    broken = tmp_path / "opa"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o700)
    with pytest.raises(PolicyInvalid, match=problem):
        bundle_check.check(policies, broken)
