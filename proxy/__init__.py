"""Detent: a policy-as-code guardrail proxy between agents and their tools.

The map. A file imports only from floors beneath it (import-linter keeps this).

    cli            arguments in, exit codes out
    app            composition root: the only file that names implementations
    ingress        who speaks to us: agents by MCP, plain calls, REST and hooks; operators; sidecars
    pipeline       one tool call, one stage a file; the order stands in pipeline/run.py
    killswitch     halting: the log, the state folded from it, the lease, the calls in flight
    chain          steps after their call: recovering those that were left open
    pdp            the policy decision point (OPA) and the bundle it serves
    upstream       the tools: MCP over stdio, MCP over HTTP, plain HTTP
    monitors       canaries, findings, alerts
    stores         the ledger: sessions, intents, outcomes, budgets, kills, decisions; SQLite,
                   PostgreSQL, or the gateway a sidecar is attached to
    egress         every outgoing connection
    process        child processes that never outlive us
    observability  logs, masking, metrics
    errors         the exception tree
    model          what travels: frozen dataclasses, standard library only
    config         detent.yaml, read only by app and cli

The walk of a call: ingress parses bytes into one canonical ToolCall; pipeline authenticates,
admits, resolves, decides, enforces, reserves, leases, dispatches and settles; ingress answers.
`credentials` stands beside: brokers that mint one narrow credential for one call.
"""
