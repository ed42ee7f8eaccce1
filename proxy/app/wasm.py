"""The wasm engine, where the library that runs it is installed."""

from pathlib import Path

from proxy.errors import ConfigError
from proxy.pdp.base import PolicyEngine
from proxy.pdp.managed_opa import Probe

try:
    from proxy.pdp.wasm.engine import WasmOpa
except ModuleNotFoundError as error:
    if error.name != "wasmtime":
        raise
    _HAS_RUNTIME = False
else:
    _HAS_RUNTIME = True


def wasm_engine(opa: Path, probe: Probe | None = None) -> PolicyEngine:
    """Return the engine. Raises ConfigError when wasmtime is missing."""
    if not _HAS_RUNTIME:
        raise ConfigError(
            ("policy.engine: wasm needs wasmtime, which is not installed; install detent[wasm]",)
        )
    return WasmOpa(opa, probe)
