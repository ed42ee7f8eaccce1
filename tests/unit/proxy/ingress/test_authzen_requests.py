from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.authzen_requests import (
    MAX_EVALUATIONS,
    Semantic,
    batch_of,
    call_of,
    enforced_by,
    evaluation_of,
    name_of,
    roles_of,
    session_of,
    tenant_of,
)

WHOLE: dict[str, Any] = {
    "subject": {"type": "agent", "id": "loop"},
    "action": {"name": "tools/call"},
    "resource": {"type": "tool", "id": "repo/git_log"},
}


def test_unknown_members_are_ignored() -> None:
    """So that newer clients are understood (section 10.1.1)."""
    asked = evaluation_of(WHOLE | {"foo": "bar", "page": {"limit": 1}})
    assert (asked.subject, asked.context) == (WHOLE["subject"], {})


@pytest.mark.parametrize("name", ["subject", "action", "resource"])
@pytest.mark.parametrize("wrong", [None, "loop", 7, [], {}, {"type": 7, "id": 7, "name": 7}])
def test_an_entity_has_its_texts(name: str, wrong: Any) -> None:
    """Missing, or of another type."""
    with pytest.raises(BadRequest, match=name):
        evaluation_of(WHOLE | {name: wrong})
    with pytest.raises(BadRequest, match=name):
        evaluation_of({key: value for key, value in WHOLE.items() if key != name})


@pytest.mark.parametrize(
    "wrong",
    [{"context": []}, {"subject": {"type": "agent", "id": "loop", "properties": []}}],
)
def test_context_and_properties_are_objects(wrong: dict[str, Any]) -> None:
    """Nothing else holds members."""
    with pytest.raises(BadRequest, match="is an object"):
        evaluation_of(WHOLE | wrong)


def test_an_entity_of_an_evaluation_replaces_the_default_whole() -> None:
    """No member of the default shows through (section 7.1.1)."""
    defaults = WHOLE | {"subject": {"type": "agent", "id": "loop", "properties": {"tenant": "a"}}}
    asked = evaluation_of({"subject": {"type": "user", "id": "ann"}}, defaults)
    assert asked.subject == {"type": "user", "id": "ann"}
    assert asked.told("subject", "tenant") is None
    assert asked.resource == WHOLE["resource"]


@pytest.mark.parametrize(
    ("more", "cure"),
    [
        ({"evaluations": 7}, "a list"),
        ({"evaluations": [{}] * (MAX_EVALUATIONS + 1)}, "at most 100"),
        ({"evaluations": [{}], "options": 7}, "`options`"),
        ({"evaluations": [{}], "options": {"evaluations_semantic": "all"}}, "execute_all"),
        ({"evaluations": [{}], "options": {"evaluations_semantic": ["x"]}}, "execute_all"),
        ({"evaluations": [{}], "subject": "ann"}, "`subject`"),
        ({"evaluations": [{}], "context": 7}, "`context`"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused(more: dict[str, Any], cure: str) -> None:
    """Not item by item."""
    with pytest.raises(BadRequest, match=cure):
        batch_of(WHOLE | more)


def test_a_batch_needs_no_defaults() -> None:
    """Each evaluation may be whole by itself."""
    batch = batch_of({"evaluations": [WHOLE]})
    assert batch is not None
    assert (batch.items, batch.semantic) == ((WHOLE,), Semantic.EXECUTE_ALL)
    assert evaluation_of(batch.items[0], batch.defaults).is_call


@pytest.mark.parametrize(
    ("reads", "change"),
    [
        (call_of, {"context": {"arguments": []}}),
        (call_of, {"action": {"name": "tools/call", "properties": {"dry_run": "yes"}}}),
        (call_of, {"resource": {"type": "tool", "id": "git_log"}}),
        (name_of, {"subject": {"type": "agent", "id": "a/b"}}),
        (roles_of, {"subject": {"type": "agent", "id": "a", "properties": {"roles": "admin"}}}),
        (roles_of, {"subject": {"type": "agent", "id": "a", "properties": {"roles": [7]}}}),
        (session_of, {"context": {"session": "ses_1"}}),
        (session_of, {"context": {"session": {"id": 7}}}),
        (session_of, {"context": {"session": {"mode": "root"}}}),
        (session_of, {"context": {"session": {"mode": []}}}),
        (session_of, {"context": {"session": {"labels": "pii"}}}),
        (enforced_by, {"context": {"enforces": "mask"}}),
    ],
)
def test_what_a_call_needs_has_one_type(reads: Any, change: dict[str, Any]) -> None:
    """Nothing is coerced."""
    with pytest.raises(BadRequest):
        reads(evaluation_of(WHOLE | change))


def test_what_is_left_out_is_nothing() -> None:
    """No roles, no session, no promise, the usual tenant."""
    asked = evaluation_of(WHOLE)
    assert (roles_of(asked), enforced_by(asked)) == ((), frozenset())
    assert session_of(asked) == {"session_id": "", "mode": None, "labels": ()}
    assert (tenant_of(asked, "acme"), name_of(asked)) == ("acme", "loop")
    assert call_of(asked).arguments == b"{}"
