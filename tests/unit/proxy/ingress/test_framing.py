from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.framing import check_framing, headers_of

SINGLE = ["host", "authorization", "content-length", "idempotency-key", "mcp-name", "x-tenant"]
LISTS = ["accept", "via", "x-forwarded-for", "cache-control"]


def scope(*fields: tuple[str, str], version: str = "1.1") -> dict[str, Any]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return {"headers": headers, "http_version": version}


def refusal_of(given: dict[str, Any]) -> tuple[str, int]:
    with pytest.raises(BadRequest) as refused:
        check_framing(given, headers_of(given, 3, 100))
    return refused.value.code, refused.value.http


def test_headers_come_by_name() -> None:
    """As text."""
    assert headers_of(scope(("host", "a"), ("accept", "b")), 3, 100) == {
        b"host": "a", b"accept": "b",
    }  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_a_header_sent_twice_is_refused(name: str) -> None:
    """Known or not, alike or not: two readers might take different ones."""
    assert refusal_of(scope((name, "1"), (name, "1"))) == ("duplicate-header", 400)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_may_come_in_parts(name: str) -> None:
    """RFC 9110 section 5.2."""
    assert headers_of(scope((name, "1"), (name, "2")), 3, 100) == {name.encode(): "2"}


@pytest.mark.parametrize("given", [scope(*[("via", "1")] * 4), scope(("a", "x" * 100))])
def test_too_many_or_too_long_headers_are_refused(given: dict[str, Any]) -> None:
    """Both bounds are exact."""
    assert refusal_of(given) == ("headers-too-large", 431)
    assert headers_of(scope(("a", "x" * 99)), 1, 100)


def test_a_value_beyond_ascii_is_refused() -> None:
    """Nobody agrees on how to read it."""
    assert refusal_of(scope(("a", "\xe9"))) == ("header-not-ascii", 400)


@pytest.mark.parametrize(("version", "coding"), [("1.1", "chunked"), ("1.1", "Chunked")])
def test_chunked_is_a_coding(version: str, coding: str) -> None:
    """The only one."""
    given = scope(("transfer-encoding", coding), version=version)
    check_framing(given, headers_of(given, 3, 100))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_coding_is_needed(version: str) -> None:
    """In either version."""
    check_framing(scope(version=version), {})


@pytest.mark.parametrize(
    ("version", "coding"),
    [("1.0", "chunked"), ("1.1", "gzip, chunked"), ("1.1", "identity"), ("1.1", "")],
)
def test_other_codings_are_refused(version: str, coding: str) -> None:
    """The parser would leave them undone."""
    given = scope(("transfer-encoding", coding), version=version)
    assert refusal_of(given) == ("invalid-transfer-encoding", 400)


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2"])
def test_other_versions_are_refused(version: str) -> None:
    """Their framing is another."""
    assert refusal_of(scope(version=version)) == ("unsupported-version", 505)
