"""Structured logs: one JSON object a line, masked, whatever a record carries.

Fields: `time` (UTC, ISO 8601), `level`, `logger`, `message`, then what was given through `extra`
(`step_id`, `decision_id`, …); tracebacks are lists of lines. Control characters, ANSI sequences and
Unicode line separators are written as visible escapes: a record can neither start a second line
nor move a terminal's cursor.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import IO, Any

from pythonjsonlogger.json import JsonFormatter

from proxy.observability.masking import Masker

MAX_CHARS = 8_192
MAX_ITEMS = 100
MAX_DEPTH = 6
MAX_NUMBER = 2**63

_TRACES = frozenset({"exc_info", "stack_info"})
_PLAIN = frozenset({"time", "level", "logger"})
_DROPPED = frozenset({"color_message", "taskName"})
# C0 and C1 controls, DEL, zero-width and bidirectional marks, line separators, BOM.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_QUIET = ("httpx", "httpcore", "aiohttp", "asyncio", "mcp", "urllib3")


class MaskingJsonFormatter(JsonFormatter):
    """Formats a record as one masked line of JSON.

    Objects that are not JSON appear as their `repr`, so fields with `repr=False` stay hidden.
    Strings are cut at 8,192 characters, collections at 100 items, depth at 6.
    """

    def __init__(self, masker: Masker) -> None:
        super().__init__([])
        self._masker = masker

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Collect the record's own fields first; nothing in `extra` can replace them."""
        own = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.message,
        }
        log_data.update(own)
        super().add_fields(log_data, record, message_dict)
        log_data.update(own)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Mask and bound every field; traces become lists of lines."""
        for trace in _TRACES & log_data.keys():
            # Masked before it is cut, so that no line hides a part of a secret.
            lines = self._masker.mask(str(log_data[trace])).splitlines()
            log_data[trace] = lines[-MAX_ITEMS:]
        kept = {key: value for key, value in log_data.items() if key not in _DROPPED}
        return {
            self._text(key): value if key in _PLAIN else self._clean(value)
            for key, value in kept.items()
        }

    def _clean(self, value: Any, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return (
                value
                if -MAX_NUMBER < value < MAX_NUMBER
                else f"({type(value).__name__} out of range)"
            )
        if isinstance(value, Mapping | list | tuple) and depth < MAX_DEPTH:
            return self._collection(value, depth + 1)
        if isinstance(value, bytes | bytearray):
            value = value.decode("utf-8", "replace")
        return self._text(value if isinstance(value, str) else repr(value))

    def _collection(
        self, value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], depth: int
    ) -> Any:
        if isinstance(value, Mapping):
            pairs = islice(value.items(), MAX_ITEMS)
            return {self._text(str(key)): self._clean(item, depth) for key, item in pairs}
        return [self._clean(item, depth) for item in islice(value, MAX_ITEMS)]

    def _text(self, text: str) -> str:
        masked = self._masker.mask(text)
        if len(masked) > MAX_CHARS:
            masked = f"{masked[:MAX_CHARS]}… ({len(masked)} characters)"
        return _UNSAFE.sub(_visible, masked)


def _visible(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


class LineHandler(logging.StreamHandler[IO[str]]):
    """Writes one line a record; a record that cannot be formatted is told without its content."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """Replace the standard library's report, which prints the arguments unmasked."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": "error",
            "logger": __name__,
            "message": "a log record could not be written",
            "at": f"{record.module}:{record.lineno}",
        }
        with suppress(OSError, ValueError):
            self.stream.write(f"{json.dumps(line)}\n")
            self.stream.flush()


class Stamp(logging.Filter):
    """Writes the number of the worker into its records."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.worker = self._worker
        return True


def configure(level: str, stream: IO[str], masker: Masker, worker: int | None = None) -> None:
    """Send every logger of the process, and uncaught exceptions, to `stream` as masked lines.

    Each line of a worker says which one it is.

    The access log of uvicorn is off: its lines carry query strings. Libraries that log whole URLs
    speak at WARNING and above. Start uvicorn with `log_config=None`, or it undoes this.
    Raises ValueError for an unknown level name.
    """
    handler = LineHandler(stream)
    handler.setFormatter(MaskingJsonFormatter(masker))
    if worker is not None:
        handler.addFilter(Stamp(worker))
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [handler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
