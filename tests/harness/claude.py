"""Claude Code, where it is installed, before a model that says what the test wrote down for it.

It is optional and proprietary: nothing here needs it, a test that does is skipped without it. Name
the program with TEST_CLAUDE when it is not on PATH. The model is a Messages endpoint on
loopback, so nothing leaves the machine.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

MAIN_TOOLS = 3  # requests with fewer tools are for titles and the like
RUN_S = 90

Block = dict[str, Any]


def find_claude() -> str | None:
    """Return the program, None when it is not here."""
    return shutil.which(os.environ.get("TEST_CLAUDE", "claude"))


def use(number: int, name: str, **arguments: Any) -> Block:
    """Return a tool use of the model."""
    return {"type": "tool_use", "id": f"toolu_{number:024d}", "name": name, "input": arguments}


@dataclass
class Model:
    """The endpoint: one list of blocks a turn, then it is done. `told` holds what tools gave it."""

    turns: list[list[Block]]
    url: str = ""
    told: list[str] = field(default_factory=list)
    asked: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /v1/messages` as a stream of server-sent events."""
        body = await request.json()
        blocks: list[Block] = [{"type": "text", "text": "ok"}]
        if len(body.get("tools", ())) > MAIN_TOOLS:
            self.told += [_text(one) for one in _results(body["messages"][-1])]
            blocks = self.turns[self.asked] if self.asked < len(self.turns) else blocks
            self.asked += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in _events(body["model"], blocks):
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await response.write_eof()
        return response


def _results(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [one for one in content if isinstance(one, dict) and one["type"] == "tool_result"]


def _text(result: dict[str, Any]) -> str:
    content = result["content"]
    return content if isinstance(content, str) else "".join(one["text"] for one in content)


def _events(model: str, blocks: list[Block]) -> list[dict[str, Any]]:
    message: Block = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}
            given = json.dumps(block["input"])
            delta = {"type": "input_json_delta", "partial_json": given}
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    uses_tools = any(block["type"] == "tool_use" for block in blocks)
    stop = {"stop_reason": "tool_use" if uses_tools else "end_turn", "stop_sequence": None}
    return [
        *events,
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]


@asynccontextmanager
async def model(*turns: list[Block]) -> AsyncIterator[Model]:
    """Serve a model that says these turns."""
    served = Model(list(turns))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/messages", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        served.url = f"http://127.0.0.1:{port}"
        yield served
    finally:
        await runner.cleanup()


async def run_claude(
    program: str, project: Path, served: Model, token: str, *arguments: str
) -> tuple[int, str]:
    """Run one prompt in a project without a person; return exit code and everything it wrote."""
    environ = {
        "HOME": str(project.parent / "home"),
        "PATH": os.environ["PATH"],
        "ANTHROPIC_BASE_URL": served.url,
        "ANTHROPIC_API_KEY": "sk-ant-nothing",
        "DETENT_TOKEN": token,
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "NO_PROXY": "127.0.0.1",
    }
    (project.parent / "home").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        program, "-p", "Do it.", *arguments,
        cwd=project,
        env=environ,
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
    return process.returncode or 0, output.decode(errors="replace")
