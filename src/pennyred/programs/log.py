"""The log of a running program: one JSON document a line on standard error, for journald or a file."""

import asyncio
import contextlib
import json
import os
from typing import Any

import msgspec
import structlog

_STANDARD_ERROR = 2


class Lines:
    """Writes what one turn of the event loop has to say in one go, and loses a line rather than a letter: the disk
    behind it may be full, its reader gone.
    """

    def __init__(self, descriptor: int = _STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._waiting: list[str] = []

    def msg(self, line: str) -> None:
        """Write at the end of this turn; at once where no loop runs."""
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
        """Write what waits, as well as can be."""
        lines, self._waiting = self._waiting, []
        left = memoryview("".join([f"{line}\n" for line in lines]).encode("utf-8", "backslashreplace"))
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]


def make_log() -> Any:
    """A logger of its own, bound to this call and not to the process."""
    logger = structlog.wrap_logger(
        Lines(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )
    return logger.bind()  # once; else structlog would assemble it anew for every line


def _encode(event: dict[str, Any], **_: Any) -> str:
    """As JSON; what has no form there, as its `repr`."""
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half a surrogate pair, out of a file's name, say
        return json.dumps(event, default=repr)
