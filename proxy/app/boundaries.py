"""The boundary inputs of directories of policies, read as this gateway reads a call."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy.ingress.canonical import flags_in, urls_in
from proxy.pdp.bundle import stage
from proxy.pdp.manifests import Catalogue, load_catalogue
from proxy.pdp.review.boundaries import Reading, Reviewed, boundary_inputs
from proxy.pdp.review.corpus import LabelledInput
from proxy.pdp.strict_yaml import load
from proxy.pdp.suites import load_suites

ROLES = "roles/data.yaml"
READING = Reading(urls_in, flags_in)


def boundaries_of(directory: Path, opa: Path) -> tuple[LabelledInput, ...]:
    """Check a bundle's directory and return its boundary inputs. Raises PolicyInvalid."""
    return boundary_inputs(_reviewed(directory, opa), READING)


def boundaries_between(before: Path, after: Path, opa: Path) -> Iterator[LabelledInput]:
    """Yield the boundary inputs of two bundles, each once, to be asked of both.

    They are without the manifests of their bundle: each side has its own, or none. Raises
    PolicyInvalid.
    """
    asked: set[str] = set()
    for name, directory in (("", before), ("new: ", after)):
        bundle = _reviewed(directory, opa)
        for one in boundary_inputs(bundle, READING):
            if one.problem:
                yield replace(one, label=name + one.label)
                continue
            document = _without_manifest(one.input, bundle.catalogue)
            key = json.dumps(document, sort_keys=True)
            if key not in asked:
                asked.add(key)
                yield LabelledInput(name + one.label, document)


def _without_manifest(document: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    resource = document["resource"]
    known = catalogue.tools.get((resource["server"], resource["tool"]))
    if known is None or resource.get("manifest") != known.document:
        return document
    rest = {name: value for name, value in resource.items() if name != "manifest"}
    return {**document, "resource": rest}


def _reviewed(directory: Path, opa: Path) -> Reviewed:
    with tempfile.TemporaryDirectory(prefix="detent-policy-") as private:
        bundle = stage(directory, Path(private), opa)
        catalogue = load_catalogue(bundle.directory)
        roles = _roles(bundle.directory / ROLES)
        return Reviewed(catalogue, load_suites(directory, catalogue), roles)


def _roles(file: Path) -> dict[str, list[str]]:
    """Return the tools of each role; a bundle without roles has none."""
    known: dict[str, Any] = load(file.read_bytes(), ROLES) if file.exists() else {}
    return {name: list(role.get("tools", [])) for name, role in known.items()}
