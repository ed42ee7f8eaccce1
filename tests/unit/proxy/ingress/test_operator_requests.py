from typing import Any

import pytest
from starlette.requests import Request

from proxy.errors import BadRequest
from proxy.ingress.operator_requests import (
    limit_of,
    members_of,
    query_of,
    reason_of,
    scope_of,
    wait_of,
)
from proxy.model.kill import GLOBAL, Scope, ScopeKind


def request(body: bytes = b"", query: str = "") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [], "query_string": query.encode()}
    return Request(scope, receive)


SCOPES = [
    ("global", GLOBAL),
    ({"kind": "global"}, GLOBAL),
    ({"kind": "global", "id": ""}, GLOBAL),
    ("tenant:acme", Scope(ScopeKind.TENANT, "acme")),
    ("agent:acme/loop", Scope(ScopeKind.AGENT, "acme/loop")),
    ({"kind": "agent", "id": "acme/loop"}, Scope(ScopeKind.AGENT, "acme/loop")),
    ("session:ses_Ab-_9", Scope(ScopeKind.SESSION, "ses_Ab-_9")),
    ("tool:repo/git_commit", Scope(ScopeKind.TOOL, "repo/git_commit")),
    ("tool:repo/a:b", Scope(ScopeKind.TOOL, "repo/a:b")),
]


@pytest.mark.parametrize(("value", "scope"), SCOPES)
def test_scopes_are_read_in_both_forms(value: Any, scope: Scope) -> None:
    """A short text for people, an object for machines."""
    assert scope_of(value) == scope


BAD_SCOPES: list[Any] = [
    None,
    1,
    True,
    [],
    ["global"],
    {},
    "",
    ":",
    "global:acme",
    "everything",
    "Global",
    "tenant",
    "tenant:",
    "tenant:acme/loop",
    "tenant:a b",
    "tenant:\u00e4",
    "tenant:acme\n",
    "tenant:" + "a" * 129,
    "agent:acme",
    "agent:/loop",
    "agent:acme/",
    "agent:acme/loop/x",
    "session:",
    "tool:repo",
    {"kind": []},
    {"kind": {}},
    {"kind": "tenant"},
    {"kind": "tenant", "id": 1},
    {"kind": "tenant", "id": None},
    {"id": "acme"},
    {"kind": "tenant", "id": "acme", "more": 1},
]


@pytest.mark.parametrize("value", BAD_SCOPES, ids=repr)
def test_what_is_no_scope_is_refused(value: Any) -> None:
    """With the forms that are; a mistyped scope must not become another one."""
    with pytest.raises(BadRequest, match="tenant:acme") as raised:
        scope_of(value)
    assert raised.value.code == "invalid-scope"


async def test_no_body_has_no_members() -> None:
    """`curl -X POST` is a whole kill."""
    assert await members_of(request(), frozenset({"reason"})) == {}


BODIES = [
    (b"[]", "not-an-object"),
    (b"null", "not-an-object"),
    (b'"agent:acme/loop"', "not-an-object"),
    (b'{"scpoe": "global"}', "unknown-member"),
    (b'{"reason": 1, "reason": 2}', "duplicate-key"),
    (b"{", "not-json"),
    (b"{} {}", "not-json"),
    (b" ", "not-json"),
    (b'{"reason": NaN}', "not-json"),
    (b"\xff", "not-utf8"),
]


@pytest.mark.parametrize(("body", "code"), BODIES)
async def test_a_bad_body_is_refused(body: bytes, code: str) -> None:
    """A misspelled member could turn a small kill into a large one."""
    with pytest.raises(BadRequest) as raised:
        await members_of(request(body), frozenset({"reason", "scope"}))
    assert raised.value.code == code
    assert "scpoe" not in raised.value.detail


def test_a_reason_is_text_of_some_length() -> None:
    """It may be left out where it is not required."""
    assert reason_of({"reason": "runaway"}, required=True) == "runaway"
    assert reason_of({}, required=False) == ""


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "reason-required"),
        ({"reason": ""}, "reason-required"),
        ({"reason": " \n"}, "reason-required"),
        ({"reason": None}, "invalid-reason"),
        ({"reason": ["x"]}, "invalid-reason"),
        ({"reason": "x" * 1_025}, "invalid-reason"),
    ],
)
def test_a_required_reason_is_required(members: dict[str, Any], code: str) -> None:
    """Going on without saying why is not possible."""
    with pytest.raises(BadRequest) as raised:
        reason_of(members, required=True)
    assert raised.value.code == code


def test_query_parameters_are_known_and_single() -> None:
    """A parameter that is not understood is refused and not ignored."""
    assert query_of(request(query="limit=5"), "limit", "state") == {"limit": "5"}
    for query in ("limit=5&limit=6", "page=2", "limit=5&page=2"):
        with pytest.raises(BadRequest, match="takes limit"):
            query_of(request(query=query), "limit")
    with pytest.raises(BadRequest, match="no parameters"):
        query_of(request(query="x"))


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("1000", 1000), ("007", 7), ("5.0", 5)])
def test_a_limit_is_a_number_of_rows(text: str, limit: int) -> None:
    """A hundred without a word."""
    assert limit_of({"limit": text}) == limit
    assert limit_of({}) == 100


BAD_NUMBERS = ["", "-1", "+1", "1e3", "nan", "inf", "1_0", " 1", "0x1", "\u0661", "9" * 10]


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0", "1001", "1.5"])
def test_a_bad_limit_is_refused(text: str) -> None:
    """Nothing is rounded or clipped."""
    with pytest.raises(BadRequest) as raised:
        limit_of({"limit": text})
    assert raised.value.code == "invalid-limit"


@pytest.mark.parametrize(("text", "wait_s"), [("0", 0), ("3", 3), ("0.25", 0.25), ("30", 30)])
def test_a_wait_is_a_number_of_seconds(text: str, wait_s: float) -> None:
    """None without a word."""
    assert wait_of({"wait": text}) == wait_s
    assert wait_of({}) == 0


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "30.1", "31"])
def test_a_bad_wait_is_refused(text: str) -> None:
    """No request waits for ever."""
    with pytest.raises(BadRequest) as raised:
        wait_of({"wait": text})
    assert raised.value.code == "invalid-wait"
