"""A worker's log and what runs beside the mail."""

import asyncio
import json
from pathlib import Path

import pytest

from pennyred.config import Settings
from pennyred.programs import serve


def broken() -> None:
    raise ValueError("deep inside")


def test_an_exception_is_in_the_log_with_the_way_it_took(capsys):
    """The client hears a reference only; whoever looks it up needs more than the exception's text."""
    try:
        broken()
    except ValueError as error:
        serve.make_log().error("smtp.letter_failed", ref="ab12", exc_info=error)

    [line] = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["ref"]) == ("smtp.letter_failed", "ab12")
    assert "in broken" in said["exception"]
    assert "ValueError: deep inside" in said["exception"]


def test_work_beside_the_mail_that_breaks_is_written_down_and_begun_again(capsys, monkeypatch):
    """A sweeper or an outbox that ended without a word would be missed only when balances are wrong."""
    monkeypatch.setattr(serve, "BROKEN_PAUSE_SECONDS", 0)
    worker = serve.Worker(Settings(Path("pennyred.toml")), 0, serve.make_log())
    runs = []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            broken()
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(worker.keep_at("sweep", work))

    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["work"]) for one in said] == [("broken off", "sweep")] * 2
    assert len(runs) == 3
