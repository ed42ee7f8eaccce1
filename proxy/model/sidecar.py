"""A sidecar: a gateway next to one agent, attached to one that keeps the ledger."""

from dataclasses import dataclass

from proxy.model.kill import KillEntry, KillOrder, Scope, ScopeKind


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Who a sidecar is. `agents` are those it speaks for, `tenant/agent` each."""

    name: str
    agents: frozenset[str]

    def covers(self, tenant: str, agent: str) -> bool:
        """Whether it speaks for that agent."""
        return f"{tenant}/{agent}" in self.agents

    def told(self, entry: KillEntry) -> KillEntry:
        """Return an entry of the kill log as the sidecar may read it.

        Scopes that touch none of its agents are left out; the epoch stays, because it is what the
        sidecar acknowledges. Whose sessions are whose is not said in a scope: those are all told.
        """
        order = entry.order
        scopes = tuple(scope for scope in order.scopes if self._is_touched_by(scope))
        if len(scopes) == len(order.scopes):
            return entry
        return KillEntry(
            entry.epoch,
            KillOrder(order.id, order.action, scopes, "", "", order.at, order.lifts),
        )

    def _is_touched_by(self, scope: Scope) -> bool:
        if scope.kind is ScopeKind.TENANT:
            return any(agent.partition("/")[0] == scope.id for agent in self.agents)
        return scope.kind is not ScopeKind.AGENT or scope.id in self.agents
