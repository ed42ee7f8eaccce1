"""An agent of the OpenAI Agents SDK with a scripted model; run by an interpreter that has the SDK.

Its one tool writes a file. Arguments: the file, and what the model gives the tool. Prints JSON:
what the model was told, or what the run raised.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from agents import (  # type: ignore[import-not-found]  # the SDK has an environment of its own
    Agent,
    Model,
    ModelResponse,
    Runner,
    Usage,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import (  # type: ignore[import-not-found]  # comes with it
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from examples.adapters.openai_agents import ask_detent, tell_detent

FILE, TEXT = Path(sys.argv[1]), sys.argv[2]


@function_tool(tool_input_guardrails=[ask_detent], tool_output_guardrails=[tell_detent])  # type: ignore[untyped-decorator]  # as above
def note(text: str) -> str:
    """Write a text down."""
    FILE.write_text(text)
    return f"wrote {text}"


class Scripted(Model):  # type: ignore[misc]  # as above
    """Calls the tool once, then says what it was told."""

    async def get_response(self, **asked: Any) -> Any:
        given = asked["input"]
        told = [item["output"] for item in given if isinstance(item, dict) and "output" in item]
        if told:
            text = ResponseOutputText(type="output_text", text=str(told[-1]), annotations=[])
            output: Any = ResponseOutputMessage(
                id="m", type="message", role="assistant", status="completed", content=[text]
            )
        else:
            output = ResponseFunctionToolCall(
                type="function_call",
                call_id="call_1",
                name="note",
                arguments=json.dumps({"text": TEXT}),
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def main() -> None:
    set_tracing_disabled(True)
    agent = Agent(name="scribe", tools=[note], model=Scripted())
    try:
        result = await Runner.run(agent, "Do it.")
        print(json.dumps({"told": result.final_output}))  # noqa: T201  (what the test reads)
    except Exception as error:  # noqa: BLE001  (the test looks at what it was)
        print(json.dumps({"raised": type(error).__name__}))  # noqa: T201  (the same)


asyncio.run(main())
