"""The how-to page on call tokens: its code runs, its output and its table are true."""

import contextlib
import io
import re
from pathlib import Path

import credentials

ROOT = Path(credentials.__file__).parents[1]
PAGE = (ROOT / "docs/how-to/verify-call-tokens.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_the_page_says() -> None:
    """The blocks run as one program, and its output is the one shown."""
    printed = io.StringIO()
    program = compile("\n".join(blocks("python")), "verify-call-tokens.md", "exec")
    with contextlib.redirect_stdout(printed):
        exec(program, {"__name__": "example"})  # noqa: S102 - our own page is what is tested
    assert [printed.getvalue()] == blocks("text")


def test_the_table_lists_every_code_there_is() -> None:
    """No code of the verifier is missing from the page, and none is invented there."""
    sources = (ROOT / "credentials" / name for name in ("verify.py", "call_token.py"))
    raised = set(
        re.findall(r'InvalidToken\("([a-z-]+)"\)', "".join(s.read_text() for s in sources))
    )
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == raised
