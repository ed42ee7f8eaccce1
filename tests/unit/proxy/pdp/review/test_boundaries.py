import json
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.manifests import load_catalogue
from proxy.pdp.review.boundaries import Reading, Reviewed, boundary_inputs
from proxy.pdp.review.corpus import LabelledInput
from proxy.pdp.suites import load_suites
from tests.harness.tiny_bundle import READ, write

LOG: dict[str, Any] = {
    "effect": "read",
    "risk": 1,
    "pin": "sha256:" + "ab" * 32,
    "constraints": [
        {"argument": "path", "path_within": ["$scratch"]},
        {"argument": "count", "min": 1, "max": 200, "optional": True},
    ],
}
ROW: dict[str, Any] = READ | {
    "effect": "write",
    "http": {"method": "POST", "path": "/row", "body": ["row", "id", "tags"]},
    "input_schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["row", "id", "tags"],
        "properties": {
            "row": {"type": "object"},
            "id": {"type": "integer"},
            "tags": {"type": ["array", "null"]},
        },
    },
}
SUITE = """\
logs:
  about: logs
  given: {role: reader, mode: read_only}
  cases:
    - name: what is read
      tool: repo/log
      arguments: {path: $scratch/a, count: 7}
      expect: {verdict: allow}
    - name: with a manifest of its own
      tool: repo/row
      manifest: {effect: read}
      arguments: {row: {}}
      expect: {verdict: allow}
    - name: refused
      tool: repo/row
      arguments: {row: 7}
      expect: {verdict: deny}
"""
ROLES = {"reader": ["repo/log"], "writer": ["repo/*"]}
READING = Reading(
    urls=lambda arguments: ["https://seen.example/"] if "path" in arguments else [],
    flags=lambda arguments: [] if json.dumps(arguments, ensure_ascii=False).isascii() else ["odd"],
)


@pytest.fixture
def bundle(tmp_path: Path) -> Reviewed:
    write(tmp_path)
    more = {
        "tools/repo/data.yaml": json.dumps({"log": LOG, "row": ROW}),
        "workspaces/data.yaml": json.dumps({"scratch": "/srv/scratch"}),
        "suites/logs.yaml": SUITE,
    }
    write(tmp_path, more)
    catalogue = load_catalogue(tmp_path)
    return Reviewed(catalogue, load_suites(tmp_path, catalogue), ROLES)


def found(bundle: Reviewed) -> dict[str, dict[str, Any]]:
    return {one.label: one.input for one in boundary_inputs(bundle, READING)}


def test_a_tool_departs_from_what_a_suite_allows(bundle: Reviewed) -> None:
    """Its arguments, its role and its mode are known to pass."""
    base = found(bundle)["repo/log: inside"]
    assert base["context"]["arguments"] == {"path": "/srv/scratch/a", "count": 7}
    assert (base["subject"]["roles"], base["context"]["session"]["mode"]) == (
        ["reader"],
        "read_only",
    )


def test_without_a_case_a_tool_departs_from_its_schema(bundle: Reviewed) -> None:
    """By the first role that names it or its server; a case with another manifest tells nothing."""
    base = found(bundle)["repo/row: inside"]
    assert base["context"]["arguments"] == {"row": {}, "id": 1, "tags": "a"}
    assert base["subject"]["roles"] == ["writer"]


@pytest.mark.parametrize(
    ("label", "arguments"),
    [
        ("repo/log: path: sibling with its prefix $scratch", {"path": "/srv/scratch-evil", "count": 7}),  # noqa: E501
        ("repo/log: path: missing", {"count": 7}),
        ("repo/log: count: one over 200", {"path": "/srv/scratch/a", "count": 201}),
        ("repo/row: id: in text", {"row": {}, "id": "1", "tags": "a"}),
        ("suite logs: refused: row: null", {"row": None}),
    ],
)  # fmt: skip
def test_one_argument_at_a_time_goes_to_an_edge(
    bundle: Reviewed, label: str, arguments: dict[str, Any]
) -> None:
    """The others stay where they were."""
    assert found(bundle)[label]["context"]["arguments"] == arguments


def test_arguments_are_read_as_the_gateway_reads_them(bundle: Reviewed) -> None:
    """URLs and flags belong to the arguments that were changed."""
    made = found(bundle)
    twin = made["repo/log: path: Unicode twin of the root $scratch"]["context"]
    assert (twin["urls"], twin["flags"]) == (["https://seen.example/"], ["odd"])
    assert made["repo/log: path: missing"]["context"]["urls"] == []


def test_every_input_is_there_once_under_its_own_label(bundle: Reviewed) -> None:
    """And each time the same."""
    made = boundary_inputs(bundle, READING)
    assert len({one.label for one in made}) == len(made)
    assert len({json.dumps(one.input, sort_keys=True) for one in made}) == len(made)
    assert boundary_inputs(bundle, READING) == made


def test_there_are_no_more_than_one_wants(bundle: Reviewed) -> None:
    """The first ones, then, and one that says so: a reviewer must not take them for all."""
    *made, last = boundary_inputs(bundle, READING, max_inputs=10)
    every = boundary_inputs(bundle, READING)
    assert tuple(made) == every[:10]
    assert last.problem
    assert not any(one.problem for one in every)
    assert all(isinstance(one, LabelledInput) for one in made)


def test_a_tool_nobody_may_call_is_asked_for_nobody(bundle: Reviewed) -> None:
    """So that a role that gets it shows."""
    poor = Reviewed(bundle.catalogue, (), {"reader": ["repo/log"]})
    assert found(poor)["rec/read: inside"]["subject"]["roles"] == ["nobody"]


def test_constraints_nobody_can_read_have_no_edges(bundle: Reviewed) -> None:
    """The policy refuses such a tool by itself."""
    document = bundle.catalogue.tools["repo", "log"].document
    document["constraints"] = "all of them"
    assert "repo/log: path: sibling with its prefix $scratch" not in found(bundle)
