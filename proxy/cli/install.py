"""`detent install claude-code`: hooks and the MCP entry, into settings that already hold others."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from proxy.cli.claude_settings import (
    OLDEST,
    Document,
    guarded_settings,
    locked_settings,
    with_server,
)

VERSION = re.compile(r"\b(\d+)\.(\d+)\.(\d+)\b")
VERSION_TIMEOUT_S = 30
MAX_SHOWN_CHARS = 120


@dataclass(frozen=True, slots=True)
class Change:
    """One file: what it holds and what it has to hold."""

    file: Path
    before: Document
    after: Document

    def lines(self) -> list[str]:
        """Return one line for each thing that is added, changed or taken away."""
        return list(_differences("", self.before, self.after))


@click.group()
def install() -> None:
    """Make an agent program ask Detent."""


@install.command(name="claude-code")
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="The project: .claude/settings.json and .mcp.json in it (default: here).",
)
@click.option(
    "--managed",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write managed settings into this directory instead, with the lock-down.",
)
@click.option("--url", default="http://127.0.0.1:8787", show_default=True, help="The agents' port.")
@click.option(
    "--claude", default="claude", show_default=True, help="The program whose version counts."
)
@click.option("--unchecked", is_flag=True, help="Claude Code runs elsewhere: ask no version.")
@click.option("--dry-run", is_flag=True, help="Say what would change and change nothing.")
def claude_code(
    project: Path, managed: Path | None, url: str, claude: str, unchecked: bool, dry_run: bool
) -> None:
    """Make Claude Code ask before every tool use; the token stays in $DETENT_TOKEN.

    What is there stays there, and a backup lies beside what is changed. Doing it again changes
    nothing.
    """
    url = _origin(url)
    if not unchecked:
        _check_version(claude)
    try:
        changes = managed_changes(managed, url) if managed else project_changes(project, url)
    except TypeError as error:
        raise click.UsageError(f"the settings cannot be merged: {error}") from None
    for change in changes:
        lines = change.lines()
        click.echo(f"{change.file}: {'nothing to change' if not lines else ''}".rstrip())
        for line in lines:
            click.echo(f"  {line}")
        if lines and not dry_run:
            _write(change)
    if dry_run:
        click.echo("dry run: nothing was written")
    else:
        click.echo("give Claude Code its token: export DETENT_TOKEN=…  (from `detent token new`)")


def project_changes(project: Path, url: str) -> tuple[Change, ...]:
    """Return the changes to a project's settings. Raises UsageError."""
    settings, servers = project / ".claude" / "settings.json", project / ".mcp.json"
    now, known = _read(settings), _read(servers)
    if now.get("disableAllHooks") is True:
        raise click.UsageError(f"{settings} says disableAllHooks: no hook would run; take it out")
    return (
        Change(settings, now, guarded_settings(now, url)),
        Change(servers, known, with_server(known, url)),
    )


def managed_changes(directory: Path, url: str) -> tuple[Change, ...]:
    """Return the changes to managed settings. Raises UsageError."""
    settings, servers = directory / "managed-settings.json", directory / "managed-mcp.json"
    now, known = _read(settings), _read(servers)
    return (
        Change(settings, now, locked_settings(now, url)),
        Change(servers, known, with_server(known, url)),
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise click.BadParameter("give --url as http://127.0.0.1:8787")
    return f"{parts.scheme}://{parts.netloc}"


def _check_version(claude: str) -> None:
    """Refuse a Claude Code whose hooks cannot fail closed. Raises UsageError."""
    program = shutil.which(claude)
    if program is None:
        raise click.UsageError(
            f"{claude} is not installed here: name it with --claude, or --unchecked"
        )
    try:
        said = subprocess.run(  # noqa: S603  (the program the user named, no shell)
            [program, "--version"],
            capture_output=True,
            timeout=VERSION_TIMEOUT_S,
            check=False,
            text=True,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    found = VERSION.search(said)
    if found is None:
        raise click.UsageError(f"{program} does not say its version; name another with --claude")
    if tuple(map(int, found.groups())) < tuple(map(int, OLDEST.split("."))):
        raise click.UsageError(
            f"Claude Code {found[0]} lets a tool run when its hook gets no answer; "
            f"{OLDEST} is the first that can be told not to. Update it."
        )


def _read(file: Path) -> Document:
    """Return a settings file, {} when there is none. Raises UsageError for one nobody can read."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise click.UsageError(f"{file} cannot be read as JSON; correct it first") from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{file} holds no JSON object; correct it first")
    return document


def _write(change: Change) -> None:
    """Replace a file as a whole, with a copy of what it was beside it. Raises UsageError."""
    file = change.file
    text = json.dumps(change.after, indent=2, ensure_ascii=False) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            backup = next(place for place in _backups(file) if not place.exists())
            shutil.copy2(file, backup)
            click.echo(f"  the file as it was: {backup}")
        partial = file.with_name(f"{file.name}.partial")
        partial.write_text(text, encoding="utf-8")
        if file.exists():
            shutil.copymode(file, partial)
        partial.replace(file)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written ({error.strerror})") from None


def _backups(file: Path) -> Iterator[Path]:
    number = 1
    while True:
        yield file.with_name(f"{file.name}.bak-{number}")
        number += 1


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + " …"


def _differences(place: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            inner = f"{place}.{key}" if place else key
            if key not in before:
                yield f"+ {inner}: {_short(after[key])}"
            else:
                yield from _differences(inner, before[key], after[key])
    elif isinstance(before, list) and isinstance(after, list):
        yield from (f"- {place}[]: {_short(one)}" for one in before if one not in after)
        yield from (f"+ {place}[]: {_short(one)}" for one in after if one not in before)
    elif before != after:
        yield f"~ {place}: {_short(before)} -> {_short(after)}"
