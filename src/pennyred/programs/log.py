"""The log of a running program: JSON, one document in each line, on standard error."""

import asyncio
import contextlib
import json
import os
from typing import Any

import msgspec
import structlog

_STANDARD_ERROR = 2


class Lines:
    """Collects the lines of one turn of the event loop, and writes them together. If a write fails (the disk is full,
    the reader has gone), lines are lost, but no letter.
    """

    def __init__(self, descriptor: int = _STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._waiting: list[str] = []

    def msg(self, line: str) -> None:
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

    debug = info = warning = error = critical = msg

    def flush(self) -> None:
        """Write the waiting lines; a failed write is ignored."""
        lines, self._waiting = self._waiting, []
        left = memoryview("".join([f"{line}\n" for line in lines]).encode("utf-8", "backslashreplace"))
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]


def make_log() -> Any:
    """Make a logger that belongs to the caller, not to the whole process."""
    logger = structlog.wrap_logger(
        Lines(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )
    return logger.bind()  # bound once: else structlog would build it anew for every line


def _encode(event: dict[str, Any], **_: Any) -> str:
    """Encode an event as JSON; a value that JSON does not have is written as its `repr`."""
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half a surrogate pair, for example from a file's name
        return json.dumps(event, default=repr)
