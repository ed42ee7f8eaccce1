"""The ceilings that no linter knows: sizes of files and functions, the mirror of tests, marks."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40


def tracked(*patterns: str) -> list[Path]:
    """Return the files git knows or would know, of these patterns."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in sorted(set(listed.stdout.split())) if (ROOT / name).is_file()]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines from its `def` on, its docstring aside."""
    docstring = ast.get_docstring(function, clean=False)
    return (function.end_lineno or 0) - function.lineno + 1 - len((docstring or "").splitlines())


@pytest.mark.parametrize("file", tracked("*.py", "*.rego"), ids=lambda file: file.name)
def test_no_file_is_longer_than_the_ceiling(file: Path) -> None:
    """A file holds one thought."""
    assert len(file.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("file", tracked("*.py"), ids=lambda file: file.name)
def test_no_function_is_longer_than_the_ceiling(file: Path) -> None:
    """A function can be read without scrolling."""
    tree = ast.parse(file.read_text())
    long = [f.name for f in functions(tree) if body_lines(f) > MAX_FUNCTION_LINES]
    assert long == []


def test_every_source_file_has_its_unit_test() -> None:
    """`proxy/a/b.py` is tested by `tests/unit/proxy/a/test_b.py`."""
    ports = {"proxy/stores/base.py", "proxy/upstream/base.py", "proxy/monitors/base.py"}
    ports |= {"proxy/pdp/base.py", "credentials/base.py", "proxy/__main__.py"}
    ports |= {"proxy/ingress/base.py", "proxy/stores/recovery.py", "proxy/chain/guarded.py"}
    missing = []
    for file in tracked("proxy/**/*.py", "proxy/*.py", "credentials/*.py"):
        name = file.relative_to(ROOT)
        nothing_to_test = not any(functions(ast.parse(file.read_text())))
        if file.name == "__init__.py" or str(name) in ports or nothing_to_test:
            continue
        if not (ROOT / "tests/unit" / name.parent / f"test_{file.name}").exists():
            missing.append(str(name))
    assert missing == []


def test_every_rule_has_code_tests_and_a_page() -> None:
    """A rule is a folder of three."""
    for folder in sorted((ROOT / "policies/rules").iterdir()):
        names = {file.name for file in folder.iterdir()}
        assert {f"{folder.name}.rego", f"{folder.name}_test.rego", "README.md"} <= names


def test_the_readme_is_short_and_shows_a_running_example_early() -> None:
    """README under 150 lines, its first command by line 25."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert any("make demo" in line for line in lines[:25])


def test_the_makefile_has_few_targets_and_each_explains_itself() -> None:
    """Fewer than 20 targets, each with a line in `make help`."""
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    targets = phony[1].split()
    assert len(targets) < 20
    assert all(re.search(rf"^{target}:.*## ", text, re.MULTILINE) for target in targets)


def test_settings_stay_few() -> None:
    """Fewer than 40 fields at the top and in any block."""
    tree = ast.parse((ROOT / "proxy/config/settings.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert sum(isinstance(item, ast.AnnAssign) for item in node.body) < 40


def test_no_import_hides_in_a_function() -> None:
    """Imports stand at the top (PLC0415 has its own exceptions; this has none)."""
    hidden = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in tracked("proxy/**/*.py", "proxy/*.py", "credentials/*.py")
        for function in functions(ast.parse(file.read_text()))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_one_place_catches_everything() -> None:
    """The one broad except stands in ingress/problems.py."""
    pattern = re.compile(r"^\s*except( Exception| BaseException)?\s*(as \w+)?:", re.MULTILINE)
    broad = [
        str(file.relative_to(ROOT))
        for file in tracked("proxy/**/*.py", "proxy/*.py", "credentials/*.py")
        if pattern.search(file.read_text())
    ]
    assert broad == ["proxy/ingress/problems.py"]


def test_nothing_is_left_for_later_in_the_text() -> None:
    """No marks of unfinished work."""
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    found = [str(f.name) for f in tracked("*.py", "*.rego", "*.md") if marks.search(f.read_text())]
    assert found == []


def test_the_lock_file_pins_hashes_and_names_no_registry() -> None:
    """Every requirement has a hash; no address stands in the file."""
    text = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?==", text, re.MULTILINE)
    assert len(pins) > 50
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
