"""What the chart is tested with: helm, kubeconform, and the schemas it checks manifests against.

`python -m tests.helm.tools --install DIR` has Go build the programs into DIR/bin and writes the
schemas to DIR/schemas. They come from Kubernetes' own OpenAPI document and from the Prometheus
operator's definitions, both out of Go modules. What cannot be had is told; exit code 1.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TOOLS = Path(__file__).parents[2] / ".tools"
SCHEMAS = TOOLS / "schemas"
PROGRAMS = {
    "helm": "helm.sh/helm/v4/cmd/helm@v4.3.1",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
}
KUBERNETES = "k8s.io/kubernetes@v1.37.2"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
CRDS = ("servicemonitors", "prometheusrules")
TIMEOUT_S = 900
EITHER = {"oneOf": [{"type": "string"}, {"type": "integer"}]}


def program(name: str) -> str | None:
    """Return where a program is: in the checkout's tools or on the PATH."""
    return shutil.which(TOOLS / "bin" / name) or shutil.which(name)


def install(directory: Path) -> Iterator[str]:
    """Get what is missing; yield a line for each thing that cannot be had."""
    go = shutil.which("go")
    for name, package in PROGRAMS.items():
        if program(name) is None and not _built(go, package, directory / "bin"):
            yield f"{name} cannot be had: put it on the PATH, or install Go for {package}"
    if not list((directory / "schemas").glob("*.json")):
        schemas = _schemas(go)
        if not schemas:
            yield f"the schemas cannot be had: they are in {KUBERNETES} and {PROMETHEUS}"
        (directory / "schemas").mkdir(parents=True, exist_ok=True)
        for name, schema in schemas.items():
            (directory / "schemas" / f"{name}.json").write_text(json.dumps(schema))


def _built(go: str | None, package: str, bin_directory: Path) -> bool:
    environ = {**os.environ, "GOBIN": str(bin_directory.resolve())}
    return go is not None and _ran([go, "install", package], environ) is not None


def _ran(command: list[str], environ: dict[str, str]) -> str | None:
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _module(go: str | None, module: str) -> Path | None:
    """Return where Go keeps a module's files, after it has checked their sum."""
    told = _ran([go, "mod", "download", "-json", module], dict(os.environ)) if go else None
    return Path(json.loads(told)["Dir"]) if told else None


def _schemas(go: str | None) -> dict[str, Any]:
    """Return schemas by the file names kubeconform looks for."""
    kubernetes, prometheus = _module(go, KUBERNETES), _module(go, PROMETHEUS)
    if kubernetes is None or prometheus is None:
        return {}
    api = json.loads((kubernetes / "api/openapi-spec/swagger.json").read_text())
    folder = prometheus / "example/prometheus-operator-crd"
    files = [folder / f"monitoring.coreos.com_{name}.yaml" for name in CRDS]
    return dict([*_of_api(api["definitions"]), *_of_crds(files)])


def _of_api(definitions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    shared = {
        name: EITHER if name.endswith((".IntOrString", ".Quantity")) else _strict(one)
        for name, one in definitions.items()
    }
    for name, one in definitions.items():
        for kind in one.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].split(".")[0]
            suffix = f"-{group}" if group else ""
            file = f"{kind['kind']}{suffix}-{kind['version']}".lower()
            yield file, {"$ref": f"#/definitions/{name}", "definitions": _used(name, shared)}


def _used(name: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Return a definition and all that it refers to."""
    used: dict[str, Any] = {}
    wanted = [name]
    while wanted:
        one = wanted.pop()
        if one not in used:
            used[one] = shared[one]
            wanted += _references(shared[one])
    return used


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix("#/definitions/")
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _of_crds(files: list[Path]) -> Iterator[tuple[str, Any]]:
    for file in files:
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            group = spec["group"].split(".")[0]
            name = f"{spec['names']['kind']}-{group}-{version['name']}".lower()
            yield name, _strict(version["schema"]["openAPIV3Schema"])


def _strict(schema: Any) -> Any:
    """Return the schema with unknown members refused, as the API server can be asked to."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if strict.pop("x-kubernetes-int-or-string", False):
        return EITHER
    is_open = strict.keys() & {"additionalProperties", "x-kubernetes-preserve-unknown-fields"}
    if (
        strict.get("type") == "object"
        and isinstance(strict.get("properties"), dict)
        and not is_open
    ):
        strict["additionalProperties"] = False
    return strict


def main() -> int:
    """Install what is missing and say what cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.helm.tools", description=main.__doc__)
    parser.add_argument("--install", metavar="DIR", type=Path, required=True)
    problems = list(install(parser.parse_args().install))
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
