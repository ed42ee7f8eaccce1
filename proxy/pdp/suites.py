"""Golden decisions: YAML suites of principal, tool and mode to verdict, reasons and obligations.

A suite is `policies/suites/<name>.yaml` with one block called `<name>`; policies/README.md has its
fields. The command line and every reload run the same suites against the engine that will decide.
"""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import jsonschema_rs

from proxy.errors import PolicyInvalid
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, QueryAnswer
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.manifests import Catalogue
from proxy.pdp.strict_yaml import lines_of_items, load
from proxy.pdp.suite_input import decision_input, visible_input

Query = Callable[[str, bytes], Awaitable[QueryAnswer]]

SCHEMA = Path(__file__).with_name("suite.schema.json")
_VALIDATOR = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
MAX_CASES = 100_000
_MATRIX = {"roles": "role", "modes": "mode", "tools": "tool"}
_VARIANTS = "argument_variants"


@dataclass(frozen=True, slots=True)
class Case:
    """One question: `decision` and `visible` are inputs, `expected` what must come back.

    `expected` has `verdict` and, where the suite names them, `reasons` (ids), `obligations`
    (types), `labels` and `visible`. `file` and `line` tell where the case stands in the bundle.
    """

    name: str
    tool: str
    decision: dict[str, Any]
    visible: dict[str, Any]
    expected: dict[str, Any]
    file: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a case expected and got. `case` is the question, None where nobody has to know."""

    name: str
    expected: dict[str, Any]
    got: dict[str, Any]
    case: Case | None = field(default=None, compare=False, repr=False)

    @property
    def passed(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.got

    def explain(self) -> str:
        """Return one line: the case, and each thing that differs."""
        differing = (
            f"{key} is {got}, not {self.expected[key]}"
            for key, got in self.got.items()
            if got != self.expected[key]
        )
        return f"{self.name}: {'; '.join(differing)}"


def load_suites(source: Path, catalogue: Catalogue) -> tuple[Case, ...]:
    """Read `source/suites/*.yaml`; the catalogue is that of the bundle under test.

    Raises PolicyInvalid, for more than MAX_CASES too.
    """
    files = sorted(read_bundle(source, _is_suite).items())
    every = (case for path, text in files for case in _cases(PurePath(path), text, catalogue))
    cases = tuple(itertools.islice(every, MAX_CASES + 1))
    if len(cases) > MAX_CASES:
        raise PolicyInvalid(f"suites: more than {MAX_CASES:,} cases. Cure: smaller matrices")
    return cases


def _is_suite(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == "suites" and name.endswith(".yaml") and not name.startswith(".")


async def run_suites(cases: Sequence[Case], query: Query) -> tuple[CaseResult, ...]:
    """Ask every case. Raises PolicyUnavailable when the engine gives no answer.

    Whatever a suite says, a tool that is not visible must be denied: list and call agree.
    """
    return tuple([await _result(case, query) for case in cases])


async def _result(case: Case, query: Query) -> CaseResult:
    decided = await query(DECISION_PATH, _body(case.decision))
    listed = await query(VISIBLE_PATH, _body(case.visible))
    got = _outcome(decided.result)
    got["visible"] = isinstance(listed.result, list) and case.tool in listed.result
    expected = {**{key: got[key] for key in got}, **case.expected}
    if not got["visible"] and got["verdict"] != "deny":
        expected["visible"] = True
    return CaseResult(case.name, expected, got, case)


def _outcome(decision: Any) -> dict[str, Any]:
    """Reduce a decision to what suites compare; what is no decision compares with nothing."""
    if not isinstance(decision, dict):
        return {"verdict": None, "reasons": [], "obligations": [], "labels": []}
    return {
        "verdict": decision.get("verdict"),
        "reasons": _names(decision.get("reasons"), "id"),
        "obligations": _names(decision.get("obligations"), "type"),
        "labels": _names(decision.get("labels"), ""),
    }


def _names(items: Any, key: str) -> list[str]:
    listed = items if isinstance(items, list) else [items]
    return sorted(str(item.get(key) if isinstance(item, dict) else item) for item in listed)


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps({"input": document}, separators=(",", ":")).encode()


def _cases(file: PurePath, text: bytes, catalogue: Catalogue) -> Iterator[Case]:
    document = load(text, f"suites/{file.name}")
    problems = [
        f"suites/{file.name}: {'.'.join(str(part) for part in error.instance_path)}: "
        f"{error.message[:300]}"
        for error in _VALIDATOR.iter_errors(document)
    ]
    if not problems and list(document) != [file.stem]:
        problems = [f"suites/{file.name}: its one block must be called {file.stem}"]
    if problems:
        raise PolicyInvalid("\n".join(problems))
    suite = document[file.stem]
    lines = lines_of_items(text, (file.stem, "cases"))
    for entry, line in zip(suite["cases"], lines, strict=True):
        for given in _matrix({**suite.get("given", {}), **entry}):
            case = _case(file.stem, given, catalogue)
            yield replace(case, file=f"suites/{file.name}", line=line)


def _matrix(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one case for each combination of `roles`, `modes`, `tools` and variants.

    A variant's arguments are laid over `arguments`.
    """
    plural = {key: entry[key] for key in (*_MATRIX, _VARIANTS) if key in entry}
    rest = {key: value for key, value in entry.items() if key not in plural}
    for values in itertools.product(*plural.values()):
        of = dict(zip(plural, values, strict=True))
        chosen = {_MATRIX[key]: value for key, value in of.items() if key in _MATRIX}
        laid_over = entry[_VARIANTS][of[_VARIANTS]] if _VARIANTS in of else {}
        arguments = {**entry.get("arguments", {}), **laid_over}
        named = ", ".join(str(value) for value in values)
        name = f"{entry['name']} ({named})" if named else entry["name"]
        yield {**rest, **chosen, "arguments": arguments, "name": name}


def _case(suite: str, given: dict[str, Any], catalogue: Catalogue) -> Case:
    name = f"{suite}: {given['name']}"
    missing = [key for key in _MATRIX.values() if key not in given]
    if missing:
        raise PolicyInvalid(f"suites/{name}: no {missing[0]}. Cure: name it there or in `given`")
    return Case(
        name=name,
        tool=given["tool"],
        decision=decision_input(given, catalogue),
        visible=visible_input(given, catalogue),
        expected={
            key: sorted(value) if isinstance(value, list) else value
            for key, value in given["expect"].items()
        },
    )
