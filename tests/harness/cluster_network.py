"""Who reaches whom by rendered NetworkPolicies, as the Kubernetes API defines them."""

from dataclasses import dataclass

from tests.harness.chart import Manifest, Rendered


@dataclass(frozen=True)
class Pod:
    """A pod as policies see it."""

    namespace: str
    labels: tuple[tuple[str, str], ...]


def pod(namespace: str, **labels: str) -> Pod:
    return Pod(namespace, tuple(labels.items()))


def labelled(rendered: Rendered) -> Pod:
    """Return the pod of the chart's Deployment."""
    (deployment,) = rendered.of("Deployment")
    return Pod("detent", tuple(deployment["spec"]["template"]["metadata"]["labels"].items()))


AGENT = pod("agents", app="agent")
OTHER = pod("default", app="curl")
PROMETHEUS = pod("monitoring", app="prometheus")
TOOL = pod("tools", app="records")
DNS = Pod("kube-system", (("k8s-app", "kube-dns"),))


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels; the chart uses no expressions."""
    assert selector.keys() <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def is_peer(peer: Manifest, policy: Manifest, other: Pod) -> bool:
    if "ipBlock" in peer:
        return False  # addresses outside the cluster
    own = policy["metadata"].get("namespace", "detent")
    spaces = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": own}})
    named = {"kubernetes.io/metadata.name": other.namespace}
    return selects(spaces, named) and selects(peer.get("podSelector", {}), dict(other.labels))


def admits(rendered: Rendered, way: str, one: Pod, other: Pod, port: int) -> bool:
    """Whether the policies of `one` let traffic pass, `Ingress` from or `Egress` to the other."""
    binding = [
        policy
        for policy in rendered.of("NetworkPolicy")
        if policy["metadata"].get("namespace", "detent") == one.namespace
        and way in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], dict(one.labels))
    ]
    side = "from" if way == "Ingress" else "to"
    return not binding or any(
        port in {named["port"] for named in rule["ports"]}
        and any(is_peer(peer, policy, other) for peer in rule[side])
        for policy in binding
        for rule in policy["spec"].get(way.lower(), ())
    )


def reaches(rendered: Rendered, source: Pod, target: Pod, port: int) -> bool:
    """Whether a connection passes both pods' policies."""
    leaves = admits(rendered, "Egress", source, target, port)
    return leaves and admits(rendered, "Ingress", target, source, port)
