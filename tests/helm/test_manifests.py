"""The rules of manifests.rego, run by OPA over everything the chart renders."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.chart import CHART, VALUES, Manifest, Rendered, render

RULES = Path(__file__).with_name("manifests.rego")


def denied(opa: str, manifests: list[Manifest]) -> list[str]:
    """Return what the rules say."""
    done = subprocess.run(
        [
            opa,
            "eval",
            "--format=raw",
            "--stdin-input",
            "--data",
            RULES,
            "data.detent.manifests.deny",
        ],
        input=json.dumps(manifests),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_every_manifest_keeps_the_rules(helm: str, opa: str, values: Path) -> None:
    """Not root, nothing to write to, no capabilities, no default secrets, bound by a policy."""
    assert denied(opa, list(render(helm, values).manifests)) == []


@pytest.fixture
def sidecar(helm: str) -> Rendered:
    """Manifests to spoil."""
    manifests = render(helm, CHART / "values/sidecar.yaml").manifests
    return Rendered(tuple(copy.deepcopy(list(manifests))))


def of_pod(**fields: Any) -> Callable[[Rendered], None]:
    return lambda rendered: rendered.pod.update(fields)


def of(name: str, **fields: Any) -> Callable[[Rendered], None]:
    return lambda rendered: rendered.container(name)["securityContext"].update(fields)


def own_token(rendered: Rendered) -> None:
    rendered.container("agent")["env"].append({"name": "API_TOKEN", "value": "x"})


def shared_volume(rendered: Rendered) -> None:
    rendered.container("agent")["volumeMounts"].append({"name": "keys", "mountPath": "/k"})


def other_order(rendered: Rendered) -> None:
    rendered.pod["initContainers"].reverse()


def readable_secret(rendered: Rendered) -> None:
    (keys,) = (one for one in rendered.pod["volumes"] if one["name"] == "keys")
    keys["secret"]["defaultMode"] = 0o644


def node_volume(rendered: Rendered) -> None:
    rendered.pod["volumes"].append({"name": "docker", "hostPath": {"path": "/run"}})


def tagged(rendered: Rendered) -> None:
    rendered.pod["containers"][0]["image"] = "acme/agent:latest"


def unbounded(rendered: Rendered) -> None:
    rendered.pod["initContainers"][1]["resources"] = {}


def secret_in_settings(rendered: Rendered) -> None:
    rendered.of("ConfigMap")[0]["data"]["x"] = "dta_" + "a" * 43


def no_policy(rendered: Rendered) -> None:
    for one in rendered.of("NetworkPolicy"):
        one["spec"]["policyTypes"] = ["Ingress"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (of_pod(automountServiceAccountToken=True), "automountServiceAccountToken has to be false"),
        (of_pod(enableServiceLinks=True), "enableServiceLinks has to be false"),
        (of_pod(shareProcessNamespace=True), "shares shareProcessNamespace"),
        (of_pod(hostNetwork=True), "shares hostNetwork"),
        (of_pod(securityContext={}), "no seccomp profile"),
        (of("agent", runAsUser=65532), "has a uid of Detent"),
        (of("agent", runAsUser=0), "runs as root"),
        (of("agent", allowPrivilegeEscalation=True), "allowPrivilegeEscalation has to be false"),
        (of("agent", capabilities={"add": ["NET_ADMIN"]}), "adds capabilities"),
        (of("egress", capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "adds capabilities"),
        (of("detent", capabilities={}), "keeps capabilities"),
        (of("detent", readOnlyRootFilesystem=False), "readOnlyRootFilesystem has to be true"),
        (own_token, "API_TOKEN is written out"),
        (shared_volume, "mounts keys of Detent"),
        (other_order, "something runs before the egress rule"),
        (readable_secret, "Secret keys is not 0440"),
        (node_volume, "volume docker is of the node"),
        (tagged, "image without digest"),
        (unbounded, "no bounds"),
        (secret_in_settings, "holds a secret"),
        (no_policy, "no NetworkPolicy binds it both ways"),
    ],
)
def test_each_rule_can_fail(
    opa: str, sidecar: Rendered, spoil: Callable[[Rendered], None], told: str
) -> None:
    """One thing wrong in the sidecar's manifests, and its rule says so."""
    spoil(sidecar)
    assert any(told in line for line in denied(opa, list(sidecar.manifests)))
