"""The chart rendered by helm, and its manifests to look at."""

import base64
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness.world import ROOT

CHART = ROOT / "helm"
IMAGES = ROOT / "tests/helm/images.yaml"
VALUES = sorted((CHART / "values").glob("*.yaml"))
NAMESPACE = "detent"
OLDEST = "1.30.0"  # what the chart says it needs

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `helm template` writes for the release `detent` in the namespace `detent`."""

    manifests: tuple[Manifest, ...]

    def one(self, kind: str, name: str) -> Manifest:
        """Return the one manifest of that kind and name."""
        (found,) = (
            one for one in self.manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)
        )
        return found

    def of(self, kind: str) -> list[Manifest]:
        """Return all manifests of a kind."""
        return [one for one in self.manifests if one["kind"] == kind]

    @property
    def pod(self) -> Manifest:
        """The spec of the Deployment's pods."""
        (deployment,) = self.of("Deployment")
        spec: Manifest = deployment["spec"]["template"]["spec"]
        return spec

    def container(self, name: str) -> Manifest:
        """Return a container of these pods, one that runs before them included."""
        every = [*self.pod.get("initContainers", ()), *self.pod["containers"]]
        (found,) = (one for one in every if one["name"] == name)
        return dict(found)

    @property
    def settings(self) -> Manifest:
        """The `detent.yaml` of the pods."""
        text = self.one("ConfigMap", "detent")["data"]["detent.yaml"]
        return dict(yaml.safe_load(text))

    def secret(self, name: str) -> dict[str, bytes]:
        """Return what a Secret of the chart holds."""
        data = self.one("Secret", name)["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}


def helm(program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm with nothing of the user's own settings."""
    return subprocess.run(
        [program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.defpath, "HOME": str(ROOT / ".tools/helm"), "KUBECONFIG": os.devnull},
        timeout=60,
        check=False,
    )


def template(program: str, *values: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Render the chart with these values over the images nobody built; `stdin` goes last."""
    files = [f"--values={file}" for file in (IMAGES, *values)]
    more = ["--values=-"] if stdin else []
    return helm(
        program, "template", "detent", str(CHART), f"--namespace={NAMESPACE}", *files, *more,
        f"--kube-version={OLDEST}", stdin=stdin,
    )  # fmt: skip


def parsed(text: str) -> Rendered:
    """Read what helm wrote."""
    return Rendered(tuple(one for one in yaml.safe_load_all(text) if one))


@cache
def render(program: str, *values: Path, stdin: str = "") -> Rendered:
    """Render, or show why not."""
    done = template(program, *values, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)
