import pytest

from proxy.ingress.mcp_kept import MAX_KEPT_BYTES, MAX_KEPT_EVENTS, Cursor, Kept, cursor_of


@pytest.mark.parametrize("place", [Cursor(0, 0), Cursor(0, 7), Cursor(3, 12)])
def test_an_id_names_a_place(place: Cursor) -> None:
    """In one of the streams of a session."""
    assert cursor_of(str(place)) == place


@pytest.mark.parametrize("forged", ["", "x", "-1", "1.0", "9" * 40, "1-", "1-2-3", "1- 2"])
def test_an_id_nobody_gave_out_names_none(forged: str) -> None:
    """Whatever it looks like."""
    assert cursor_of(forged) is None


def test_missed_events_are_sent_again() -> None:
    """Those after the last one the client has seen, then where to go on from."""
    kept = Kept()
    sent = [kept.keep(b'{"n":%d}' % number) for number in range(3)]
    assert kept.since(None) == b"id: 3\ndata: \n\n"
    assert kept.since(Cursor(0, 1)) == sent[1] + sent[2] + b"id: 3\ndata: \n\n"
    assert sent[1].startswith(b"id: 2\n")


def test_an_id_of_the_future_resumes_nothing() -> None:
    """The stream begins where it is."""
    kept = Kept()
    kept.keep(b"{}")
    assert kept.since(Cursor(0, 99)) == b"id: 1\ndata: \n\n"


def test_streams_do_not_mix() -> None:
    """What one had is not sent again on another; no two events have the same id."""
    kept = Kept()
    own, first, second = kept.keep(b"{}"), kept.keep(b"{}", 1), kept.keep(b"{}", 2)
    assert [sent.split(b"\n")[0] for sent in (own, first, second)] == [
        b"id: 1",
        b"id: 1-2",
        b"id: 2-3",
    ]
    assert kept.after(Cursor(1, 0)) == [(Cursor(1, 2), first)]
    assert kept.since(Cursor(0, 0)) == own + b"id: 3\ndata: \n\n"
    assert kept.since(Cursor(1, 0)) == b"id: 3\ndata: \n\n"


def test_only_the_last_events_are_kept() -> None:
    """By their number and by their size."""
    kept = Kept()
    for _ in range(MAX_KEPT_EVENTS + 1):
        kept.keep(b"{}")
    assert kept.since(Cursor(0, 0)).count(b"data: {}") == MAX_KEPT_EVENTS
    kept.keep(b"x" * MAX_KEPT_BYTES)
    assert kept.since(Cursor(0, 0)) == b"id: 258\ndata: \n\n"


def test_what_nobody_has_had_stays() -> None:
    """However large: until something else comes."""
    kept = Kept()
    shown = kept.keep(b"x" * MAX_KEPT_BYTES, 1, whole=True)
    assert kept.after(Cursor(1, 0)) == [(Cursor(1, 1), shown)]
    kept.keep(b"{}")
    assert kept.after(Cursor(1, 0)) == []


def test_a_stream_is_forgotten() -> None:
    """And makes room."""
    kept = Kept()
    kept.keep(b"x" * (MAX_KEPT_BYTES // 2), 1)
    own = kept.keep(b"{}")
    kept.forget(1)
    large = kept.keep(b"y" * (MAX_KEPT_BYTES - 1000))
    assert (kept.after(Cursor(1, 0)), kept.after(Cursor(0, 0))) == (
        [],
        [(Cursor(0, 2), own), (Cursor(0, 3), large)],
    )
