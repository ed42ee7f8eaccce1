"""What README and the pages beside it say is there: commands, targets, settings, files, codes."""

import itertools
import os
import re
import socket
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import load_settings
from proxy.config.settings import Listen
from proxy.ingress.agents import ROUTES
from proxy.pdp.find_opa import OPA_MINIMUM

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "policies/**/README.md")
    for path in ROOT.glob(pattern)
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CONTEXT = click.Context(main)
EXIT_CODE = re.compile(r"(\d) ([a-z ]+)")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", README, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def command_lines() -> list[list[str]]:
    """Return the words of every `detent …` line that README tells to type."""
    lines = "".join(blocks("console")).splitlines()
    typed = (re.fullmatch(r"\$ (?:\S*/)?detent (.*)", line) for line in lines)
    return [found[1].split() for found in typed if found]


def leaves(group: click.Group, *above: str) -> Iterator[str]:
    """Return every command as it is typed."""
    for name in group.list_commands(CONTEXT):
        command = command_of(group, name)
        if isinstance(command, click.Group):
            yield from leaves(command, *above, name)
        else:
            yield " ".join((*above, name))


def command_of(group: click.Group, name: str) -> click.Command:
    """Return a command of a group, which may load it only now."""
    command = group.get_command(CONTEXT, name)
    assert command is not None
    return command


def anchors(text: str) -> set[str]:
    """Return what `#…` may name in a page."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_that_is_shown_exists(words: list[str]) -> None:
    """With the options it is shown with; `--help` stands for running it."""
    taken = [word for word in words if word not in {"-h", "--help"}]
    result = CliRunner().invoke(main, [*taken, "--help"])
    assert result.exit_code == 0, result.output
    command: Any = main
    while taken and isinstance(command, click.Group):
        command = command_of(command, taken.pop(0))
    known = {option for each in command.params for option in each.opts}
    assert {word for word in taken if word.startswith("-")} <= known


def test_the_list_of_commands_is_complete() -> None:
    """Every command stands in it, and no other."""
    (line,) = re.findall(r"^`detent serve` ·.*$", README, re.MULTILINE)
    listed = [name.removeprefix("detent ") for name in re.findall(r"`([^`]+)`", line)]
    assert sorted(listed) == sorted(leaves(main))
    assert {"check", "serve"} <= {" ".join(words) for words in command_lines()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_target_that_is_named_exists(page: Path) -> None:
    """`make x` in code is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    code = re.findall(r"`make ([a-z-]+)|^\s*\$ make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert {first or second for first, second in code} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_points_at_something(page: Path) -> None:
    """Files beside the page, and headings in them."""
    missing = []
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            missing.append(link)
    assert missing == []


def test_the_settings_that_are_shown_load(tmp_path: Path) -> None:
    """Once the placeholders are hashes; the agent and the server are those of the text."""
    (block,) = blocks("yaml")
    file = tmp_path / "detent.yaml"
    numbers = itertools.count()
    file.write_text(re.sub("<hash>", lambda _: f"{next(numbers):064x}", block))
    settings = load_settings(file, {})
    assert settings.identity.operators[0].roles == ("kill", "lift", "view")
    for words in command_lines():
        if words[:2] == ["tools", "import"]:
            assert words[2] in settings.servers


def test_the_addresses_that_are_shown_are_the_defaults() -> None:
    """Ports and paths a reader will copy."""
    listen = Listen()
    shown = set(re.findall(r"http://([\d.]+):(\d+)(/\w+)", README))
    assert shown == {
        (listen.agents.host, str(listen.agents.port), "/mcp"),
        (listen.agents.host, str(listen.agents.port), "/v1"),
        (listen.operators.host, str(listen.operators.port), "/killswitch"),
    }
    assert {"/mcp", "/v1/calls"} <= set(ROUTES)


def test_the_versions_that_are_needed_are_those_that_are_checked() -> None:
    """Of Python and of OPA."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f">={re.findall(r'Python ([0-9.]+[0-9])', README)[0]}" == project["requires-python"]
    assert f"OPA {'.'.join(map(str, OPA_MINIMUM))} or newer" in README


def code_of(*arguments: str, **environ: str) -> int:
    """Run `detent` without any variable of ours but those given; return its exit code."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("DETENT_")}
    return CliRunner().invoke(main, arguments, env=clean | environ).exit_code


def test_every_exit_code_that_is_stated_is_real(tmp_path: Path) -> None:
    """Each is reached by a command, and there is no other."""
    (sentence,) = re.findall(r"^Exit codes: (.*)\.$", README, re.MULTILINE)
    stated = {int(code): meaning for code, meaning in EXIT_CODE.findall(sentence)}
    lonely = tmp_path / "detent.yaml"
    lonely.write_text("store: sqlite:///var/detent.db\npolicy: {bundle: none}\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        unavailable = code_of("kill", DETENT_URL=url, DETENT_OPERATOR_TOKEN="dto_x")
    reached = {
        "ok": code_of("token", "new", "agent"),
        "finding or denied": code_of("check", "--config", str(lonely)),
        "usage or configuration": code_of("check", "--config", str(tmp_path / "none.yaml")),
        "unavailable": unavailable,
    }
    assert stated == {code: meaning for meaning, code in reached.items()}
