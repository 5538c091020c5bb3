"""A line of the log is, octet for octet, what structlog makes of it."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.reasons import Reason
from pennyred.programs.log import Lines, Log

NOW = re.compile(rb'"timestamp": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z)"')
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from((Reason.STAMPED, Path("/x"), "half a pair: \ud800")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(("source", "to", "reason", "bytes", "ref", "why", "recipients")), VALUES)


def by_structlog(level: str, event: str, fields: dict[str, Any]) -> bytes:
    """What structlog's own processors make of an event."""
    from pennyred.programs import log

    said: list[str] = []

    class Heard:
        def msg(self, line: str) -> None:
            said.append(line)

        info = warning = error = msg

    logger = structlog.wrap_logger(
        Heard(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: log._encode(event).decode()),
        ],
    )
    getattr(logger, level)(event, **fields)
    [line] = said
    return line.encode()


def by_log(level: str, event: str, fields: dict[str, Any]) -> bytes:
    """What our log writes."""
    reader, writer = os.pipe()
    try:
        getattr(Log(Lines(writer)), level)(event, **fields)
        os.close(writer)
        with open(reader, "rb", closefd=False) as lines:
            [line] = lines.read().splitlines()
    finally:
        os.close(reader)
    return line


@given(st.sampled_from(("info", "warning", "error")), st.text(max_size=20), FIELDS)
def test_a_line_is_what_structlog_makes_of_it(level: str, event: str, fields: dict[str, Any]) -> None:
    ours, theirs = by_log(level, event, dict(fields)), by_structlog(level, event, dict(fields))
    assert NOW.sub(b"", ours) == NOW.sub(b"", theirs)
    assert len(NOW.findall(ours)) == len(NOW.findall(theirs)) == 1


@pytest.mark.parametrize("error", [ValueError("deep inside"), None])
def test_so_is_one_with_an_exception(error: Exception | None) -> None:
    if error is not None:
        try:
            raise error
        except ValueError as raised:
            error = raised
    ours, theirs = (one("error", "broken", {"ref": "ab", "exc_info": error}) for one in (by_log, by_structlog))
    assert NOW.sub(b"", ours) == NOW.sub(b"", theirs)
    assert (b'"exception"' in ours) is (error is not None)


def test_its_time_is_now_in_utc() -> None:
    before = datetime.now().astimezone()
    [said] = NOW.findall(by_log("info", "said", {}))
    assert before <= datetime.fromisoformat(said.decode()) <= datetime.now().astimezone()
