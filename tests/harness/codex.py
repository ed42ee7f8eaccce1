"""Codex, where it is installed, before a model that says what the test wrote down for it.

Name the program with TEST_CODEX when it is not on PATH. The model is an endpoint on loopback that
speaks the Responses API.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

RUN_S = 90
DONE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "done"}],
}


def find_codex() -> str | None:
    """Return the program, None when it is not here."""
    return shutil.which(os.environ.get("TEST_CODEX", "codex"))


@dataclass
class Model:
    """The endpoint: it runs these commands, one a turn. `told` holds what they gave it."""

    commands: list[str]
    url: str = ""
    told: list[str] = field(default_factory=list)
    asked: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /v1/responses` as a stream of server-sent events."""
        body = await request.json()
        last = body["input"][-1]
        if last["type"] == "function_call_output":
            self.told.append(str(last["output"]))
        item: dict[str, Any] = DONE
        if self.asked < len(self.commands):
            given = json.dumps({"cmd": self.commands[self.asked]})
            item = {
                "type": "function_call",
                "call_id": f"call_{self.asked}",
                "name": "exec_command",
            }
            item["arguments"] = given
        self.asked += 1
        usage = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 1)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
        ]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await response.write_eof()
        return response


@asynccontextmanager
async def model(*commands: str) -> AsyncIterator[Model]:
    """Serve a model that runs these commands."""
    served = Model(list(commands))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/responses", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield served
    finally:
        await runner.cleanup()


def settings(served: Model, url: str) -> str:
    """Return a config.toml whose hooks ask the gateway at that URL, as the how-to has it."""
    detent = f"{Path(sys.executable).with_name('detent')} hook --agent codex --url {url}"
    hooks = "".join(
        f'[[hooks.{event}]]\n[[hooks.{event}.hooks]]\ntype = "command"\n'
        f'command = "{detent}"\ntimeout = 30\n'
        for event in ("PreToolUse", "PostToolUse", "UserPromptSubmit", "Stop", "SessionEnd")
    )
    return f"""\
model = "scripted"
model_provider = "local"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.local]
name = "local"
base_url = "{served.url}"
wire_api = "responses"
env_key = "NO_KEY"

{hooks}"""


async def run_codex(program: str, project: Path, served: Model, token: str, url: str) -> str:
    """Run one prompt in a project; return everything it wrote."""
    home = project.parent / "codex"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(settings(served, url))
    process = await asyncio.create_subprocess_exec(
        program, "exec", "--skip-git-repo-check", "--dangerously-bypass-hook-trust", "Do it.",
        cwd=project,
        env={
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "PATH": os.environ["PATH"],
            "NO_KEY": "nothing",
            "DETENT_TOKEN": token,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(RUN_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace")
