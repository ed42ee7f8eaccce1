"""Everything here needs wasmtime; where it is not installed, nothing is collected."""

from importlib.util import find_spec

if find_spec("wasmtime") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.harness.wasm_bundles import bundle, compiled, evaluate

    __all__ = ["bundle", "compiled", "evaluate"]
