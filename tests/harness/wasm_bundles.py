"""A small bundle compiled to WebAssembly by the real OPA; needs wasmtime."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.base import StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm.compile import Compiled, compile_bundle
from proxy.pdp.wasm.machine import Machine

Write = Callable[..., StagedBundle]


@pytest.fixture
def bundle(tmp_path: Path) -> Write:
    """Write a bundle of one file, and of data when it is given."""

    def write(rego: str, revision: str = "one", data: Any = None) -> StagedBundle:
        directory = tmp_path / revision
        directory.mkdir()
        (directory / "main.rego").write_text(f"package detent.main\n\n{rego}\n")
        roots = ["detent", "known"]
        manifest = {"revision": revision, "roots": roots, "rego_version": 1}
        (directory / ".manifest").write_text(json.dumps(manifest))
        (directory / "known").mkdir()
        (directory / "known" / "data.json").write_text(json.dumps(data))
        return StagedBundle(directory, revision)

    return write


@pytest.fixture
def compiled(bundle: Write) -> Callable[..., Compiled]:
    """Compile the rules of a bundle."""

    def compile_rules(rego: str, data: Any = None) -> Compiled:
        return compile_bundle(bundle(rego, data=data), find_opa().path)

    return compile_rules


@pytest.fixture
def evaluate(compiled: Callable[..., Compiled]) -> Callable[..., Any]:
    """Evaluate `decision` of some rules on an input; None is undefined."""

    def ask(rego: str, document: Any = None, data: Any = None) -> Any:
        program = compiled(rego, data)
        machine = Machine(program.program)
        try:
            entry_point = program.entry_points["detent/main/decision"]
            results = json.loads(machine.evaluate(entry_point, json.dumps(document).encode()))
        finally:
            machine.close()
        return results[0]["result"] if results else None

    return ask
