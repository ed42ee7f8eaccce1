"""The chart as helm sees it: clean, and with no way to render what must not be."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.chart import CHART, IMAGES, VALUES, parsed, render, template
from tests.harness.chart import helm as run
from tests.helm.tools import SCHEMAS

ALL = pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)


@ALL
def test_lint_is_clean(helm: str, values: Path) -> None:
    """Neither an error nor a warning; an icon is the one thing it may miss."""
    done = run(helm, "lint", "--strict", str(CHART), f"--values={IMAGES}", f"--values={values}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@ALL
def test_manifests_fit_the_schemas_of_kubernetes(helm: str, kubeconform: str, values: Path) -> None:
    """With unknown members refused, those of the Prometheus operator included."""
    if not list(SCHEMAS.glob("*.json")):
        pytest.skip("there are no schemas: `make helm` gets them, with Go")
    location = f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [kubeconform, "-strict", "-summary", "-schema-location", location],
        input=template(helm, values).stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout, done.stdout


def test_every_value_is_described_in_the_values_and_in_the_schema() -> None:
    """Whoever reads values.yaml has seen them all."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    described = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert described == set(schema["properties"]) - {"global"}


SQLITE = "tls: {terminatedInFront: true}\n"
SIDE = "mode: sidecar\n"
REMOTE = "policy: {engine: remote, bundle: {url: 'https://b', resource: r, keyid: k, publicKey: "
REFUSED = {
    "a misspelt value": (f"{SQLITE}replica: 3", "replica"),
    "a tag for a digest": (f"{SQLITE}image: {{digest: latest}}", "/image/digest"),
    "no image": (f"{SQLITE}image: {{repository: ''}}", "/image/repository"),
    "replicas on SQLite": (f"{SQLITE}replicas: 2", "/store/kind"),
    "workers on SQLite": (f"{SQLITE}gateway: {{workers: 2}}", "/store/kind"),
    "no workers": (f"{SQLITE}gateway: {{workers: 0}}", "/gateway/workers"),
    "a database without its URL": (f"{SQLITE}store: {{kind: postgresql}}", "/store/url"),
    "a password in the URL": (
        f"{SQLITE}store: {{kind: postgresql, url: 'postgresql://u:secret@h/d'}}",
        "/store/url",
    ),
    "a database in the settings": (f"{SQLITE}settings: {{store: 'postgresql://u:p@h/d'}}", "store"),
    "other addresses": (f"{SQLITE}settings: {{listen: {{agents: '0.0.0.0:1'}}}}", "agents"),
    "no TLS": ("mode: gateway", "/tls"),
    "two kinds of TLS": ("tls: {terminatedInFront: true, existingSecret: tls}", "oneOf"),
    "an unsigned bundle": (f"{SQLITE}{REMOTE}''}}}}", "publicKey"),
    "a bundle in the clear": (f"{SQLITE}{REMOTE}x}}}}".replace("https:", "http:"), "url"),
    "an operator called metrics": (
        f"{SQLITE}generate: {{operators: [{{name: metrics, roles: [view], tenants: ['*']}}]}}",
        "generate/operators",
    ),
    "an agent with Detent's uid": (f"{SIDE}sidecar: {{agent: {{uid: 65532}}}}", "agent/uid"),
    "an agent that is root": (f"{SIDE}sidecar: {{agent: {{uid: 0}}}}", "agent/uid"),
    "a sidecar without rule": (f"{SIDE}sidecar: {{egress: {{image: {{digest: ''}}}}}}", "egress"),
    "a sidecar on a database": (
        f"{SIDE}store: {{kind: postgresql, url: 'postgresql://u@h/d'}}",
        "/mode",
    ),
    "a gateway in the clear": (f"{SIDE}sidecar: {{attach: {{url: 'http://gw'}}}}", "attach/url"),
    "a pod on the node's network": (f"{SQLITE}pod: {{hostNetwork: true}}", "hostNetwork"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_must_not_be_are_refused(helm: str, case: str) -> None:
    """Nothing is rendered, and the text names the place."""
    values, place = REFUSED[case]
    done = template(helm, stdin=values)
    assert (done.returncode, done.stdout) == (1, "")
    assert place in done.stderr


def test_the_defaults_name_no_image_and_no_secret(helm: str) -> None:
    """Without values there is no chart to install."""
    done = run(helm, "template", "detent", str(CHART))
    assert done.returncode == 1
    assert "/image/repository" in done.stderr


def test_replicas_come_with_a_budget_and_a_migration(helm: str) -> None:
    """One pod may be missing at a time; the schema is there before any new pod."""
    rendered = render(helm, CHART / "values/gateway.yaml")
    (budget,) = rendered.of("PodDisruptionBudget")
    (job,) = rendered.of("Job")
    assert budget["spec"]["maxUnavailable"] == 1
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["db", "upgrade", "--config", "/etc/detent/detent.yaml"]


def test_one_replica_is_replaced_and_never_doubled(helm: str) -> None:
    """SQLite has one process: no budget that would block a drain, no migration of its own."""
    rendered = render(helm, CHART / "values/gateway-sqlite.yaml")
    (deployment,) = rendered.of("Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert rendered.of("PodDisruptionBudget") == rendered.of("Job") == []


@pytest.mark.parametrize(("workers", "told"), [(1, []), (4, ["--workers", "4"])])
def test_workers_are_an_argument_of_the_container(helm: str, workers: int, told: list[str]) -> None:
    """Where there are several."""
    values = f"gateway: {{workers: {workers}}}"
    rendered = render(helm, CHART / "values/gateway.yaml", stdin=values)
    serve = ["serve", "--config", "/etc/detent/detent.yaml"]
    assert rendered.container("detent")["args"] == serve + told


def test_operators_reach_pods_that_are_not_ready(helm: str) -> None:
    """A kill must not wait for the policy to answer again."""
    rendered = render(helm, CHART / "values/gateway.yaml")
    assert rendered.one("Service", "detent-operators")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in rendered.one("Service", "detent")["spec"]


@ALL
def test_probes_ask_the_health_port_alone(helm: str, values: Path) -> None:
    """No probe needs the agents' port, TLS or a name."""
    container = render(helm, values).container("detent")
    probes = {name: one["httpGet"] for name, one in container.items() if name.endswith("Probe")}
    assert {name: (one["path"], one["port"]) for name, one in probes.items()} == {
        "startupProbe": ("/healthz", "health"),
        "livenessProbe": ("/healthz", "health"),
        "readinessProbe": ("/readyz", "health"),
    }


def test_settings_of_the_user_stay_and_the_chart_s_win(helm: str) -> None:
    """Blocks are laid over each other; a broker of the user's stands beside call tokens."""
    more = "settings: {credentials: {key: {static: {secret: {env: KEY}}}}, policy: {deadline: 1s}}"
    rendered = render(helm, CHART / "values/gateway-sqlite.yaml", stdin=more)
    assert set(rendered.settings["credentials"]) == {"jwt", "key"}
    assert rendered.settings["policy"] == {
        "bundle": "/policies", "engine": "managed", "deadline": "1s",
    }  # fmt: skip


def test_a_change_of_settings_replaces_the_pods(helm: str) -> None:
    """Their annotation carries the checksum; secrets that are the same leave it alone."""
    sums = set()
    for agents in ("a", "b"):
        identity = f"identity: {{agents: [{{name: {agents}, tenant: t, token_sha256: x}}]}}"
        text = template(helm, stdin=f"{SQLITE}settings: {{{identity}}}").stdout
        (deployment,) = parsed(text).of("Deployment")
        sums.add(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])
    assert len(sums) == 2
