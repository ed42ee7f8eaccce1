import logging
from typing import get_args

import pytest

from proxy.config.identity import OperatorEntry
from proxy.ingress.operator import operations_of, routes_of
from proxy.ingress.operator_access import Role
from proxy.model.kill import GLOBAL
from tests.harness.operators import Plane

TABLE = {
    ("POST", "/killswitch"): {"kill"},
    ("GET", "/killswitch"): {"kill", "lift", "view"},
    ("GET", "/killswitch/1"): {"kill", "lift", "view"},
    ("DELETE", "/killswitch/1"): {"lift"},
    ("GET", "/v1/sessions"): {"view"},
    ("GET", "/v1/chains/ses_1"): {"view"},
    ("GET", "/v1/decisions/dec_1/explanation"): {"view"},
    ("GET", "/v1/decisions"): {"view"},
    ("GET", "/v1/intents"): {"view"},
    ("POST", "/v1/intents/stp_1/settle"): {"approve"},
    ("GET", "/v1/findings"): {"view"},
    ("GET", "/v1/approvals"): {"approve"},
    ("GET", "/v1/approvals/apr_1"): {"approve"},
    ("POST", "/v1/approvals/apr_1/approve"): {"approve"},
    ("POST", "/v1/approvals/apr_1/deny"): {"approve"},
    ("GET", "/v1/dry-run"): {"view"},
    ("PUT", "/v1/dry-run"): {"kill", "lift"},
    ("DELETE", "/v1/dry-run"): {"lift"},
    ("POST", "/v1/agents/acme/loop/unlock"): {"lift"},
    ("POST", "/v1/policy/reload"): {"policy"},
    ("POST", "/v1/policy/promote"): {"policy"},
    ("POST", "/v1/policy/rollback"): {"policy"},
    ("GET", "/v1/policy"): {"view"},
    ("GET", "/v1/policy/bundle"): {"pull"},
    ("GET", "/metrics"): {"view"},
    ("POST", "/access/v1/evaluation"): {"evaluate"},
    ("POST", "/access/v1/evaluations"): {"evaluate"},
    ("GET", "/.well-known/authzen-configuration"): {"evaluate"},
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("method", "path"), TABLE)
async def test_each_request_takes_its_role(
    plane: Plane, method: str, path: str, role: Role
) -> None:
    """With the role it is answered somehow, without it is refused, whatever it says."""
    status, answer = await plane.ask(method, path, by=role)
    if role in TABLE[method, path]:
        assert status in {200, 400, 404}
    else:
        assert (status, answer["code"]) == (403, "role-missing")


def test_the_table_is_whole(plane: Plane) -> None:
    """Whoever adds a request adds its row here."""
    ports = plane.ports
    paths = {
        operation.path.format(
            epoch="1",
            session="ses_1",
            tenant="acme",
            agent="loop",
            approval="apr_1",
            step="stp_1",
            decision="dec_1",
        )
        for operation in operations_of(ports)
    }
    assert paths == {path for _, path in TABLE}
    assert set(routes_of(operations_of(ports))["/killswitch/*"]) == {"GET", "DELETE"}


def test_the_configuration_knows_the_same_roles() -> None:
    """A role that no request takes, or that cannot be given, would be a trap."""
    given = OperatorEntry.model_fields["roles"].annotation
    [literal, _] = get_args(given)
    assert set(get_args(literal)) == set(Role)


async def test_health_needs_no_token_and_says_nothing(plane: Plane) -> None:
    """Probes learn that the process answers."""
    answer = await plane.client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_metrics_are_the_text_format_with_the_halts(plane: Plane) -> None:
    """A scrape sees kills in force without anybody counting in between."""
    await plane.kill_switch.kill((GLOBAL,), "test", "")
    answer = await plane.client.get("/metrics", headers={"authorization": plane.bearer("view")})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "detent_halts 1.0" in answer.text
    assert "detent_kill_epoch 1.0" in answer.text


async def test_what_operators_ask_is_logged_without_tokens(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked what; scrapes are too many to be told."""
    caplog.set_level(logging.INFO)
    await plane.ask("GET", "/v1/sessions", by="view")
    await plane.ask("GET", "/metrics", by="view")
    told = [(record.message, vars(record).get("path")) for record in caplog.records]
    assert ("operator: GET", "/v1/sessions") in told
    assert ("operator: GET", "/metrics") not in told
    assert plane.bearer("view") not in caplog.text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/v1", "/", "/killswitch/"])
async def test_there_is_nothing_else(plane: Plane, path: str) -> None:
    """No documentation pages, no redirects to a slash."""
    assert (await plane.ask("GET", path))[0] == 404


async def test_a_body_over_64_kib_is_refused(plane: Plane) -> None:
    """Nothing an operator says is that long."""
    body = b'{"reason":"' + b"x" * 65_536 + b'"}'
    assert (await plane.ask("POST", "/killswitch", body))[0] == 413
    assert plane.kill_switch.state.epoch == 0


@pytest.mark.parametrize(
    "path", ["/v1/sessions", "/v1/chains/ses_1", "/killswitch/7", "/v1/policy/reload"]
)
async def test_a_broken_ledger_is_said(plane: Plane, path: str) -> None:
    """503 with a stable code, nothing about the disk."""
    plane.store.broken = True
    method = "POST" if path.endswith("reload") else "GET"
    status, answer = await plane.ask(method, path)
    assert (status, answer["code"]) == (503, "store-unavailable")
    assert "disk" not in str(answer)
