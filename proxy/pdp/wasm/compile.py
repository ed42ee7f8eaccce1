"""From a staged bundle to a program: OPA compiles, we make it fail closed, wasmtime makes code."""

import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wasmtime import Module, WasmtimeError

from proxy.errors import PolicyInvalid
from proxy.pdp.base import PATHS, StagedBundle
from proxy.pdp.opa_command import run_opa
from proxy.pdp.wasm.binary import Malformed
from proxy.pdp.wasm.builtins import NATIVES, OURS, capabilities
from proxy.pdp.wasm.documents import rewritten
from proxy.pdp.wasm.guards import Unsafe
from proxy.pdp.wasm.harden import harden
from proxy.pdp.wasm.host import HOST
from proxy.pdp.wasm.machine import Machine, Program, Stopped, new_engine
from proxy.pdp.wasm.refusals import refusals

BUILD_TIMEOUT_S = 30.0
MAX_MODULE_BYTES = 16 * 1024 * 1024

_REFUSED = re.compile(
    r"(\S+?:\d+): rego_\w+: (?:undefined function (\S+)|template-strings are not supported)"
)
_UNDEFINED = re.compile(r'entrypoint "([^"]+)" does not refer')


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program with the numbers of its entry points, and the revision it is of."""

    program: Program
    entry_points: Mapping[str, int]
    revision: str


def compile_bundle(bundle: StagedBundle, opa: Path, paths: tuple[str, ...] = PATHS) -> Compiled:
    """Compile a staged bundle; of `paths` those that it has rules for become entry points.

    Blocks for seconds, mostly in machine code that is made on all processors: call it in a thread.
    Raises PolicyInvalid; of a builtin that this engine cannot evaluate as OPA does, with its name.
    """
    _check_revision(bundle)
    if problems := list(refusals(bundle.directory)):
        raise PolicyInvalid("\n".join(problems))
    content, data = _build(bundle.directory, opa, paths)
    try:
        data = rewritten(data)
        hardened = harden(content, NATIVES)
        code = bytes(Module(new_engine(), hardened.content).serialize())
    except (Malformed, Unsafe) as error:
        raise PolicyInvalid(
            f"the compiled module is refused: {error}. Cure: use policy.engine managed, or the "
            "OPA this version of Detent is tested with"
        ) from None
    except WasmtimeError as error:
        raise PolicyInvalid(f"the compiled module is invalid: {error}") from error
    except ValueError as error:
        raise PolicyInvalid(f"the data of the compiled bundle: {error}") from None
    return _linked(Program(code, data, _ours(), hardened.failures), bundle.revision)


def _linked(program: Program, revision: str) -> Compiled:
    """Ask the module itself which builtins it needs and where it is entered."""
    try:
        machine = Machine(program)
        try:
            needed, entry_points = machine.names("builtins"), machine.names("entrypoints")
        finally:
            machine.close()
    except Stopped as error:
        raise PolicyInvalid(f"the compiled module does not start: {error}") from error
    unknown = sorted(needed.keys() - HOST.keys())
    if unknown:
        raise PolicyInvalid(f"engine wasm has no {', '.join(unknown)}. Cure: use managed")
    imported = {number: (name, HOST[name]) for name, number in needed.items()}
    linked = replace(program, builtins={**program.builtins, **imported})
    return Compiled(linked, entry_points, revision)


def _ours() -> dict[int, tuple[str, Callable[..., Any]]]:
    return {number: (name, HOST[name]) for number, name in OURS.items()}


def _check_revision(bundle: StagedBundle) -> None:
    """Refuse a bundle that says itself that it is another. Raises PolicyInvalid."""
    try:
        manifest = json.loads((bundle.directory / ".manifest").read_bytes())
        served = manifest.get("revision")
    except (OSError, ValueError, AttributeError):
        served = None
    if served != bundle.revision:
        raise PolicyInvalid(f"the bundle is of revision {served}, not of {bundle.revision}")


def _build(directory: Path, opa: Path, paths: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return module and data as OPA compiles them. Raises PolicyInvalid."""
    with tempfile.TemporaryDirectory(prefix="detent-wasm-") as place:
        allowed, built = Path(place, "capabilities.json"), Path(place, "bundle.tar.gz")
        allowed.write_bytes(capabilities())
        left = list(paths)
        while (done := _run(directory, opa, allowed, built, left)).returncode != 0:
            undefined = _UNDEFINED.search(_said(done))
            if undefined is None or undefined[1] not in left:
                raise PolicyInvalid(_problems(done))
            left.remove(undefined[1])
        try:
            with tarfile.open(built, mode="r:gz") as archive:
                return _member(archive, "/policy.wasm"), _member(archive, "/data.json")
        except (OSError, tarfile.TarError, KeyError) as error:
            raise PolicyInvalid("opa build gave no module. Cure: run it by hand") from error


def _run(
    directory: Path, opa: Path, allowed: Path, built: Path, paths: Sequence[str]
) -> subprocess.CompletedProcess[bytes]:
    entries = (word for path in paths for word in ("--entrypoint", path))
    options = ("--target", "wasm", "--bundle", "--capabilities", str(allowed), *entries)
    return run_opa(opa, directory, ("build", *options, "--output", str(built)), BUILD_TIMEOUT_S)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    content = file.read(MAX_MODULE_BYTES + 1) if file is not None else b""
    if not 0 < len(content) <= MAX_MODULE_BYTES:
        raise PolicyInvalid(f"{name} of the compiled bundle is empty or too large")
    return content


def _problems(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return a line for each builtin that is refused, or what OPA said."""
    said = _said(done)
    refused = dict.fromkeys(_REFUSED.findall(said))
    lines = (
        f"{place}: engine wasm cannot evaluate {name or 'template strings'} as OPA does. "
        "Cure: write it in another way, or use policy.engine managed"
        for place, name in refused
    )
    return "\n".join(lines) or f"opa build: {said.strip()[:500]}"


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr + done.stdout).decode(errors="replace")
