"""What two customers' agents do all day, on every door, by chance."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from proxy.model.token import TokenKind, new_token
from tests.harness.doors import META, stateless_headers
from tests.harness.tenants import Everybody, Line, Party

ACCEPT = "application/json, text/event-stream"
KEYS = ["k0", "k1", "k2", "k3"]
REQUEST_IDS: list[Any] = [1, 2, "a", "b"]
USES = [f"toolu_{n}" for n in range(200)]


@dataclass
class Agent:
    """One loop of an agent: it does something by chance, with its mark in everything."""

    line: Line
    all: Everybody
    chance: random.Random
    done: int = 0

    @property
    def party(self) -> Party:
        """Who it is."""
        return self.line.party

    def text(self) -> str:
        """Return something to say, with its mark."""
        self.done += 1
        return f"{self.party.mark} {self.chance.randrange(5)}"

    def _session(self) -> str:
        tokens = [token for _, token in self.party.sessions]
        return self.chance.choice([self.party.token, *tokens])

    async def plain_call(self) -> None:
        """Call a tool, known or not, perhaps under a key that others use too."""
        tool = self.chance.choice(["write", "read", "drop", f"no-{self.party.mark}"])
        arguments = {} if tool == "read" else {"text": self.text(), "n": self.chance.randrange(3)}
        body: dict[str, Any] = {"server": "rec", "tool": tool, "arguments": arguments}
        if self.chance.random() < 0.6:
            body["idempotency_key"] = self.chance.choice(KEYS)
        if self.chance.random() < 0.2:
            body["dry_run"] = True
        await self.line.ask("POST", "/v1/calls", body, self._session())

    async def rest_call(self) -> None:
        """Call as an unchanged REST client."""
        key = self.chance.choice(KEYS)
        body = {"text": self.text()}
        await self.line.ask("POST", "/http/rec/write", body, Idempotency_Key=key)

    async def bad_call(self) -> None:
        """Send what is no call."""
        mark = self.party.mark
        bodies = [
            f'{{"server":"rec","{mark}":1}}'.encode(),
            f'{{"server":"rec","tool":"write","arguments":{{"{mark}":1}}}}'.encode(),
            f'{{"{mark}":'.encode(),
            f'{{"server":"{mark}","tool":"write","arguments":{{}}}}'.encode(),
        ]
        await self.line.ask("POST", "/v1/calls", self.chance.choice(bodies))

    async def open_session(self) -> None:
        """Open a session that says whose it is."""
        purpose = {"purpose": f"work of {self.party.mark}"}
        status, opened = await self.line.ask("POST", "/v1/sessions", purpose)
        if status == 201:
            self.party.sessions.append((opened["id"], opened["token"]))

    async def end_session(self) -> None:
        """End the oldest session."""
        if len(self.party.sessions) > 2:
            session, _ = self.party.sessions.pop(0)
            await self.line.ask("DELETE", f"/v1/sessions/{session}")

    async def stateless_mcp(self) -> None:
        """Call by MCP 2026-07-28."""
        tool = self.chance.choice(["rec__write", "hoard__remember"])
        meta = META | {"progressToken": self.chance.choice(REQUEST_IDS)}
        params = {"name": tool, "arguments": {"text": self.text()}, "_meta": meta}
        await self._rpc("tools/call", params, stateless_headers("tools/call", tool))

    async def stateless_list(self) -> None:
        """List tools by MCP 2026-07-28."""
        headers = stateless_headers("tools/list")
        headers.pop("mcp-name")
        await self._rpc("tools/list", {"_meta": META}, headers)

    async def handshake_mcp(self) -> None:
        """Open a session, listen to it, call in it, and perhaps end it."""
        headers = await self._initialized()
        if headers is None:
            return
        listening = asyncio.create_task(self._listen(headers))
        for _ in range(self.chance.randrange(1, 4)):
            tool = self.chance.choice(["rec__write", "hoard__remember"])
            meta = {"progressToken": self.chance.choice(REQUEST_IDS)}
            params = {"name": tool, "arguments": {"text": self.text()}, "_meta": meta}
            await self._rpc("tools/call", params, headers)
        if self.chance.random() < 0.5:
            await self.line.ask("DELETE", "/mcp", **headers)
        await asyncio.sleep(0.02)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def _initialized(self) -> dict[str, str] | None:
        info = {"name": self.party.mark, "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        before = len(self.party.streams)
        await self._rpc("initialize", params, {})
        if len(self.party.streams) == before:
            return None
        session = self.party.streams[-1]
        headers = {"Mcp_Session_Id": session, "MCP_Protocol_Version": "2025-11-25"}
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self.line.ask("POST", "/mcp", done, Accept=ACCEPT, **headers)
        return headers

    async def _listen(self, headers: dict[str, str]) -> None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {
            "Authorization": f"Bearer {self.party.token}",
            "Accept": "text/event-stream",
        }
        url = self.line.url + "/mcp"
        async with self.line.http.get(url, headers=fields) as stream:
            async for chunk in stream.content.iter_any():
                self.party.hear("GET /mcp", chunk)

    async def _rpc(self, method: str, params: Any, headers: dict[str, str]) -> None:
        number = self.chance.choice(REQUEST_IDS)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self.line.ask("POST", "/mcp", message, Accept=ACCEPT, **headers)

    async def hooked_use(self) -> None:
        """Ask about a tool use and tell its end; sessions and uses have the others' names."""
        use = self.chance.choice(USES)
        event = {
            "session_id": self.chance.choice(["s1", "s2"]),
            "hook_event_name": "PreToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": self.text()},
            "tool_use_id": use,
            "cwd": f"/home/{self.party.mark}",
        }
        await self.line.ask("POST", "/hooks/claude-code", event)
        ended = {"hook_event_name": "PostToolUse", "tool_response": {"stdout": self.text()}}
        await self.line.ask("POST", "/hooks/claude-code", event | ended)

    async def pretend(self) -> None:
        """Use what is another's: sessions, streams, tokens, results."""
        other = self.chance.choice(self.all.others(self.party))
        if other.sessions:
            session, _ = self.chance.choice(other.sessions)
            status, _ = await self.line.ask("DELETE", f"/v1/sessions/{session}")
            assert status >= 400
        if other.streams:
            headers = {
                "Mcp_Session_Id": self.chance.choice(other.streams),
                "MCP_Protocol_Version": "2025-11-25",
                "Accept": ACCEPT,
            }
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            status, _ = await self.line.ask("POST", "/mcp", message, **headers)
            assert status >= 400
            assert (await self.line.ask("GET", "/mcp", **headers))[0] >= 400
            assert (await self.line.ask("DELETE", "/mcp", **headers))[0] >= 400
        guessed = new_token(TokenKind.SESSION)
        assert (await self.line.ask("POST", "/v1/sessions", {}, guessed))[0] == 401

    async def run(self, rounds: int) -> None:
        """Do so many things."""
        gestures: list[Callable[[], Awaitable[None]]] = [
            self.plain_call, self.plain_call, self.rest_call, self.bad_call, self.open_session,
            self.end_session, self.stateless_mcp, self.stateless_list, self.handshake_mcp,
            self.hooked_use, self.pretend,
        ]  # fmt: skip
        for _ in range(rounds):
            await self.chance.choice(gestures)()
