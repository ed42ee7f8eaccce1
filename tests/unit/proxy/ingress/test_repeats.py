from collections.abc import Callable
from typing import Any, cast

import pytest

from proxy.ingress.repeats import KEPT_S, MAX_BYTES, MAX_HEADS, REPEATS, Repeats, keep_head
from tests.harness.clock import Clock

HEAD = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"


class Wire:
    """What was sent, and the repeats of one connection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sent: list[bytes] = []
        self.repeats = Repeats(lambda: self.clock.now, self.sent.append)

    def first(self, head: bytes = HEAD, body: bytes = b"{}", read: bytes | None = None) -> None:
        """Let one request go the long way; `read` is the body that the parser made of it."""
        self.repeats.came(head + body, begins=True)
        self.repeats.keep(body if read is None else read, lambda again, _: b"again " + again)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_the_same_head_is_answered_by_who_answered_it_before(wire: Wire) -> None:
    """With another body of the same length."""
    assert not wire.repeats.take(HEAD + b"{}")
    wire.first()
    assert wire.repeats.take(HEAD + b"[]")
    assert wire.sent == [b"again []"]
    assert not wire.repeats.owes


@pytest.mark.parametrize(
    "piece",
    [
        b"",
        HEAD,
        HEAD[:-1],
        HEAD + b"[",
        HEAD + b"[]\r\n",
        HEAD + b"[]" + HEAD + b"[]",
        b"\r\n" + HEAD + b"[]",
        HEAD.replace(b"Host: h", b"Host: i") + b"[]",
        HEAD.replace(b"POST", b"PUT") + b"[]",
        HEAD.replace(b"\r\n\r\n", b"\r\nOrigin: o\r\n\r\n") + b"[]",
    ],
)
def test_anything_else_goes_the_long_way(wire: Wire, piece: bytes) -> None:
    """One byte more or less, two requests at once, a part of one."""
    wire.first()
    assert not wire.repeats.take(piece)
    assert wire.sent == []


@pytest.mark.parametrize(
    ("head", "body", "read"),
    [
        (HEAD, b"2\r\n{}\r\n0\r\n\r\n", b"{}"),
        (HEAD, b"{}\r\n", b"{}"),
        (HEAD, b"{}", b""),
        (HEAD[:-4], b"", b""),
        (HEAD.replace(b"Host", b"X: %b\r\nHost" % (b"x" * MAX_BYTES)), b"{}", b"{}"),
    ],
    ids=["chunked", "more came", "none was read", "no head", "long"],
)
def test_a_head_is_kept_only_when_the_rest_is_its_body(
    wire: Wire, head: bytes, body: bytes, read: bytes
) -> None:
    """As the parser read it, which so never comes to matter."""
    wire.first(head, body, read)
    assert not wire.repeats.take(head + body)


def test_what_came_in_parts_is_not_kept(wire: Wire) -> None:
    """The last part may look like a request, and is the end of another."""
    wire.repeats.came(HEAD + b"{}", begins=False)
    wire.repeats.keep(b"{}", lambda again, _: again)
    assert not wire.repeats.take(HEAD + b"{}")


def test_now_and_then_a_head_goes_the_long_way(wire: Wire) -> None:
    """And is kept again from there."""
    wire.first()
    wire.clock.now += KEPT_S
    assert wire.repeats.take(HEAD + b"[]")
    wire.clock.now += 0.1
    assert not wire.repeats.take(HEAD + b"[]")
    wire.first()
    assert wire.repeats.take(HEAD + b"[]")


def test_a_connection_keeps_a_few_heads(wire: Wire) -> None:
    """The oldest makes room; one that is kept again is the newest."""
    heads = [HEAD.replace(b"/x", b"/%d" % number) for number in range(MAX_HEADS + 1)]
    for head in heads[:-1]:
        wire.first(head)
    wire.first(heads[0])
    wire.first(heads[-1])
    taken = [wire.repeats.take(head + b"[]") for head in heads]
    assert taken == [True, False, *[True] * (MAX_HEADS - 1)]


def test_who_answered_before_may_send_it_the_long_way(wire: Wire) -> None:
    """Its token has ended, for one, or the body does not fit."""
    wire.repeats.came(HEAD + b"{}", begins=True)
    wire.repeats.keep(b"{}", lambda _, __: None)
    assert not wire.repeats.take(HEAD + b"[]")
    assert (wire.sent, wire.repeats.owes) == ([], False)


class Waiting:
    """Answers later."""

    def __init__(self, wire: Wire) -> None:
        self.write: Callable[[bytes], None] = lambda _: None
        self.forgotten = 0
        wire.repeats.came(HEAD + b"{}", begins=True)
        wire.repeats.keep(b"{}", self)
        assert wire.repeats.take(HEAD + b"[]")

    def __call__(self, body: bytes, write: Callable[[bytes], None]) -> Callable[[], None]:
        del body
        self.write = write
        return self._forget

    def _forget(self) -> None:
        self.forgotten += 1


def test_an_answer_may_come_later_and_once(wire: Wire) -> None:
    """Until then it is owed."""
    waiting = Waiting(wire)
    assert (wire.repeats.owes, wire.sent) == (True, [])
    for _ in range(2):
        waiting.write(b"news")
    assert (wire.repeats.owes, wire.sent) == (False, [b"news"])
    wire.repeats.gone()
    assert waiting.forgotten == 0


def test_who_has_gone_is_told_nothing(wire: Wire) -> None:
    """And is forgotten, once."""
    waiting = Waiting(wire)
    for _ in range(2):
        wire.repeats.gone()
    waiting.write(b"news")
    assert (waiting.forgotten, wire.repeats.owes, wire.sent) == (1, False, [])


def test_a_server_without_the_means_repeats_nothing(wire: Wire) -> None:
    """Nothing is kept there; where it can be, the head is."""
    keep_head(cast("Any", {}), b"{}", lambda again, _: again)
    wire.repeats.came(HEAD + b"{}", begins=True)
    scope = cast("Any", {REPEATS: wire.repeats.keep})
    keep_head(scope, b"{}", lambda again, _: again)
    assert wire.repeats.take(HEAD + b"[]")
