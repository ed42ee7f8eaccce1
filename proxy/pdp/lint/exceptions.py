"""Exceptions a reviewer has agreed to: `# lint: <rule>: <why>` in the line, or in the one above."""

import re
from collections.abc import Collection, Iterable, Iterator

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.modules import Source

BAD_EXCEPTION = "exception"

_EXCEPTION = re.compile(r"lint:\s*(?P<rule>[a-z-]*)\s*(?::\s*(?P<why>.*))?$")


def without_exceptions(
    source: Source, findings: Iterable[Finding], known: Collection[str]
) -> Iterator[Finding]:
    """Yield the findings nobody has excepted, and the exceptions that are no good themselves.

    An exception needs a rule that exists, a why, and a finding to except.
    """
    left = list(findings)
    for module in source.modules:
        for line, comment in module.comments.items():
            match = _EXCEPTION.match(comment)
            if match is None:
                continue
            covered = [
                finding
                for finding in left
                if (finding.file, finding.rule) == (module.file, match["rule"])
                and finding.line in {line, line + 1}
            ]
            problem = _problem(match, covered, known)
            if problem:
                cure = "write `# lint: <rule>: <why>` right above what it excepts, or remove it"
                yield Finding(module.file, line, BAD_EXCEPTION, problem, cure)
            else:
                left = [finding for finding in left if finding not in covered]
    yield from left


def _problem(match: re.Match[str], covered: list[Finding], known: Collection[str]) -> str:
    if match["rule"] not in known:
        return f"there is no rule {match['rule'] or 'without a name'}"
    if not match["why"]:
        return "this exception does not say why"
    return "" if covered else f"nothing here breaks {match['rule']}"
