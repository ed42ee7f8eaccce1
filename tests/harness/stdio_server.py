"""A scripted MCP server over stdio: well-behaved or not, as the arguments and the tool's name say.

Usage: server.py LOG [WAY]. Each line it reads is appended to LOG as it is.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]

log = open(sys.argv[1], "ab", buffering=0)  # noqa: PTH123, SIM115 open as long as we run
way = sys.argv[2] if len(sys.argv) > 2 else "handshake"


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(message: Answer) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def hear() -> Answer:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit()
    log.write(line)
    heard: Answer = json.loads(line)
    return heard


def open_up(message: Answer) -> Answer:
    """Answer initialize and server/discover."""
    stateless = message["method"] == "server/discover"
    if way == "mute":
        time.sleep(60)
    if way == "rude" or (way in {"stateless", "quiet"}) != stateless:
        return {"error": {"code": -32601 if stateless else -32022, "message": "no"}}
    if stateless:
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {}}}
    version = "1999-01-01" if way == "old" else "2025-06-18"
    return {"result": {"protocolVersion": version, "capabilities": {}}}


def list_tools(message: Answer) -> Answer:
    """Answer tools/list: two pages, or as the way says."""
    if way == "unlisted":
        return {"error": {"code": -32601, "message": "no tools"}}
    cursor = message["params"].get("cursor", "")
    tools = [{"name": f"tool{cursor}", "inputSchema": {"type": "object"}}]
    following = {"endless": cursor + "x", "circle": "again"}.get(way, None if cursor else "2")
    more = {} if following is None else {"nextCursor": following}
    return {"result": {"tools": tools, **more}}


def deaf(message: Answer) -> None:
    say({"id": message["id"], "result": {}})
    time.sleep(60)


def blank(_: Answer) -> Answer:
    write("\n  ")
    return {"result": {}}


def changed(_: Answer) -> Answer:
    say({"method": "notifications/tools/list_changed"})
    say({"method": "notifications/progress", "params": {}})
    return {"result": {}}


def ask(_: Answer) -> Answer:
    say({"id": "a", "method": "ping"})
    say({"id": 7, "method": "sampling/createMessage", "params": {}})
    return {"result": {"replies": [hear(), hear()]}}


def talk(message: Answer) -> Answer:
    """Say everything a server can say beside an answer."""
    token = message["params"].get("_meta", {}).get("progressToken")
    for step in range(3):
        say({"method": "notifications/progress", "params": {"progressToken": token, "at": step}})
    say({"method": "notifications/progress", "params": {"progressToken": 999}})
    say({"method": "notifications/progress", "params": {"progressToken": "x"}})
    say({"method": "notifications/message", "params": {"level": "info", "data": 1.0}})
    say({"method": "notifications/resources/updated", "params": {"uri": "a://b"}})
    say({"method": "notifications/prompts/list_changed"})
    say({"method": "notifications/odd", "params": {"x": 1}})
    return {"result": {}}


def withdraw(_: Answer) -> Answer:
    say({"id": 9, "method": "roots/list"})
    say({"method": "notifications/cancelled", "params": {"requestId": 9}})
    return {"result": {}}


def flood(_: Answer) -> None:
    while True:
        say({"id": 1, "method": "x" * 1000})


def twice(message: Answer) -> Answer:
    say({"id": 999, "result": {"wrong": 1}})
    say({"id": str(message["id"]), "result": {"wrong": 2}})
    say({"id": message["id"], "result": {"right": 1}})
    return {"result": {"wrong": 3}}


def last(message: Answer) -> None:
    say({"id": message["id"], "result": {"last": 1}})
    os._exit(0)


def stubborn(_: Answer) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("not JSON")
    while True:
        time.sleep(60)


def where(_: Answer) -> Answer:
    here = os.getcwd()  # noqa: PTH109 pathlib is slow to import
    return {"result": {"env": dict(os.environ), "cwd": here, "pid": os.getpid()}}


def call_tool(message: Answer) -> Answer | None:
    """Answer tools/call as the tool's name says."""
    act = CALLS.get(message["params"]["name"])
    return act(message) if act else {"result": {}}


CALLS: dict[str, Callable[[Answer], Answer | None]] = {
    "exit": lambda _: os._exit(3),
    "silent": lambda _: None,
    "deaf": deaf,
    "garbage": lambda _: write("not JSON"),
    "large": lambda _: write("x" * (16 * 1024 * 1024 + 10)),
    "blank": blank,
    "changed": changed,
    "ask": ask,
    "talk": talk,
    "withdraw": withdraw,
    "flood": flood,
    "twice": twice,
    "error": lambda _: {"error": {"code": -32602, "message": "no such tool"}},
    "list": lambda _: {"result": []},
    "input": lambda message: (
        {"result": {"resultType": "input_required", "requestState": "s"}}
        if "requestState" not in message["params"]
        else {"result": {"resultType": "complete"}}
    ),
    "failed": lambda _: {"result": {"isError": True}},
    "last": last,
    "stubborn": stubborn,
    "where": where,
}


def listen(message: Answer) -> None:
    """Acknowledge a subscription, and tell of an update of each resource in it."""
    meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
    wanted = message["params"]["notifications"]
    said = {"_meta": meta, "notifications": wanted}
    if way != "quiet":
        say({"method": "notifications/subscriptions/acknowledged", "params": said})
    for uri in wanted.get("resourceSubscriptions", ()):
        params = {"_meta": meta, "uri": uri}
        say({"method": "notifications/resources/updated", "params": params})


METHODS: dict[str, Callable[[Answer], Answer | None]] = {
    "initialize": open_up,
    "server/discover": open_up,
    "tools/list": list_tools,
    "tools/call": call_tool,
    "subscriptions/listen": listen,
    "resources/subscribe": lambda _: (
        {"error": {"code": -32601, "message": "no"}} if way == "unsubscribable" else {"result": {}}
    ),
    "resources/unsubscribe": lambda _: {"result": {}},
    "resources/read": lambda _: {"result": {"contents": [1.0]}},
}

log.write(b'{"method":"up","id":%d}\n' % os.getpid())
if way == "dead":
    sys.exit(4)
while True:
    heard = hear()
    act = METHODS.get(heard.get("method", ""))
    answer = act(heard) if act else None
    if answer is not None:
        say({"id": heard["id"], **answer})
