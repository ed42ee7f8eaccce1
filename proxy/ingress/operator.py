"""The operators' port: one table of what can be asked, and which role it takes.

A request passes the guard (framing, Host, Origin, known paths), then its token is looked up and the
role of its row is demanded; a row without a role cannot be written. `/healthz` alone needs no token
and says nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from proxy.ingress.authzen import (
    EVALUATION,
    EVALUATIONS,
    METADATA,
    AuthzenRoutes,
    Evaluating,
)
from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.openapi import DescribedApi
from proxy.ingress.operator_access import Access, Role
from proxy.ingress.operator_approvals import ApprovalRoutes
from proxy.ingress.operator_controls import Controls, Reload
from proxy.ingress.operator_explain import Explain, ExplainRoutes
from proxy.ingress.operator_kill import Halting, KillRoutes
from proxy.ingress.operator_known import KnownScopes
from proxy.ingress.operator_openapi import DESCRIBED
from proxy.ingress.operator_policy import LivePolicyPort, PolicyRoutes
from proxy.ingress.operator_requests import query_of
from proxy.ingress.operator_stuck import StuckRoutes
from proxy.ingress.operator_views import Views
from proxy.ingress.problems import LastResort, install_problems
from proxy.ingress.request_ids import RequestIds
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import Scope
from proxy.model.lease import Effectiveness
from proxy.model.session import Operator
from proxy.model.tool import Tier
from proxy.monitors.integrity import Irregularity
from proxy.observability.metrics import CONTENT_TYPE, Metrics
from proxy.stores.base import Store

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 65_536
HEALTH = "/healthz"
EXPLANATION = "/v1/decisions/{decision}/explanation"

Act = Callable[[Operator, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class OperatorPorts:
    """What the port works on.

    `effects` tells how far the kill of an epoch has come. `operators` maps the SHA-256 (hex) of a
    token to its operator; `reload` loads the policy again, returns its revision and raises
    PolicyError. `configured` gives the tenants, agents and tools there are, `tiers` the tiers of
    tools by `server/tool`, `findings` what is wrong now with tools. `scrape` gives the metrics
    where they are not this process's alone. `evaluating` decides what
    others ask, who reach the port by `scheme`; `live` is the policy in force; `explain` tells
    why it decided, where there is a decision log.
    """

    kill_switch: KillSwitch
    effects: Callable[[int], Awaitable[Effectiveness]]
    store: Store
    metrics: Metrics
    operators: Mapping[str, Operator]
    reload: Reload
    configured: Callable[[], frozenset[Scope]] = frozenset
    tiers: Callable[[], Mapping[str, Tier]] = dict
    findings: Callable[[], tuple[Irregularity, ...]] = tuple
    scrape: Callable[[], Awaitable[bytes]] | None = None
    evaluating: Evaluating | None = None
    scheme: str = "http"
    live: LivePolicyPort | None = None
    explain: Explain | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: any one of `roles` is enough. A `quiet` one is asked too often to be logged."""

    method: str
    path: str
    roles: frozenset[Role]
    act: Act
    quiet: bool = False


def operator_app(ports: OperatorPorts, settings: GuardSettings) -> ASGIApp:
    """Return the application of the operators' port, guard and problems around it.

    Bodies are capped at 64 KiB whatever the settings say.
    """
    operations = operations_of(ports)
    capped = replace(settings, max_body_bytes=min(settings.max_body_bytes, MAX_BODY_BYTES))
    api = operator_api(Access(ports.operators, ports.store), operations)
    return LastResort(RequestIds(Guard(api, capped, routes_of(operations))))


