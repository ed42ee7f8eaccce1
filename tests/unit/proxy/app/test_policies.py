import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.app import policies
from proxy.app.policies import CurrentCatalogue, PolicySource, check_policies
from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.model.ledger import Limits
from proxy.pdp.base import QueryAnswer, StagedBundle
from proxy.pdp.delivery.building import Delivered
from proxy.pdp.delivery.choice import Choices
from proxy.pdp.delivery.packing import pack_files
from proxy.pdp.manifests import Catalogue, load_catalogue
from tests.harness.tiny_bundle import (
    BROKEN_RULE,
    CASE,
    DECISION,
    FAILING_SUITE,
    SUITE_HEAD,
    VISIBLE,
    write,
)

WRONG = "      expect: {verdict: deny, reasons: [fine]}\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one rule, one tool, two tests and a suite of one case."""
    return write(tmp_path / "bundle")


@pytest.fixture
def source(bundle: Path, opa: Path, staging: Path) -> Iterator[PolicySource]:
    """Where the gateway takes that bundle from."""
    source = PolicySource(bundle, opa)
    yield source
    source.cleanup()
    assert list(staging.iterdir()) == []


async def allow(path: str, body: bytes, deadline_s: float) -> QueryAnswer:
    """Answer like the bundle, without an OPA."""
    return QueryAnswer(VISIBLE if path.endswith("visible") else DECISION, "")


def copies(staging: Path) -> list[Path]:
    return list(staging.glob("detent-policy-*/*"))


def test_the_catalogue_in_force_is_replaced_whole(bundle: Path) -> None:
    """Names, manifests of a server and budgets come from the one that was set last."""
    catalogue = CurrentCatalogue(load_catalogue(bundle))
    assert catalogue.names() == ["rec/read"]
    assert [one.tool for one in catalogue.of_server("rec")] == ["read"]
    assert catalogue.of_server("other") == []
    assert catalogue.limits("acme", "loop") == Limits(10, 20, 60)
    catalogue.replace(Catalogue({}, Limits(1, 2, 3), {}, {}, {}))
    assert (catalogue.names(), catalogue.limits("acme", "loop")) == ([], Limits(1, 2, 3))


def test_a_staged_copy_is_private_and_does_not_follow_its_source(
    source: PolicySource, bundle: Path, staging: Path
) -> None:
    """What was checked is what is served."""
    staged, catalogue = source.stage()
    write(bundle, {"main.rego": "package detent.main\n"})
    assert copies(staging) == [staged.directory]
    assert staged.directory.stat().st_mode & 0o077 == 0
    assert "decision" in (staged.directory / "main.rego").read_text()
    assert list(catalogue.tools) == [("rec", "read")]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"main.rego": BROKEN_RULE}, r"main\.rego:\d"),
        ({"tools/rec/data.yaml": '{"read": {"effect": "touch"}}'}, "tools/rec: read"),
        ({"suites/reads.yaml": "other: {}\n"}, r"suites/reads\.yaml"),
        ({"suites/reads.yaml": SUITE_HEAD.replace("rec/read", "rec/no") + CASE}, "rec/no"),
    ],
)
def test_a_bundle_that_cannot_be_read_is_refused_and_leaves_no_copy(
    source: PolicySource, bundle: Path, staging: Path, files: dict[str, str], problem: str
) -> None:
    """Rego, manifests and suites; the file is named."""
    write(bundle, files)
    with pytest.raises(PolicyInvalid, match=problem):
        source.stage()
    assert copies(staging) == []


