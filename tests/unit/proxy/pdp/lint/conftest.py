"""Rego to lint, written where a bundle has it, parsed by the real OPA."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.pdp.find_opa import find_opa
from proxy.pdp.lint.modules import Source, parse

HEAD = """\
package detent.rules.one

import data.detent.lib.reasons
import future.keywords.not

"""
REASONS = """\
package detent.lib.reasons

of(id) := {"id": id, "message": data.reasons[id]}

about(id, _) := of(id)
"""

Parsed = Callable[..., Source]


@pytest.fixture(scope="session")
def opa() -> Path:
    """The real OPA."""
    return find_opa().path


@pytest.fixture
def parsed(tmp_path: Path, opa: Path) -> Parsed:
    """Parse the body of a rule's file, and any other files by path."""

    def parse_all(body: str, files: dict[str, str] | None = None, head: str = HEAD) -> Source:
        texts = {"rules/one/one.rego": head + body, "lib/reasons.rego": REASONS, **(files or {})}
        for name, text in texts.items():
            file = tmp_path / "parsed" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return parse(tmp_path / "parsed", opa)

    return parse_all
