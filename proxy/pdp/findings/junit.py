"""Outcomes as the JUnit XML that continuous integration reads (the Surefire report)."""

import re
from collections.abc import Iterable
from itertools import groupby
from xml.sax.saxutils import quoteattr

from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.outcome import Outcome

# What XML 1.0 cannot hold (section 2.2), not even as a reference.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Iterable[Outcome], findings: Iterable[Finding]) -> str:
    """Return one document: a suite for each kind of outcome, and one for each rule of findings."""
    cases = [(one.kind, one.name, one.file, one.line, one.problem) for one in outcomes]
    cases += [(one.rule, one.problem, one.file, one.line, str(one)) for one in findings]
    cases.sort(key=lambda case: case[0])
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', _opening("testsuites", "detent", cases)]
    for kind, grouped in groupby(cases, key=lambda case: case[0]):
        members = list(grouped)
        lines.append("  " + _opening("testsuite", kind, members))
        for _, name, file, line, problem in members:
            at = f'file={_quoted(file)} line="{line}"'
            head = f"    <testcase classname={_quoted(kind)} name={_quoted(name)} {at}"
            failure = f"><failure message={_quoted(problem)}/></testcase>" if problem else "/>"
            lines.append(head + failure)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _opening(element: str, name: str, cases: list[tuple[str, str, str, int, str]]) -> str:
    failed = sum(bool(problem) for *_, problem in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="0" skipped="0"'
    return f"<{element} name={_quoted(name)} {counts}>"


def _quoted(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
