"""Reading suites and comparing what they expect with what an engine says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.model.ledger import Limits
from proxy.model.tool import Effect, ToolManifest
from proxy.pdp import suites as subject
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, QueryAnswer
from proxy.pdp.manifests import Catalogue
from proxy.pdp.suites import Case, load_suites, run_suites

Written = Callable[[dict[str, str]], Path]

MANIFEST = ToolManifest("repo", "log", Effect.READ, document={"effect": "read"})
CATALOGUE = Catalogue({("repo", "log"): MANIFEST}, Limits(1, 1, 1), {}, {}, {})
HEAD = "a:\n  about: x\n  cases:\n"
CASE = "{name: c, role: r, mode: m, tool: repo/log, expect: {verdict: allow}}"
ALLOW = {
    "verdict": "allow",
    "reasons": [{"id": "b", "message": ""}, {"id": "a", "message": ""}],
    "obligations": [{"type": "dry_run"}],
    "labels": ["l"],
}


def suite(written: Written, text: str) -> tuple[Case, ...]:
    """Return the cases of one suite called `a`."""
    return load_suites(written({"suites/a.yaml": text}), CATALOGUE)


def answering(decision: Any, visible: Any) -> Callable[[str, bytes], Any]:
    """Return an engine that always says the same."""

    async def query(path: str, body: bytes) -> QueryAnswer:
        assert json.loads(body)["input"]["subject"]["roles"] == ["r"]
        return QueryAnswer({DECISION_PATH: decision, VISIBLE_PATH: visible}[path], "rev")

    return query


def test_a_case_has_its_suites_name_and_both_questions(written: Written) -> None:
    """One about the call, one about the list."""
    (case,) = suite(written, f"{HEAD}    - {CASE}\n")
    assert (case.name, case.tool, case.expected) == ("a: c", "repo/log", {"verdict": "allow"})
    assert case.decision["action"]["name"] == "tools/call"
    assert case.visible["action"]["name"] == "tools/list"


def test_a_matrix_is_every_combination(written: Written) -> None:
    """Of roles, modes and tools, each told in the name."""
    entry = (
        "{name: c, roles: [r, [s, t]], modes: [m, n], tools: [repo/log], expect: {verdict: deny}}"
    )
    cases = suite(written, f"{HEAD}    - {entry}\n")
    assert [case.name for case in cases] == [
        "a: c (r, m, repo/log)",
        "a: c (r, n, repo/log)",
        "a: c (['s', 't'], m, repo/log)",
        "a: c (['s', 't'], n, repo/log)",
    ]
    assert cases[3].decision["subject"]["roles"] == ["s", "t"]


def test_variants_of_arguments_are_part_of_the_matrix(written: Written) -> None:
    """Each laid over the arguments of the case, and told in the name."""
    entry = (
        "{name: c, role: r, mode: m, tools: [repo/log], arguments: {a: 1, b: 1}, "
        "argument_variants: {none: {}, another b: {b: 2}}, expect: {verdict: deny}}"
    )
    cases = suite(written, f"{HEAD}    - {entry}\n")
    assert [case.name for case in cases] == ["a: c (repo/log, none)", "a: c (repo/log, another b)"]
    given = [case.decision["context"]["arguments"] for case in cases]
    assert given == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_a_case_knows_its_file_and_line(written: Written) -> None:
    """Those of a matrix stand in one place."""
    many = CASE.replace("mode: m", "modes: [m, n]")
    cases = suite(written, f"{HEAD}    - {CASE}\n    - {many}\n")
    assert [(case.file, case.line) for case in cases] == [
        ("suites/a.yaml", 4),
        ("suites/a.yaml", 5),
        ("suites/a.yaml", 5),
    ]


def test_what_is_given_holds_for_every_case_that_does_not_say_otherwise(written: Written) -> None:
    """A suite's common part is written once."""
    text = (
        "a:\n  about: x\n  given: {role: r, mode: m, tool: repo/log}\n  cases:\n"
        "    - {name: c, expect: {verdict: allow}}\n"
        "    - {name: d, mode: n, expect: {verdict: allow}}\n"
    )
    modes = [case.decision["context"]["session"]["mode"] for case in suite(written, text)]
    assert modes == ["m", "n"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("b:\n  about: x\n  cases: [" + CASE + "]\n", "its one block must be called a"),
        ("a: 1\nb: 2\n", "suites/a.yaml: "),
        ("[]", "suites/a.yaml: "),
        ("", "suites/a.yaml: "),
        ("a: {about: x}\n", "cases"),
        ("a: {about: x, cases: []}\n", "suites/a.yaml: a.cases: "),
        (f"a: {{cases: [{CASE}]}}\n", "about"),
        (f"{HEAD}    - {CASE.replace('name: c, ', '')}\n", "name"),
        (f"{HEAD}    - {CASE.replace('expect', 'expected')}\n", "expect"),
        (f"{HEAD}    - {CASE.replace('verdict: allow', 'verdict: maybe')}\n", "expect.verdict"),
        (f"{HEAD}    - {CASE.replace('verdict: allow', 'reasons: [a]')}\n", "verdict"),
        (f"{HEAD}    - {CASE.replace('allow', 'allow, reason: a')}\n", "'reason'"),
        (f"{HEAD}    - {CASE.replace('name: c', 'name: c, lables: []')}\n", "'lables'"),
        (f"a:\n  about: x\n  given: {{rolle: r}}\n  cases: [{CASE}]\n", "'rolle'"),
        (f"{HEAD}    - {CASE.replace('role: r, ', '')}\n", "a: c: no role"),
        (f"{HEAD}    - {CASE.replace('mode: m, ', '')}\n", "a: c: no mode"),
        (f"{HEAD}    - {CASE.replace('tool: repo/log, ', '')}\n", "a: c: no tool"),
        (
            f"{HEAD}    - {CASE.replace('repo/log', 'repo/logs')}\n",
            "repo/logs is not in the bundle",
        ),
        (f"{HEAD}    - {CASE}\n    - {CASE}\n  about: y\n", "suites/a.yaml:6: about stands twice"),
    ],
)
def test_a_suite_that_would_not_be_run_as_meant_is_refused(
    written: Written, text: str, problem: str
) -> None:
    """A typing mistake must not turn a case into one that always passes."""
    with pytest.raises(PolicyInvalid) as caught:
        suite(written, text)
    assert problem in str(caught.value)


