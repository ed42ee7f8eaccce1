"""Two customers behind one gateway, everything they say marked, and an ear for what they hear."""

import re
import secrets
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.changing_mcp import pin_of
from tests.harness.hoarder import REMEMBER, Hoarder
from tests.harness.world import ECHO, World, http_tool

TENANTS = ("acme-7q", "globex-9z")
NAMES = ("loop", "clerk")  # the same in both, as are keys, request ids, tool uses and sessions
IDS = re.compile(rb"\b(?:ses|stp|dec|apr|kil|lft|lse|alr)_[A-Za-z0-9_-]{12,}")
EASY = {"credential": {"broker": "none"}, "risk": 1, "returns": "trusted", "timeout": "10s"}


@dataclass
class Party:
    """An agent or an operator: its tenant, its token, its mark, what it has heard."""

    tenant: str
    name: str
    token: str
    mark: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    sessions: list[tuple[str, str]] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    spent: int = 0

    def hear(self, what: str, raw: bytes) -> None:
        """Keep everything that came back."""
        self.heard.append((what, raw))

    @property
    def ids(self) -> set[bytes]:
        """Every id of ours that it has been told."""
        return {found for _, raw in self.heard for found in IDS.findall(raw)}


@dataclass
class Everybody:
    """All parties, and the gateway's world made for them."""

    agents: list[Party]
    operators: list[Party]
    world: World

    def others(self, party: Party) -> list[Party]:
        """Return the agents of the other tenant."""
        return [agent for agent in self.agents if agent.tenant != party.tenant]

    def overheard(self) -> list[str]:
        """Name everything that somebody has heard and should not have."""
        return [*self._marks(), *self._ids()]

    def _marks(self) -> list[str]:
        found: list[str] = []
        for party in (*self.agents, *self.operators):
            is_agent = party in self.agents
            foreign = {one.mark for one in (self.agents if is_agent else self.others(party))}
            foreign |= {one.tenant for one in self.others(party)}
            foreign -= {party.mark}
            for what, raw in party.heard:
                lowered = raw.lower()
                found += [
                    f"{party.tenant}/{party.name} heard {word} by {what}"
                    for word in foreign
                    if word.encode() in lowered
                ]
        return found

    def _ids(self) -> list[str]:
        told: defaultdict[str, set[bytes]] = defaultdict(set)
        for party in (*self.agents, *self.operators):
            told[party.tenant] |= party.ids
        first, second = TENANTS
        return [f"both tenants know {shared!r}" for shared in told[first] & told[second]]


def everybody(directory: Path, hoarder: Hoarder) -> Everybody:
    """Return two agents and an operator of each tenant, and a world in which they share tools."""
    agents = [
        Party(tenant, name, new_token(TokenKind.AGENT), f"mark{secrets.token_hex(8)}")
        for tenant in TENANTS
        for name in NAMES
    ]
    operators = [
        Party(tenant, f"watch-{n}", new_token(TokenKind.OPERATOR))
        for n, tenant in enumerate(TENANTS)
    ]
    world = World(directory, hoarder.url)
    world.settings = {"identity": _identity(agents, operators, world)}
    world.servers = {"hoard": {"mcp": {"url": hoarder.url + "/mcp"}, "allow_private": True}}
    world.tools = {
        "rec": {
            "write": http_tool("POST", "/write", "write", **ECHO),
            "read": http_tool("GET", "/read", "read"),
            "drop": http_tool("POST", "/drop", "irreversible", **ECHO),
        },
        "hoard": {
            "remember": EASY | {"pin": pin_of(REMEMBER), "effect": "write", "recovery": "probe"}
        },
        "claude-code": {
            "Bash": {"hooks": True, "effect": "write", "risk": 1, "returns": "trusted"}
        },
    }
    return Everybody(agents, operators, world)


def _identity(agents: list[Party], operators: list[Party], world: World) -> dict[str, Any]:
    chief = {"name": "chief", "roles": ["kill", "lift", "view"], "tenants": ["*"]}
    roles = ["kill", "lift", "view", "approve", "policy"]
    return {
        "agents": [
            {
                "name": agent.name,
                "tenant": agent.tenant,
                "roles": ["tester"],
                "token_sha256": token_sha256(agent.token),
            }
            for agent in agents
        ],
        "operators": [
            chief | {"token_sha256": token_sha256(world.operator_token)},
            *(
                {
                    "name": one.name,
                    "roles": roles,
                    "tenants": [one.tenant],
                    "token_sha256": token_sha256(one.token),
                }
                for one in operators
            ),
        ],
    }


@dataclass
class Line:
    """A party's own HTTP client to one port; whatever comes back is heard."""

    party: Party
    url: str
    http: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: Any = None, token: str = "", **headers: str
    ) -> tuple[int, Any]:
        """Ask; return status and JSON, None when it is none."""
        fields = {"Authorization": f"Bearer {token or self.party.token}"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = {"data": body} if isinstance(body, bytes) else {"json": body}
        if isinstance(body, bytes):
            fields["Content-Type"] = "application/json"
        async with self.http.request(
            method, self.url + path, headers=fields, **(raw if body is not None else {})
        ) as answer:
            data = await answer.read()
            told = b"\n".join(b": ".join(pair) for pair in answer.raw_headers)
            self.party.hear(f"{method} {path}", told + b"\n" + data)
            if session := answer.headers.get("Mcp-Session-Id"):
                self.party.streams.append(session)
            is_json = "json" in answer.content_type
            return answer.status, (await answer.json(content_type=None)) if is_json else None


def mixed_rows(database: Path, parties: Everybody) -> list[str]:
    """Name every row of the ledger that holds something of a tenant beside another's."""
    words = {tenant: {tenant.encode()} for tenant in TENANTS}
    for agent in parties.agents:
        words[agent.tenant].add(agent.mark.encode())
    found: list[str] = []
    with closing(sqlite3.connect(database)) as ledger:
        ledger.text_factory = bytes
        tables = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            name = table.decode()
            for row in ledger.execute(f"SELECT * FROM {name}"):  # noqa: S608 a table's own name
                text = b"\0".join(cell for cell in row if isinstance(cell, bytes)).lower()
                owners = {tenant for tenant in TENANTS if any(w in text for w in words[tenant])}
                if len(owners) > 1:
                    found.append(f"{name}: {row[:6]!r}")
    return found


def wrong_accounts(database: Path) -> list[str]:
    """Name every budget whose use is not exactly that of its own agent's or session's steps."""
    agents = "SELECT 'agent:' || tenant || '/' || agent, sum(risk) FROM steps"
    sessions = "SELECT 'session:' || session_id, sum(risk) FROM steps"
    done, held = " WHERE state = 'done'", " WHERE state NOT IN ('done', 'failed')"
    with closing(sqlite3.connect(database)) as ledger:

        def read(sql: str) -> dict[str, int]:
            return {key: value for key, value in ledger.execute(sql) if value}

        used = read(agents + done + " GROUP BY 1") | read(sessions + done + " GROUP BY 1")
        open_ = read(agents + held + " GROUP BY 1") | read(sessions + held + " GROUP BY 1")
        rolling = read("SELECT account, sum(used) FROM account_buckets GROUP BY 1")
        fixed = read("SELECT account, used FROM accounts WHERE account LIKE 'session:%'")
        holding = read("SELECT account, held FROM accounts")
    wrong = (rolling | fixed).items() ^ used.items()
    return sorted(f"{pair}" for pair in wrong | (holding.items() ^ open_.items()))
