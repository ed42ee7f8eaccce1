"""A42: a text that makes a regular expression try for ever, in policy or in a detector."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.canonical import flags_in, urls_in
from proxy.monitors.redact import without_texts
from proxy.monitors.token_shapes import tokens_in
from proxy.observability.masking import Masker
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

# One step a character is a quarter of a million; squared it would take the better part of an hour.
LONG = 256 * 1024
CPU_S = 10.0

HOSTILE = {
    "a's": "a" * LONG + "!",
    "slashes": "http://" * (LONG // 7),
    "at signs": "http://" + "a@" * (LONG // 2),
    "dots": "http://" + "a." * (LONG // 2) + "\x00",
    "entities": "&#x" * (LONG // 3),
    "percents": "%" * LONG,
    "backslashes": "\\u" * (LONG // 2),
    "half tokens": "dta_" * (LONG // 4),
    "base64": "ZHRh" * (LONG // 4) + "-",
    "spaces": " " * LONG + "x",
}
DETECTORS: dict[str, Callable[[str], Any]] = {
    "urls": lambda text: urls_in({"a": text}),
    "flags": lambda text: flags_in({text: text}),
    "tokens": lambda text: list(tokens_in(text.encode())),
    "log masks": Masker(["a-secret-that-is-long-enough"]).mask,
    "redaction": lambda text: without_texts(json.dumps([text]).encode(), ["aaa!"]),
}


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("text", HOSTILE)
def test_a42_detectors_take_time_in_proportion(detector: str, text: str) -> None:
    """Of the processor, so that a busy machine does not matter."""
    began = time.thread_time()
    with suppress(BadRequest):  # too many URLs: that is an answer too
        DETECTORS[detector](HOSTILE[text])
    assert time.thread_time() - began < CPU_S


HEAD = """package detent.rules.planted

import data.detent.lib.reasons

allow contains reasons.of("role-allows-tool")"""
PATTERNS = ["^(a+)+$", "^(a|a)*$", "(.*a){12}$", "^([a-zA-Z]+)*$", "(x+x+)+y"]


async def test_a42_patterns_of_policy_are_decided_in_time(world: World, recorder: Recorder) -> None:
    """OPA's expressions are RE2: the patterns that explode elsewhere decide 60,000 letters."""
    world.write()
    world.deadline = "20s"
    condition = "\n\t".join(
        f"not regex.match(`{pattern}`, input.context.arguments.text)" for pattern in PATTERNS
    )
    rule = f"{HEAD} if {{\n\t{condition}\n}}\n"
    (world.bundle / "rules/planted").mkdir()
    (world.bundle / "rules/planted/planted.rego").write_text(rule)
    async with Gateway(world) as gateway:
        status, answer = await gateway.call("write", {"text": "a" * 60_000 + "!"})
    assert (status, answer["verdict"]) == (200, "allow")
    assert len(recorder.received) == 1
