"""OPA's own test cases, from its Go module in the module cache: many of them in one bundle.

    go mod download github.com/open-policy-agent/opa@v1.22.2

A case is modules, data, an input, a query `data.… = x`, and the results or the error it wants. Each
is moved below a root of its own, `data.c<number>`.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_QUERY = re.compile(r"data\.([a-z0-9_.]+) = x")
_PACKAGE = re.compile(r"^(\s*package )(?=\w)", re.MULTILINE)
_DATA = re.compile(r"(?<![\w.\"])data(?=[.\[])")


class _Loader(yaml.SafeLoader):
    """YAML as OPA reads it: `on` and `yes` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if "bool" not in one[0] or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `wanted` is None where an error is wanted, and may be where OPA is strict."""

    note: str
    path: str
    modules: tuple[str, ...]
    data: Any
    input: Any
    wanted: list[Any] | None


def cases_directory() -> Path | None:
    """Return the newest cases in the module cache."""
    cache = Path(os.environ.get("GOMODCACHE") or Path.home() / "go" / "pkg" / "mod")
    found = cache.glob("github.com/open-policy-agent/opa@v*/v1/test/cases/testdata/v1")
    return max(found, default=None)


def load_cases(directory: Path, folders: Iterable[str]) -> Iterator[Case]:
    """Yield the cases of some folders that ask one rule for its value."""
    for folder in folders:
        for file in sorted((directory / folder).glob("*.yaml")):
            for case in (_read(file) or {}).get("cases", ()):
                query = _QUERY.fullmatch(str(case.get("query")))
                if query is not None and case.get("modules") and "input_term" not in case:
                    yield _case(case, query[1].replace(".", "/"))


def _read(file: Path) -> Any:
    loader = _Loader(file.read_text())
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _case(case: dict[str, Any], path: str) -> Case:
    fails = "want_error" in case or "want_error_code" in case
    return Case(
        note=case["note"],
        path=path,
        modules=tuple(case["modules"]),
        data=case.get("data") or {},
        input=case.get("input"),
        wanted=None if fails else [row["x"] for row in case.get("want_result") or ()],
    )


def write_bundle(directory: Path, cases: dict[str, Case], revision: str) -> None:
    """Write the cases, each below the root of its name."""
    manifest = {"revision": revision, "roots": sorted(cases) or ["none"], "rego_version": 1}
    (directory / ".manifest").write_text(json.dumps(manifest))
    for root, case in cases.items():
        (directory / root).mkdir(exist_ok=True)
        (directory / root / "data.json").write_text(json.dumps(case.data))
        for number, module in enumerate(case.modules):
            moved = _PACKAGE.sub(rf"\g<1>{root}.", _DATA.sub(f"data.{root}", module))
            (directory / root / f"m{number}.rego").write_text(moved)


def like(value: Any) -> Any:
    """Return a value to compare: a set is a list in any order."""
    if isinstance(value, dict):
        return {str(key): like(member) for key, member in value.items()}
    if isinstance(value, list):
        return sorted(
            (like(item) for item in value), key=lambda item: json.dumps(item, default=str)
        )
    return value
