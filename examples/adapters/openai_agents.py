"""Guard the function tools of the OpenAI Agents SDK: give each of them these two guardrails.

    @function_tool(tool_input_guardrails=[ask_detent], tool_output_guardrails=[tell_detent])

Their manifest is `policies/tools/openai-agents/data.yaml`, each entry with `hooks: true`. Whatever
goes wrong raises, and a run that raises has not run the tool.
"""

import json
import os
import uuid
from typing import Any

import httpx
from agents import (  # type: ignore[import-not-found]  # the SDK has an environment of its own
    ToolGuardrailFunctionOutput,
    tool_input_guardrail,
    tool_output_guardrail,
)

SESSION = str(uuid.uuid4())  # one run of this agent
detent = httpx.AsyncClient(
    base_url=os.environ.get("DETENT_AGENTS_URL", "http://127.0.0.1:8787"),
    headers={"Authorization": f"Bearer {os.environ['DETENT_TOKEN']}"},
    trust_env=False,
)


async def hook(event: str, data: Any, **more: Any) -> Any:
    """Post one event and return what may happen next."""
    body = {"hook_event_name": event, "session_id": SESSION, **more}
    body |= {"tool_name": data.context.tool_name, "tool_use_id": data.context.tool_call_id}
    body["tool_input"] = json.loads(data.context.tool_arguments)
    answer = (await detent.post("/hooks/openai-agents", json=body)).raise_for_status().json()
    if answer.get("continue") is False:
        return ToolGuardrailFunctionOutput.raise_exception(answer["stopReason"])
    said = answer.get("hookSpecificOutput", {})
    refusal = said.get("permissionDecisionReason") or answer.get("reason")
    if said or refusal:
        return ToolGuardrailFunctionOutput.reject_content(
            refusal or "Detent wants it done otherwise."
        )
    return ToolGuardrailFunctionOutput.allow()


async def before(data: Any) -> Any:
    """Decide a tool before it runs."""
    return await hook("PreToolUse", data)


async def after(data: Any) -> Any:
    """Tell what it gave, before the model sees it."""
    return await hook("PostToolUse", data, tool_response=data.output)


ask_detent, tell_detent = tool_input_guardrail(before), tool_output_guardrail(after)