def test_no_room_for_a_copy_says_nothing_of_the_policy(
    source: PolicySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and the cure is told."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(policies, "stage", full)
    with pytest.raises(PolicyUnavailable, match=r"\(No space left on device\); make room in "):
        source.stage()


class Unpacking:
    """Has unpacked an archive into the directory; takes no other as signed."""

    def standing(self) -> bytes:
        return b"as it was signed"

    def opened(self, packed: bytes) -> Delivered:
        raise PolicyInvalid("the bundle is not signed")


def test_signed_policies_are_kept_as_they_were_signed(bundle: Path, opa: Path) -> None:
    """What is promoted or gone back to is verified again, and unsigned policies are not staged."""
    source = PolicySource(bundle, opa, lambda: "sha256:1", signed=Unpacking())
    source.stage()
    assert source.archive == b"as it was signed"
    with pytest.raises(PolicyInvalid, match="not signed"):
        source.stage(pack_files({}))
    source.cleanup()


def test_a_choice_that_cannot_be_staged_is_left_at_a_start(
    bundle: Path, opa: Path, tmp_path: Path
) -> None:
    """What is offered begins, and why is known; what is offered itself is not left."""
    choices = Choices(tmp_path / "state")
    source = PolicySource(bundle, opa, choices=choices)
    offered, _ = source.stage()
    choices.choose(pack_files({".manifest": b'{"revision": "sha256:2"}'}), offered.revision)
    assert source.first()[0].revision == offered.revision
    assert "does not load" in source.problem
    assert choices.instead_of(offered.revision) == b""
    write(bundle, {"main.rego": BROKEN_RULE})
    with pytest.raises(PolicyInvalid):
        source.first()
    source.cleanup()


def test_what_is_offered_is_what_stands_there(bundle: Path, opa: Path) -> None:
    """Whoever unpacked it took a bundle back that did not load."""
    standing = ["sha256:1"]
    source = PolicySource(bundle, opa, lambda: standing[0])
    source.stage()
    standing[0] = "sha256:0"
    assert source.offered == "sha256:0"
    source.cleanup()


async def test_a_bundle_whose_suites_pass_may_decide(source: PolicySource) -> None:
    """The probe says nothing."""
    staged, _ = source.stage()
    await source.probe(staged, allow)
    assert [result.passed for result in await source.results(staged, allow)] == [True]


async def test_a_bundle_whose_suites_fail_may_not(source: PolicySource, bundle: Path) -> None:
    """Ten cases are told, with what differs; the number of all of them."""
    cases = "".join(f"    - name: case {n}\n{WRONG}" for n in range(12))
    write(bundle, {"suites/reads.yaml": SUITE_HEAD + cases})
    staged, _ = source.stage()
    with pytest.raises(PolicyInvalid, match="12 cases of the suites fail") as error:
        await source.probe(staged, allow)
    assert "reads: case 0: verdict is allow, not deny" in str(error.value)
    assert len(str(error.value).splitlines()) == 11


async def test_a_bundle_that_was_not_staged_here_is_never_probed_as_good(
    source: PolicySource, bundle: Path
) -> None:
    """Without its suites nobody can say that they pass."""
    source.stage()
    with pytest.raises(KeyError):
        await source.probe(StagedBundle(bundle, "sha256:other"), allow)


async def test_a_good_bundle_gets_a_good_report(bundle: Path, opa: Path, staging: Path) -> None:
    """Tests, coverage, suites and revision, for people and for machines."""
    report = await check_policies(bundle, opa)
    assert (report.rego.passed, report.suites_passed, report.suite_failures) == (2, 1, ())
    assert report.is_good(100.0)
    assert json.loads(report.to_json())["revision"] == report.revision
    assert list(staging.iterdir()) == []


async def test_a_failing_suite_is_in_the_report(bundle: Path, opa: Path) -> None:
    """It is a finding of the report, not an error of the check."""
    report = await check_policies(write(bundle, {"suites/reads.yaml": FAILING_SUITE}), opa)
    (failure,) = report.suite_failures
    assert failure.startswith("reads: anybody reads: verdict is allow")
    assert not report.is_good(0.0)


async def test_a_bundle_that_cannot_be_staged_has_no_report(
    bundle: Path, opa: Path, staging: Path
) -> None:
    """The copy is gone, and no OPA was started."""
    write(bundle, {"main.rego": BROKEN_RULE})
    with pytest.raises(PolicyInvalid):
        await check_policies(bundle, opa)
    assert list(staging.iterdir()) == []
