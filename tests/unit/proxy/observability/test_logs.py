import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.observability.logs import MAX_CHARS, LineHandler, configure
from proxy.observability.masking import MASK, Masker

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure("info", stream, Masker([SECRET]))
    return stream


LOGGER = logging.getLogger("detent.test")


def only(stream: io.StringIO) -> dict[str, Any]:
    """Return the one record written, which is the whole of one line."""
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    record: dict[str, Any] = json.loads(text)
    return record


def test_a_record_has_time_level_logger_message_and_its_extras(stream: io.StringIO) -> None:
    """The fields people filter by are there, time in UTC."""
    LOGGER.info("call %s", "allowed", extra={"step_id": "s1", "decision_id": "d1"})
    record = only(stream)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(record.pop("time"))).total_seconds()) < 5
    assert record == {
        "level": "info",
        "logger": "detent.test",
        "message": "call allowed",
        "step_id": "s1",
        "decision_id": "d1",
    }


@pytest.mark.parametrize(
    "hostile",
    [
        'a\r\n{"level":"info","message":"forged"}',
        "\x1b[2J\x1b[31mred",
        "line\u2028separator\u2029\x85\x0b\x0c",
        "\u202eright to left\u200b",
        "nul\x00 del\x7f \x9b31m",
        "lone \ud800 surrogate",
    ],
)
def test_hostile_text_stays_one_line_and_visible(stream: io.StringIO, hostile: str) -> None:
    """A forged line, a terminal sequence or a line separator is written as an escape."""
    LOGGER.warning("result %s", hostile, extra={"detail": hostile, hostile: 1})
    record = only(stream)
    assert stream.getvalue().isascii()
    assert not any(char in record["message"] for char in "\r\n\x1b\x00\x7f\x9b\u2028\u202e\x85")
    assert record["level"] == "warning"


def test_extras_cannot_replace_the_records_own_fields(stream: io.StringIO) -> None:
    """Who wrote the record and when is not for the caller to say."""
    LOGGER.info("true", extra={"level": "debug", "time": "never", "logger": "x"})
    record = only(stream)
    assert (record["level"], record["logger"], record["message"]) == ("info", LOGGER.name, "true")
    assert record["time"] != "never"


@dataclass
class Lease:
    """Something that keeps a secret out of its repr."""

    id: str
    headers: str = field(repr=False)


@pytest.mark.parametrize(
    "extra",
    [
        {"token": SECRET},
        {SECRET: "as a key"},
        {"deep": {"list": [("x", SECRET)], SECRET: 1}},
        {"raw": SECRET.encode()},
        {"lease": Lease("1", "hidden-by-repr")},
        {"error": ValueError(SECRET)},
    ],
    ids=["value", "key", "nested", "bytes", "repr", "exception"],
)
def test_no_secret_leaves_through_extras(stream: io.StringIO, extra: dict[str, Any]) -> None:
    """Whatever form an extra has, its secret is masked or hidden."""
    LOGGER.info("lease", extra=extra)
    only(stream)
    assert SECRET not in stream.getvalue()
    assert "hidden-by-repr" not in stream.getvalue()


def test_no_secret_leaves_through_message_arguments_or_dict(stream: io.StringIO) -> None:
    """Format, arguments and a dict as message are masked alike."""
    LOGGER.info("with %s and %r", SECRET, {"a": SECRET})
    LOGGER.info(SECRET)
    LOGGER.info({"message": "not this", "password": SECRET})
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count(MASK) == 4


def test_no_secret_leaves_through_a_traceback(stream: io.StringIO) -> None:
    """Exception text, its cause and the stack are masked, a line of the traceback each."""

    def fail() -> None:
        raise ValueError(f"no\n{SECRET}") from KeyError(SECRET)

    try:
        fail()
    except ValueError:
        LOGGER.exception("failed", stack_info=True)
    record = only(stream)
    assert SECRET not in stream.getvalue()
    assert record["exc_info"][-2:] == ["ValueError: no", MASK]
    assert any("in test_no_secret_leaves_through_a_traceback" in at for at in record["stack_info"])


