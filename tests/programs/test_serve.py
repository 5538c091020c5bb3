"""A worker's log and what runs beside the mail."""

import asyncio
import json
from pathlib import Path

import pytest

from pennyred.programs.log import make_log
from pennyred.programs.workers import chores


def broken() -> None:
    raise ValueError("deep inside")


def test_an_exception_is_in_the_log_with_the_way_it_took(capfd):
    """The client hears a reference only; whoever looks it up needs more than the exception's text."""
    try:
        broken()
    except ValueError as error:
        make_log().error("smtp.letter_failed", ref="ab12", exc_info=error)

    [line] = capfd.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["ref"]) == ("smtp.letter_failed", "ab12")
    assert "in broken" in said["exception"]
    assert "ValueError: deep inside" in said["exception"]


def test_the_lines_of_one_turn_are_written_together_and_in_order(capfd):
    async def say() -> None:
        log = make_log()
        for number in range(3):
            log.info("said", number=number)
        await asyncio.sleep(0)

    asyncio.run(say())

    assert [json.loads(line)["number"] for line in capfd.readouterr().err.splitlines()] == [0, 1, 2]


def test_what_json_does_not_know_is_written_all_the_same(capfd):
    make_log().info("odd", path=Path("/x"), name="half a pair: \ud800")

    said = json.loads(capfd.readouterr().err)
    assert (said["path"], said["name"]) == ("PosixPath('/x')", "half a pair: \ud800")


def test_work_beside_the_mail_that_breaks_is_written_down_and_begun_again(capfd, monkeypatch):
    """A sweeper or an outbox that ended without a word would be missed only when balances are wrong."""
    monkeypatch.setattr(chores, "BROKEN_PAUSE_SECONDS", 0)
    runs = []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            broken()
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(chores.Chores(make_log()).keep_at("sweep", work))

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(one["event"], one["work"]) for one in said] == [("service.broken_off", "sweep")] * 2
    assert len(runs) == 3
