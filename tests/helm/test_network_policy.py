"""Who reaches Detent, and what Detent alone reaches, by the rendered NetworkPolicies."""

import json

import pytest

from tests.harness.chart import CHART, render
from tests.harness.cluster_network import (
    AGENT,
    DNS,
    OTHER,
    PROMETHEUS,
    TOOL,
    Pod,
    admits,
    labelled,
    pod,
    reaches,
)

FULL = CHART / "values/gateway.yaml"


@pytest.mark.parametrize("values", ["gateway", "gateway-sqlite", "sidecar", "sidecar-attached"])
def test_tools_are_reached_from_detent_only(helm: str, values: str) -> None:
    """From its pods on the port of the tool; from nowhere else, on no other port."""
    rendered = render(helm, CHART / f"values/{values}.yaml")
    assert reaches(rendered, labelled(rendered), TOOL, 8080)
    assert not reaches(rendered, labelled(rendered), TOOL, 22)
    for other in (AGENT, OTHER, PROMETHEUS, pod("tools", app="records"), pod("tools", app="x")):
        assert not reaches(rendered, other, TOOL, 8080)


def test_a_pod_of_another_namespace_cannot_pose_as_detent(helm: str) -> None:
    """The labels count in Detent's own namespace alone."""
    rendered = render(helm, FULL)
    impostor = Pod("agents", labelled(rendered).labels)
    assert not reaches(rendered, impostor, TOOL, 8080)


@pytest.mark.parametrize(
    ("source", "port", "passes"),
    [
        (AGENT, 8787, True),
        (AGENT, 8788, False),
        (AGENT, 8789, False),
        (AGENT, 8790, False),
        (PROMETHEUS, 8788, True),
        (PROMETHEUS, 8787, False),
        (OTHER, 8787, False),
        (OTHER, 8788, False),
    ],
)
def test_each_plane_has_its_callers(helm: str, source: Pod, port: int, passes: bool) -> None:
    """Agents never reach the operators' plane; nobody else reaches anything."""
    rendered = render(helm, FULL)
    assert reaches(rendered, source, labelled(rendered), port) is passes


def test_a_sidecar_reaches_the_attach_port(helm: str) -> None:
    """And only pods with a sidecar do."""
    gateway = render(helm, FULL)
    labels = labelled(render(helm, CHART / "values/sidecar-attached.yaml")).labels
    assert admits(gateway, "Ingress", labelled(gateway), Pod("agents", labels), 8789)
    assert not admits(gateway, "Ingress", labelled(gateway), AGENT, 8789)


def test_detent_reaches_what_it_was_given(helm: str) -> None:
    """Names, its tools and its database; no other pod, and the node's metadata least of all."""
    rendered = render(helm, FULL)
    detent = labelled(rendered)
    assert admits(rendered, "Egress", detent, DNS, 53)
    assert admits(rendered, "Egress", detent, pod("database", app="postgres"), 5432)
    assert not admits(rendered, "Egress", detent, OTHER, 8080)
    assert not admits(rendered, "Egress", detent, pod("kube-system", app="metadata"), 80)


@pytest.mark.parametrize("values", ["gateway-sqlite", "sidecar"])
def test_nobody_listed_means_nobody(helm: str, values: str) -> None:
    """An empty list is a closed port, not an open one."""
    rendered = render(
        helm, CHART / f"values/{values}.yaml", stdin=json.dumps({"networkPolicy": {"agents": []}})
    )
    for port in (8787, 8788, 8789, 8790):
        assert not reaches(rendered, AGENT, labelled(rendered), port)
