"""From a bundle to a program: what is refused at load, and by which words."""

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.base import StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm import compile as compiling
from proxy.pdp.wasm.compile import Compiled, compile_bundle
from proxy.pdp.wasm.harden import Hardened, Native, harden

Write = Callable[..., StagedBundle]
Rules = Callable[..., Compiled]


def test_a_bundle_becomes_a_program_of_its_revision(bundle: Write) -> None:
    """With the entry points that it has rules for."""
    staged = bundle('decision := "x"\n\nvisible := sprintf("%v", [1])', "seven")
    compiled = compile_bundle(staged, find_opa().path)
    assert compiled.revision == "seven"
    assert compiled.entry_points == {"detent/main/decision": 0, "detent/main/visible": 1}


@pytest.mark.parametrize(
    ("builtin", "told"),
    [
        ("json.unmarshal(input)", r"json\.unmarshal"),
        ("format_int(input, 10)", "format_int"),
        ("input.a / input.b", "div"),
        ('$"{input}"', "template strings"),
        ("http.send({})", r"http\.send"),
    ],
)
def test_a_builtin_that_differs_is_refused_by_name_and_place(
    compiled: Rules, builtin: str, told: str
) -> None:
    """And the cure is another engine."""
    with pytest.raises(
        PolicyInvalid, match=rf"main\.rego:3: engine wasm cannot evaluate {told} as"
    ):
        compiled(f"decision := {builtin}")


def test_other_problems_are_told_as_opa_tells_them(compiled: Rules) -> None:
    """Such as a syntax error."""
    with pytest.raises(PolicyInvalid, match=r"opa build: (.|\n)*rego_parse_error"):
        compiled("decision := (")


def test_a_bundle_without_any_entry_point_is_refused(compiled: Rules) -> None:
    """It would decide nothing."""
    with pytest.raises(PolicyInvalid, match="opa build"):
        compiled("other := 1")


@pytest.mark.parametrize("manifest", ['{"revision":"two"}', "{", "[]", None])
def test_another_revision_than_the_staged_one_is_refused(
    bundle: Write, manifest: str | None
) -> None:
    """Or none at all."""
    staged = bundle("decision := 1")
    place = staged.directory / ".manifest"
    place.unlink()
    if manifest is not None:
        place.write_text(manifest)
    with pytest.raises(PolicyInvalid, match="not of one"):
        compile_bundle(staged, find_opa().path)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 0", "no module"),
        ("echo broken >&2; exit 3", "opa build: broken"),
        (
            "while [ $# -gt 0 ]; do case $1 in --output) echo x > $2;; esac; shift; done",
            "no module",
        ),
    ],
)
def test_an_opa_that_gives_no_module_is_told(
    bundle: Write, tmp_path: Path, script: str, told: str
) -> None:
    """Whatever it says, or writes."""
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\n{script}\n")
    liar.chmod(stat.S_IRWXU)
    with pytest.raises(PolicyInvalid, match=told):
        compile_bundle(bundle("decision := 1"), liar)


@pytest.mark.parametrize(
    ("module", "told"),
    [(b"", "empty"), (b"\0asm", "refused: it ends too soon"), (b"x" * 99, "no WebAssembly")],
)
def test_a_module_that_is_none_is_refused(
    bundle: Write, monkeypatch: pytest.MonkeyPatch, module: bytes, told: str
) -> None:
    """Before wasmtime sees it."""

    def member(archive: object, name: str) -> bytes:
        del archive
        if not module and name == "/policy.wasm":
            raise PolicyInvalid(f"{name} is empty")
        return module if name == "/policy.wasm" else b"{}"

    monkeypatch.setattr(compiling, "_member", member)
    with pytest.raises(PolicyInvalid, match=told):
        compile_bundle(bundle("decision := 1"), find_opa().path)


def test_a_module_that_wasmtime_refuses_is_refused(
    bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours are checked by it as all others."""

    def spoil(content: bytes, natives: Mapping[str, Native]) -> Hardened:
        hardened = harden(content, natives)
        return Hardened(hardened.content + b"\x0a\x01\x00", {})

    monkeypatch.setattr(compiling, "harden", spoil)
    with pytest.raises(PolicyInvalid, match="the compiled module is invalid"):
        compile_bundle(bundle("decision := 1"), find_opa().path)


def test_a_builtin_that_we_have_not_is_refused_by_name(
    bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the capabilities ever offer more than we have."""
    monkeypatch.setattr(compiling, "HOST", {})
    monkeypatch.setattr(compiling, "OURS", {})
    with pytest.raises(PolicyInvalid, match="engine wasm has no sprintf"):
        compile_bundle(bundle('decision := sprintf("%v", [input])'), find_opa().path)


def test_a_module_that_does_not_start_is_refused(
    bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data may be too large."""
    monkeypatch.setattr(compiling, "rewritten", lambda _: b"{")
    with pytest.raises(PolicyInvalid, match="does not start"):
        compile_bundle(bundle("decision := 1"), find_opa().path)


def test_data_that_are_no_json_are_refused(bundle: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever OPA wrote."""
    monkeypatch.setattr(compiling, "_member", lambda *_: b"{")
    with pytest.raises(PolicyInvalid, match="the data of the compiled bundle"):
        compile_bundle(bundle("decision := 1"), find_opa().path)


def test_data_reach_the_rules(evaluate: Callable[..., object]) -> None:
    """Also characters beyond the first two planes, which OPA's parser there misreads."""
    rules = "decision := data.known[input.name]"
    assert evaluate(rules, {"name": "a"}, {"a": ["\U00020000", 1.5]}) == ["\U00020000", 1.5]


def test_a_with_that_replaces_a_function_is_refused(compiled: Rules) -> None:
    """WebAssembly gets nested ones wrong."""
    with pytest.raises(PolicyInvalid, match=r"main\.rego:5: engine wasm cannot replace f with"):
        compiled("f(_) := 1\n\ndecision := f(2) with f as 3")
