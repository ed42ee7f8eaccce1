"""The how-to page on REST APIs: typed as it stands, it says what it shows."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from proxy.ingress.agents import ROUTES
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.pdp.openapi_document import METHODS
from proxy.upstream.http import MAX_RESULT_BYTES, SHOWN_HEADERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/put-a-rest-api-behind-detent.md").read_text()
PORTS = ("8787", "8788", "9001")
START_S = 30


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def typed() -> Iterator[tuple[str, str]]:
    """Yield each command of the page, and what it shows after it."""
    for part in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def looks_like(shown: str) -> re.Pattern[str]:
    """Return a pattern for an output in which … stands for anything."""
    return re.compile(".*".join(map(re.escape, shown.strip().split("\u2026"))), re.DOTALL)


@pytest.fixture
def ports() -> dict[str, str]:
    """Free ports in place of those of the page."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for probe in (one, two, three):
            probe.bind(("127.0.0.1", 0))
        found = [str(probe.getsockname()[1]) for probe in (one, two, three)]
    return dict(zip(PORTS, found, strict=True))


def moved(text: str, ports: dict[str, str]) -> str:
    """Return a text with other ports."""
    return re.sub("|".join(PORTS), lambda port: ports[port[0]], text)


@pytest.fixture
def environ(tmp_path: Path, ports: dict[str, str]) -> dict[str, str]:
    """Write the files of the page into an empty directory; return what its lines need."""
    agent, operator = new_token(TokenKind.AGENT), new_token(TokenKind.OPERATOR)
    (service,), (settings,) = blocks("python"), blocks("yaml")
    (tmp_path / "notes.py").write_text(service)
    settings = settings.replace("<agent's hash>", token_sha256(agent))
    settings = settings.replace("<operator's hash>", token_sha256(operator))
    listen = "listen: {agents: 127.0.0.1:8787, operators: 127.0.0.1:8788}\n"
    (tmp_path / "detent.yaml").write_text(moved(settings + listen, ports))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "DETENT": str(ROOT), "TOKEN": agent}


@asynccontextmanager
async def left_running(command: str, place: Path, environ: dict[str, str]) -> AsyncIterator[None]:
    """Run a command of the page until the block ends."""
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_shell(
        f"exec {command}", cwd=place, env=environ, stdout=nowhere, stderr=nowhere
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def until_up(url: str) -> None:
    """Wait until something answers there."""
    async with asyncio.timeout(START_S), httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                await http.get(url)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
            else:
                return


async def output_of(command: str, place: Path, environ: dict[str, str]) -> str:
    """Return what a command prints; it succeeds."""
    process = await asyncio.create_subprocess_shell(
        command, cwd=place, env=environ, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def test_the_page_can_be_typed_as_it_stands(
    tmp_path: Path, environ: dict[str, str], ports: dict[str, str]
) -> None:
    """Every command succeeds, in order, and every output is the one that is shown."""
    commands = [(moved(command, ports), shown) for command, shown in typed()]
    (service, _), *commands = commands
    at = next(index for index, (command, _) in enumerate(commands) if command == "detent serve")
    async with left_running(service, tmp_path, environ):
        await until_up(f"http://127.0.0.1:{ports['9001']}/openapi.json")
        for command, shown in commands[:at]:
            assert looks_like(shown).search(await output_of(command, tmp_path, environ))
        async with left_running("detent serve", tmp_path, environ):
            await until_up(f"http://127.0.0.1:{ports['8787']}/healthz")
            for command, shown in commands[at + 1 :]:
                printed = await output_of(command, tmp_path, environ)
                assert looks_like(shown).fullmatch(printed.strip()), printed


def test_the_methods_are_those_that_are_taken() -> None:
    """No more, no less."""
    (row,) = re.findall(r"^\| methods \| ([A-Z, ]+)\.", PAGE, re.MULTILINE)
    assert set(row.split(", ")) == {method.upper() for method in METHODS}
    assert set(row.split(", ")) == set(ROUTES["/http/*/**"])


def test_the_headers_and_the_limit_are_those_of_the_code() -> None:
    """Nobody plans with wrong ones."""
    (told,) = re.findall(r"service's headers (.*?)\. `Location`", PAGE, re.DOTALL)
    named = {name.lower() for name in re.findall(r"`([A-Za-z-]+)`", told)}
    assert named == {"content-type", *SHOWN_HEADERS}
    assert f"more than {MAX_RESULT_BYTES >> 20} MiB" in PAGE
