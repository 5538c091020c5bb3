"""The log of a running program: JSON, one document in each line, on standard error."""

import asyncio
import contextlib
import json
import os
from datetime import UTC, datetime
from typing import Any

import msgspec
from structlog.processors import format_exc_info

_STANDARD_ERROR = 2


class Lines:
    """Collects the lines of one turn of the event loop, and writes them together. If a write fails (the disk is full,
    the reader has gone), lines are lost, but no letter.
    """

    def __init__(self, descriptor: int = _STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._waiting: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Write the line at the end of this turn of the loop; at once if no loop runs."""
        self._waiting.append(line)
        if len(self._waiting) > 1:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write the waiting lines; a failed write is ignored."""
        lines, self._waiting = self._waiting, []
        left = memoryview(b"\n".join([*lines, b""]))
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]


class Log:
    """A logger whose lines are what structlog's processors make of them, in a third of the time: the fields, then
    `event`, `level`, `timestamp` and, where `exc_info` is given, `exception`.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def info(self, event: str, **fields: Any) -> None:  # noqa: D102
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:  # noqa: D102
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:  # noqa: D102
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        fields["event"], fields["level"] = event, level
        fields["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if "exc_info" in fields:
            format_exc_info(None, level, fields)
        self._lines.add(_encode(fields))


def make_log() -> Log:
    """Make a logger that belongs to the caller, not to the whole process."""
    return Log(Lines())


_ENCODER = msgspec.json.Encoder(enc_hook=repr)


def _encode(event: dict[str, Any]) -> bytes:
    """Encode an event as JSON; a value that JSON does not have is written as its `repr`."""
    try:
        return _ENCODER.encode(event)
    except UnicodeEncodeError:  # half a surrogate pair, for example from a file's name
        return json.dumps(event, default=repr).encode()