def operations_of(ports: OperatorPorts) -> tuple[Operation, ...]:
    """Return the whole table."""
    access = Access(ports.operators, ports.store)
    known = KnownScopes(ports.configured, ports.store)
    halting = Halting(ports.kill_switch, ports.store, ports.effects, ports.metrics)
    kill = KillRoutes(halting, access, known)
    views = Views(ports.store, access, ports.tiers, ports.findings)
    controls = Controls(ports.store, access, ports.reload)
    stuck = StuckRoutes(ports.store)
    approvals, approve = ApprovalRoutes(ports.store, access), _any(Role.APPROVE)
    authzen = AuthzenRoutes(ports.evaluating, ports.scheme)
    evaluate = _any(Role.EVALUATE)
    halts, view = _any(Role.KILL, Role.LIFT, Role.VIEW), _any(Role.VIEW)
    return (
        Operation("POST", "/killswitch", _any(Role.KILL), kill.kill),
        Operation("GET", "/killswitch", halts, kill.state),
        Operation("GET", "/killswitch/{epoch}", halts, kill.one),
        Operation("DELETE", "/killswitch/{epoch}", _any(Role.LIFT), kill.lift),
        Operation("GET", "/v1/sessions", view, views.sessions),
        Operation("GET", "/v1/chains/{session}", view, views.chain),
        Operation("GET", "/v1/decisions", view, views.decisions),
        Operation("GET", EXPLANATION, view, ExplainRoutes(ports.explain).explanation),
        Operation("GET", "/v1/intents", view, views.intents),
        Operation("POST", "/v1/intents/{step}/settle", approve, stuck.settle),
        Operation("GET", "/v1/findings", view, views.findings),
        Operation("GET", "/v1/approvals", approve, approvals.list),
        Operation("GET", "/v1/approvals/{approval}", approve, approvals.one),
        Operation("POST", "/v1/approvals/{approval}/approve", approve, approvals.approve),
        Operation("POST", "/v1/approvals/{approval}/deny", approve, approvals.deny),
        Operation("GET", "/v1/dry-run", view, views.dry_run),
        Operation("PUT", "/v1/dry-run", _any(Role.KILL, Role.LIFT), controls.dry_run_on),
        Operation("DELETE", "/v1/dry-run", _any(Role.LIFT), controls.dry_run_off),
        Operation("POST", "/v1/agents/{tenant}/{agent}/unlock", _any(Role.LIFT), controls.unlock),
        *_policy_operations(ports, access, controls),
        Operation("GET", "/metrics", view, Scrape(ports).metrics, quiet=True),
        Operation("POST", EVALUATION, evaluate, authzen.evaluation, quiet=True),
        Operation("POST", EVALUATIONS, evaluate, authzen.evaluations, quiet=True),
        Operation("GET", METADATA, evaluate, authzen.configuration, quiet=True),
    )


def _policy_operations(
    ports: OperatorPorts, access: Access, controls: Controls
) -> tuple[Operation, ...]:
    routes = PolicyRoutes(ports.live, access, controls.record)
    change = _any(Role.POLICY)
    return (
        Operation("POST", "/v1/policy/reload", change, controls.reload_policy),
        Operation("POST", "/v1/policy/promote", change, routes.promote),
        Operation("POST", "/v1/policy/rollback", change, routes.rollback),
        Operation("GET", "/v1/policy", _any(Role.VIEW), routes.status),
        Operation("GET", "/v1/policy/bundle", _any(Role.PULL), routes.bundle, quiet=True),
    )


def routes_of(operations: Iterable[Operation]) -> dict[str, tuple[str, ...]]:
    """Return the paths and methods of the table as the guard wants them."""
    routes: dict[str, tuple[str, ...]] = {HEALTH: ("GET",)}
    for operation in operations:
        segments = operation.path.split("/")
        path = "/".join("*" if part.startswith("{") else part for part in segments)
        routes[path] = (*routes.get(path, ()), operation.method)
    return routes


def operator_api(access: Access, operations: Iterable[Operation]) -> FastAPI:
    """Return the FastAPI application of the table. Documentation pages are off."""
    api = DescribedApi("Detent, operators' plane")
    install_problems(api)
    for operation in operations:
        api.add_api_route(
            operation.path,
            _endpoint(access, operation),
            methods=[operation.method],
            name=operation.act.__name__,
            description=operation.act.__doc__,
            response_class=Response,
            openapi_extra=DESCRIBED[operation.method, operation.path],
        )

    @api.get(HEALTH, include_in_schema=False)
    async def healthz() -> Response:
        """Say that the process answers, and nothing else."""
        return Response(status_code=200)

    return api


def _endpoint(access: Access, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        operator = access.admit(request.scope, operation.roles)
        if not operation.quiet:
            told = {"operator": operator.name, "path": request.scope["path"]}
            log.info("operator: %s", operation.method, extra=told)
        return await operation.act(operator, request)

    return endpoint


class Scrape:
    """`/metrics`."""

    def __init__(self, ports: OperatorPorts) -> None:
        self._ports = ports

    async def metrics(self, operator: Operator, request: Request) -> Response:
        """Render the metrics for Prometheus."""
        del operator  # series carry no tenant
        query_of(request)
        ports = self._ports
        text = await ports.scrape() if ports.scrape else rendered(ports.kill_switch, ports.metrics)
        return Response(text, headers={"content-type": CONTENT_TYPE})


def rendered(kill_switch: KillSwitch, metrics: Metrics) -> bytes:
    """Return the metrics of this process, with what is cheap to know only when somebody looks."""
    state = kill_switch.state
    metrics.halts(len(state.active) + len(kill_switch.pending()), state.epoch)
    return metrics.render()


def _any(*roles: Role) -> frozenset[Role]:
    return frozenset(roles)
