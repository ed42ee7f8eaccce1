"""The whole lint of a bundle's source: every check, then the exceptions."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.absence import (
    ABSENCE,
    MISSING,
    NEGATION,
    allowed_by_absence,
    missing_arguments,
    negations,
)
from proxy.pdp.lint.exceptions import BAD_EXCEPTION, without_exceptions
from proxy.pdp.lint.input_paths import UNKNOWN_INPUT, unknown_inputs
from proxy.pdp.lint.modules import Source, parse
from proxy.pdp.lint.portable import (
    BUILTIN,
    HISTORY,
    builtins,
    history,
    known_builtins,
    portable_builtins,
)
from proxy.pdp.lint.vocabulary import (
    UNKNOWN_OBLIGATION,
    UNKNOWN_REASON,
    UNREADABLE_REASON,
    UNUSED_REASON,
    obligations,
    reasons,
)
from proxy.pdp.lint.wiring import UNHEARD, UNMISSED, wiring
from proxy.pdp.manifests import load_catalogue

ABOUT: Mapping[str, str] = {
    ABSENCE: "What is missing from the input must not permit a call.",
    BAD_EXCEPTION: "An exception names its rule, says why, and excepts something.",
    BUILTIN: "Policies use only builtins that every engine evaluates alike.",
    HISTORY: "A decision reads a bounded part of a session's history.",
    MISSING: "A missing argument must not disarm a refusal.",
    NEGATION: "`not` has to hold for what is undefined.",
    UNHEARD: "A rule fills one of the sets that decisions are made from.",
    UNKNOWN_INPUT: "A rule reads what the input has.",
    UNKNOWN_OBLIGATION: "An obligation is one the gateway can meet.",
    UNKNOWN_REASON: "Every reason has a sentence in the table.",
    UNMISSED: "The loss of a rule is noticed by main.rego.",
    UNREADABLE_REASON: "The id of a reason can be read in the policy.",
    UNUSED_REASON: "Every sentence of the table has a use.",
}


def lint(directory: Path, opa: Path, known_obligations: frozenset[str]) -> tuple[Finding, ...]:
    """Check the source of a bundle; findings come sorted by file and line.

    `known_obligations` is what enforcement can do. Blocks for a second: call it in a thread.
    Raises PolicyInvalid when the source cannot be read at all.
    """
    source = parse(directory, opa)
    refused = known_builtins(directory, opa) - portable_builtins()
    sentences = load_catalogue(directory).reasons
    found = [
        *_of_rego(source, refused),
        *unknown_inputs(directory, opa),
        *reasons(source, sentences),
        *obligations(source, known_obligations),
    ]
    return tuple(sorted(set(without_exceptions(source, found, ABOUT))))


def _of_rego(source: Source, refused: frozenset[str]) -> Iterator[Finding]:
    yield from missing_arguments(source)
    yield from allowed_by_absence(source)
    yield from negations(source)
    yield from builtins(source, refused)
    yield from history(source)
    yield from wiring(source)
