"""Whether a rule is whole: code, tests, a page that explains it, a suite that shows it."""

import re
from collections.abc import Iterator
from pathlib import Path

from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.outcome import COMPLETE

_PACKAGE = re.compile(rb"^package\s+detent\.rules\.([A-Za-z_][A-Za-z0-9_]*)\s*$", re.MULTILINE)


def completeness(directory: Path) -> tuple[Finding, ...]:
    """Return what each rule of a bundle's source lacks. Raises PolicyInvalid."""
    rules: dict[str, str] = {}
    for path, content in sorted(read_bundle(directory).items()):
        package = _PACKAGE.search(content) if path.endswith(".rego") else None
        if package is not None:
            rules.setdefault(package[1].decode(), path)
    return tuple(finding for name, path in rules.items() for finding in _of(directory, name, path))


def _of(directory: Path, name: str, path: str) -> Iterator[Finding]:
    folder = Path(path).parent
    parts = {
        "test": (f"{folder}/{name}_test.rego", any((directory / folder).glob("*_test.rego"))),
        "page": (f"{folder}/README.md", _is_written(directory / folder / "README.md")),
        "suite": (f"suites/{name}.yaml", _is_written(directory / "suites" / f"{name}.yaml")),
    }
    for part, (place, is_there) in parts.items():
        if not is_there:
            yield Finding(path, 1, COMPLETE, f"{name} has no {part}", f"write {place}")


def _is_written(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
