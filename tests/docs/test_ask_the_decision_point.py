"""The page on AuthZEN: its settings load, its question gets the answer it shows."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from proxy.config.identity import OperatorEntry
from proxy.ingress.authzen_requests import MAX_EVALUATIONS, Semantic
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from tests.harness.fixtures import gateway, recorder, world
from tests.harness.gateway import Gateway
from tests.harness.world import World, http_tool

__all__ = ["gateway", "recorder", "world"]

PAGE = (Path(__file__).parents[2] / "docs/how-to/ask-the-decision-point.md").read_text()
TOOL = http_tool("GET", "/log", "read", returns="untrusted")
TOOL["http"]["query"] = ["repo_path", "max_count"]
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"repo_path": {"type": "string"}, "max_count": {"type": "integer"}},
}


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_settings_of_the_page_load() -> None:
    """A token that can do nothing but ask."""
    (operator,) = yaml.safe_load(blocks("yaml")[0])["identity"]["operators"]
    loaded = OperatorEntry(**operator | {"token_sha256": "ab" * 32})
    assert loaded.roles == ("evaluate",)


def test_the_names_of_the_page_are_those_of_the_code() -> None:
    """Obligations, semantics, and how many at once."""
    assert all(f"`{name}`" in PAGE for name in (*KNOWN_OBLIGATIONS, *Semantic))
    assert f"up to {MAX_EVALUATIONS} `evaluations`" in PAGE


def shape(value: Any) -> Any:
    """Return the keys of a document, down to what differs from run to run."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    return type(value).__name__


async def test_the_question_of_the_page_gets_its_answer(world: World) -> None:
    """Sent as the command of the page sends it."""
    question, shown = (json.loads(text) for text in blocks("json"))
    agent = question["subject"]["id"]
    world.tools = {"repo": {"git_log": TOOL | {"input_schema": SCHEMA}}}
    world.servers = {"repo": {"http": {"base_url": world.recorder_url}, "allow_private": True}}
    question["subject"]["properties"]["roles"] = ["tester"]
    words = shlex.split(blocks("console")[0].removeprefix("$ "))
    headers = {"X-Request-ID": words[words.index("-H", words.index("-H") + 1) + 1].split(": ")[1]}
    path = words[2].removeprefix("$DETENT_URL")
    async with Gateway(world) as running:
        status, answer = await running.operate("POST", path, question, headers=headers)
    assert (agent, status, shape(answer)) == ("nightly-loop", 200, shape(shown))
    assert answer["context"]["reasons"] == shown["context"]["reasons"]