def test_a_record_that_cannot_be_formatted_is_told_without_its_arguments(
    stream: io.StringIO,
) -> None:
    """The standard library would print the arguments; here only the place is told."""
    # Handlers of the test runner raise on such a record.
    root = logging.getLogger()
    root.handlers[:] = [kept for kept in root.handlers if isinstance(kept, LineHandler)]
    LOGGER.info("%d calls", SECRET)
    record = only(stream)
    assert record["message"] == "a log record could not be written"
    assert record["at"].startswith("test_logs:")


def test_a_closed_stream_harms_nobody(stream: io.StringIO) -> None:
    """A call goes on when its log line cannot be written."""
    stream.close()
    LOGGER.info("lost")
    assert stream.closed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10**5_000, "(int out of range)"),
        (float("nan"), "(float out of range)"),
        (2.5, 2.5),
        (True, True),
        (None, None),
        ([[[[[[["deep"]]]]]]], [[[[[["['deep']"]]]]]]),
    ],
    ids=["large", "nan", "float", "bool", "none", "deep"],
)
def test_values_json_cannot_hold_are_named(stream: io.StringIO, value: Any, shown: Any) -> None:
    """A log line is valid JSON whatever number or depth it was given."""
    LOGGER.info("value", extra={"value": value})
    assert only(stream)["value"] == shown


def test_long_values_are_cut(stream: io.StringIO) -> None:
    """One record cannot fill the disk; it says how much there was."""
    LOGGER.info("x" * 100_000, extra={"many": list(range(10_000))})
    record = only(stream)
    assert len(record["message"]) < MAX_CHARS + 50
    assert "100000 characters" in record["message"]
    assert len(record["many"]) == 100


def test_the_web_server_logs_here_without_its_access_log(stream: io.StringIO) -> None:
    """Errors of uvicorn are ours to format; its access lines carry query strings and are off."""
    logging.getLogger("uvicorn.error").warning("bad request", extra={"color_message": "x"})
    logging.getLogger("uvicorn.access").info("GET /?token=%s", SECRET)
    assert only(stream)["logger"] == "uvicorn.error"
    assert "color_message" not in only(stream)


@pytest.mark.parametrize("name", ["httpx", "httpcore.connection", "aiohttp.access", "mcp.client"])
def test_libraries_that_log_urls_are_quiet(stream: io.StringIO, name: str) -> None:
    """Their INFO lines print whole URLs."""
    logging.getLogger(name).info("GET https://example.test/?key=1")
    assert stream.getvalue() == ""


def test_python_warnings_are_records_too(stream: io.StringIO) -> None:
    """A library's warning is a line like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"old key {SECRET}", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert only(stream)["logger"] == "py.warnings"
    assert SECRET not in stream.getvalue()


def test_uncaught_exceptions_are_masked_records(stream: io.StringIO) -> None:
    """The interpreter's last words go through the same formatter."""
    error = RuntimeError(SECRET)
    sys.excepthook(RuntimeError, error, None)
    record = only(stream)
    assert (record["level"], record["exc_info"]) == ("critical", [f"RuntimeError: {MASK}"])


def test_uncaught_exceptions_of_threads_are_masked_records(stream: io.StringIO) -> None:
    """Threads have their own hook."""

    def fail() -> None:
        raise RuntimeError(SECRET)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert only(stream)["exc_info"][-1] == f"RuntimeError: {MASK}"


def test_a_thread_ended_without_an_exception_is_no_record(stream: io.StringIO) -> None:
    """The hook may be called with nothing to tell."""
    threading.excepthook(threading.ExceptHookArgs((SystemExit, None, None, None)))
    assert stream.getvalue() == ""


def test_an_unknown_level_is_refused() -> None:
    """A typing error in the configuration does not silence the logs."""
    with pytest.raises(ValueError, match="LOUD"):
        configure("loud", io.StringIO(), Masker())


def test_each_line_of_a_worker_says_which_one_it_is() -> None:
    """Several write to one stream."""
    stream = io.StringIO()
    configure("info", stream, Masker(), 2)
    LOGGER.info("served")
    assert only(stream)["worker"] == 2
