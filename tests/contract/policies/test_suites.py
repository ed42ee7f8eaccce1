"""The shipped suites on a real OPA, and that a list and a call never disagree (I21)."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, QueryAnswer, StagedBundle
from proxy.pdp.bundle import stage
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.manifests import Catalogue, load_catalogue
from proxy.pdp.suite_input import decision_input
from proxy.pdp.suites import load_suites, run_suites

POLICIES = Path(__file__).parents[3] / "policies"
DEADLINE_S = 5.0
Query = Callable[[str, bytes], Awaitable[QueryAnswer]]

# Arguments that every shipped tool takes, where it takes any by that name.
ARGUMENTS: dict[str, Any] = {
    "repo_path": "$scratch",
    "target": "main",
    "revision": "HEAD",
    "branch_type": "all",
    "branch_name": "topic",
    "files": ["a.txt"],
    "message": "Fix the parser",
    "database": "tickets",
    "table": "tickets",
    "id": 1,
    "row": {"title": "x"},
    "update": {"title": "x"},
    "sql": "select 1",
}


@pytest.fixture
def bundle(tmp_path: Path) -> StagedBundle:
    """The shipped policies, staged."""
    return stage(POLICIES, tmp_path / "private", find_opa().path)


@pytest.fixture
def catalogue(bundle: StagedBundle) -> Catalogue:
    """Their manifests."""
    return load_catalogue(bundle.directory)


@pytest.fixture
async def query(bundle: StagedBundle) -> AsyncIterator[Query]:
    """An engine that serves them."""
    engine = ManagedOpa(find_opa().path)
    await engine.start(bundle)

    async def ask(path: str, body: bytes) -> QueryAnswer:
        return await engine.query(path, body, DEADLINE_S)

    try:
        yield ask
    finally:
        await engine.stop()


async def test_every_shipped_case_is_decided_as_its_suite_says(
    catalogue: Catalogue, query: Query
) -> None:
    """The same cases a reload runs."""
    results = await run_suites(load_suites(POLICIES, catalogue), query)
    assert len(results) > 90
    assert [result for result in results if not result.passed] == []


async def test_decisions_carry_the_revision_of_the_bundle(
    bundle: StagedBundle, catalogue: Catalogue, query: Query
) -> None:
    """OPA tells the revision that staging wrote."""
    case = load_suites(POLICIES, catalogue)[0]
    answer = await query(DECISION_PATH, json.dumps({"input": case.decision}).encode())
    assert answer.revision == bundle.revision


@pytest.mark.parametrize(
    ("role", "mode"),
    list(
        itertools.product(
            ["maintainer", "reader", "triager", "stranger"],
            ["read_only", "dry_run", "read_write", "admin"],
        )
    ),
)
async def test_a_list_and_a_call_never_disagree(
    catalogue: Catalogue, query: Query, role: str, mode: str
) -> None:
    """What is listed can be called with some arguments; what is not is denied with any."""
    calls = {
        f"{server}/{tool}": decision_input(
            {
                "name": tool,
                "role": role,
                "mode": mode,
                "tool": f"{server}/{tool}",
                "arguments": ARGUMENTS,
            },
            catalogue,
        )
        for server, tool in catalogue.tools
    }
    question = {
        **next(iter(calls.values())),
        "action": {"name": "tools/list"},
        "resources": [call["resource"] for call in calls.values()],
    }
    listed = (await query(VISIBLE_PATH, json.dumps({"input": question}).encode())).result
    callable_ = [
        tool
        for tool, call in calls.items()
        if (await query(DECISION_PATH, json.dumps({"input": call}).encode())).result["verdict"]
        != "deny"
    ]
    assert listed == sorted(callable_)
    assert bool(listed) is (role != "stranger" and mode != "admin")