def test_without_suites_there_are_no_cases(tmp_path: Path) -> None:
    """A bundle may come without them."""
    assert load_suites(tmp_path, CATALOGUE) == ()


@pytest.mark.parametrize(
    "expect",
    [
        "verdict: allow",
        "verdict: allow, reasons: [a, b]",
        "verdict: allow, reasons: [b, a]",
        "verdict: allow, obligations: [dry_run], labels: [l], visible: true",
    ],
)
async def test_what_is_expected_and_got_passes(written: Written, expect: str) -> None:
    """Only what a case names is compared, in any order."""
    cases = suite(written, f"{HEAD}    - {CASE.replace('verdict: allow', expect)}\n")
    (result,) = await run_suites(cases, answering(ALLOW, ["repo/log"]))
    assert result.passed
    assert result.got["reasons"] == ["a", "b"]


@pytest.mark.parametrize(
    "expect",
    [
        "verdict: deny",
        "verdict: hold",
        "verdict: allow, reasons: [a]",
        "verdict: allow, reasons: [a, b, c]",
        "verdict: allow, obligations: []",
        "verdict: allow, labels: []",
        "verdict: allow, visible: false",
    ],
)
async def test_what_differs_fails(written: Written, expect: str) -> None:
    """And says what came instead."""
    cases = suite(written, f"{HEAD}    - {CASE.replace('verdict: allow', expect)}\n")
    (result,) = await run_suites(cases, answering(ALLOW, ["repo/log"]))
    assert not result.passed
    assert result.got["verdict"] == "allow"


async def test_a_failure_is_explained_in_one_line(written: Written) -> None:
    """The case, what came, what was expected, and nothing that agrees."""
    expect = "verdict: deny, reasons: [a], labels: [l]"
    cases = suite(written, f"{HEAD}    - {CASE.replace('verdict: allow', expect)}\n")
    (result,) = await run_suites(cases, answering(ALLOW, ["repo/log"]))
    assert result.explain() == "a: c: verdict is allow, not deny; reasons is ['a', 'b'], not ['a']"


@pytest.mark.parametrize("visible", [[], ["repo/other"], None, "repo/log", {"repo/log": 1}])
async def test_what_is_hidden_must_be_denied(written: Written, visible: Any) -> None:
    """A list and a call must not disagree, whatever the suite says of it."""
    expect = "verdict: allow, visible: false"
    cases = suite(written, f"{HEAD}    - {CASE.replace('verdict: allow', expect)}\n")
    (result,) = await run_suites(cases, answering(ALLOW, visible))
    assert not result.passed
    (denied,) = await run_suites(
        suite(written, f"{HEAD}    - {CASE.replace('allow', 'deny')}\n"),
        answering({**ALLOW, "verdict": "deny"}, visible),
    )
    assert denied.passed


@pytest.mark.parametrize(
    "decision", [None, "allow", [], {}, {"reasons": 1, "labels": [{}, 1], "obligations": ["x"]}]
)
async def test_what_is_no_decision_fails(written: Written, decision: Any) -> None:
    """Undefined and malformed answers match no expectation."""
    cases = suite(written, f"{HEAD}    - {CASE.replace('allow', 'deny')}\n")
    (result,) = await run_suites(cases, answering(decision, ["repo/log"]))
    assert not result.passed


async def test_an_engine_that_does_not_answer_is_no_result(written: Written) -> None:
    """The caller hears of it."""

    async def silent(path: str, body: bytes) -> QueryAnswer:
        raise PolicyUnavailable("late")

    with pytest.raises(PolicyUnavailable):
        await run_suites(suite(written, f"{HEAD}    - {CASE}\n"), silent)


def test_a_hidden_file_is_no_suite_and_a_link_is_refused(written: Written, tmp_path: Path) -> None:
    """Its text would be told as a problem of the suite: it may be anybody's."""
    secret = tmp_path / "secret"
    secret.write_text("token: abc")
    source = written({"suites/a.yaml": f"{HEAD}    - {CASE}\n"})
    (source / "suites/.hidden.yaml").symlink_to(secret)
    assert load_suites(source, CATALOGUE)
    (source / "suites/b.yaml").symlink_to(secret)
    with pytest.raises(PolicyInvalid, match="symbolic link") as told:
        load_suites(source, CATALOGUE)
    assert "abc" not in str(told.value)


def test_a_matrix_has_an_end(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists multiply."""
    monkeypatch.setattr(subject, "MAX_CASES", 1)
    with pytest.raises(PolicyInvalid, match="more than 1 cases"):
        suite(written, f"{HEAD}    - {CASE}\n    - {CASE}\n")
