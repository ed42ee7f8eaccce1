"""Where wasmtime is missing, the settings that need it are told so."""

from importlib.util import find_spec

import pytest

from proxy.app import wasm
from proxy.app.wasm import wasm_engine
from proxy.errors import ConfigError
from proxy.pdp.find_opa import find_opa


def test_without_the_library_there_is_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an import error in the middle of a start."""
    monkeypatch.setattr(wasm, "_HAS_RUNTIME", False)
    with pytest.raises(ConfigError, match=r"install detent\[wasm\]"):
        wasm_engine(find_opa().path)


@pytest.mark.skipif(find_spec("wasmtime") is None, reason="wasmtime is not installed")
async def test_with_the_library_there_is_an_engine() -> None:
    """Nothing is started yet."""
    await wasm_engine(find_opa().path).stop()
