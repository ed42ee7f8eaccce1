"""Secrets the chart makes: no default, never the same twice, never another after an upgrade."""

import hashlib
import json
from pathlib import Path

import pytest

from credentials.keys import KeyDirectory
from proxy.model.token import TokenKind, kind_of_token, token_sha256
from tests.harness.chart import CHART, IMAGES, NAMESPACE, VALUES, Rendered, parsed, render, template
from tests.harness.chart import helm as run
from tests.harness.cluster import cluster
from tests.harness.kubelet import mount

OPA = CHART / "values/gateway-opa.yaml"
FULL = CHART / "values/gateway.yaml"


def upgraded(helm: str, values: Path, held: dict[str, dict[str, bytes]]) -> Rendered:
    """Render against a cluster that has these Secrets of the release."""
    with cluster(NAMESPACE, held) as url:
        done = run(
            helm, "template", "detent", str(CHART), f"--namespace={NAMESPACE}",
            f"--values={IMAGES}", f"--values={values}",
            "--dry-run=server", "--disable-openapi-validation", f"--kube-apiserver={url}",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def made(rendered: Rendered) -> dict[str, dict[str, bytes]]:
    """Return every Secret the chart makes."""
    names = [one["metadata"]["name"] for one in rendered.of("Secret")]
    return {name: rendered.secret(name) for name in names}


@pytest.mark.parametrize("values", [FULL, OPA], ids=["gateway", "gateway-opa"])
def test_an_upgrade_keeps_every_secret(helm: str, values: Path) -> None:
    """What the cluster has is rendered again, the hashes in the settings too."""
    first = render(helm, values)
    again = upgraded(helm, values, made(first))
    assert made(again) == made(first)
    assert again.settings == first.settings


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_two_installations_share_no_secret(helm: str, values: Path) -> None:
    """Nothing that is made is the same in another render."""
    one, other = (made(parsed(template(helm, values).stdout)) for _ in range(2))
    assert one.keys() == other.keys()
    for name, held in one.items():
        assert all(held[key] != other[name][key] for key in held)


def test_tokens_have_our_form_and_their_hash_in_the_settings(helm: str) -> None:
    """256 bits; only the hash leaves the Secret."""
    rendered = render(helm, CHART / "values/sidecar.yaml")
    tokens = rendered.secret("detent-tokens")
    agent, operator = (tokens[key].decode() for key in ("agent-nightly-loop", "operator-oncall"))
    assert kind_of_token(agent) is TokenKind.AGENT
    assert kind_of_token(operator) is TokenKind.OPERATOR
    identity = rendered.settings["identity"]
    assert identity["agents"][0]["token_sha256"] == token_sha256(agent)
    assert identity["operators"][0]["token_sha256"] == token_sha256(operator)


def test_prometheus_gets_a_token_that_may_only_look(helm: str) -> None:
    """It is made when metrics are wanted and nobody brought one."""
    rendered = render(helm, FULL)
    (scraper,) = (
        one for one in rendered.settings["identity"]["operators"] if one["name"] == "metrics"
    )
    token = rendered.secret("detent-tokens")["operator-metrics"].decode()
    assert (scraper["roles"], scraper["token_sha256"]) == (["view"], token_sha256(token))
    (monitor,) = rendered.of("ServiceMonitor")
    credentials = monitor["spec"]["endpoints"][0]["authorization"]["credentials"]
    assert credentials == {"name": "detent-tokens", "key": "operator-metrics"}


def test_the_signing_key_can_be_used(helm: str, tmp_path: Path) -> None:
    """P-256, in a form the gateway reads from the mounted Secret."""
    held = render(helm, FULL).secret("detent-keys")
    assert KeyDirectory.open(mount(tmp_path / "keys", held)).active.kid


def test_opa_knows_the_token_by_its_hash(helm: str) -> None:
    """The container that evaluates never sees what the gateway shows it."""
    held = render(helm, OPA).secret("detent-opa")
    known = json.loads(held["authz.json"])["system"]["authz"]["token_sha256"]
    assert known == hashlib.sha256(held["token"]).hexdigest()
    (volume,) = (one for one in render(helm, OPA).pod["volumes"] if one["name"] == "opa-authz")
    assert [one["key"] for one in volume["secret"]["items"]] == ["authz.json"]


NAMED = {
    "callTokens": {"issuer": "https://detent.example", "keysSecret": "my-keys"},
    "generate": {"operators": []},
    "metrics": {"tokenSecret": "my-scraper"},
}


def test_secrets_that_are_named_are_not_made(helm: str) -> None:
    """The chart only mounts and refers to them."""
    rendered = render(helm, FULL, stdin=json.dumps(NAMED))
    assert rendered.of("Secret") == []
    mounted = {one["secret"]["secretName"] for one in rendered.pod["volumes"] if "secret" in one}
    assert mounted == {"my-keys", "detent-tls", "detent-database", "detent-database-ca"}


def test_the_database_s_password_is_a_mounted_file(helm: str) -> None:
    """It stands in no ConfigMap and no environment; pods and migration get it the same way."""
    rendered = render(helm, FULL)
    (job,) = rendered.of("Job")
    for spec in (rendered.pod, job["spec"]["template"]["spec"]):
        (volume,) = (one for one in spec["volumes"] if one["name"] == "database")
        assert volume["secret"]["secretName"] == "detent-database"
        mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
        assert mounts["database"] == "/run/detent/database"
    assert rendered.settings["store_password"] == {"file": "/run/detent/database/password"}
    assert "@postgres.database.svc/" in rendered.settings["store"]
