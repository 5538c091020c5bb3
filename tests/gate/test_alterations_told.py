"""Whoever looks for what became of a stamped letter is told which part of it was altered on its way."""

import asyncio
from functools import wraps

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.stationery import LETTER

from pennyred.gate.letterbox import Due, Relay
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason

BOB, EVE = "bob@example.org", "eve@example.org"
PROVEN = Authentication(author_domain="sender.example", is_author_signed=True, might_be_signed=True)
FOOTER = b"-- \r\nSent to the list\r\n"


def scenario(coroutine):
    """Run an asynchronous test."""

    @wraps(coroutine)
    def run(*values, **names):
        asyncio.run(coroutine(*values, **names))

    return run


async def a_desk(stamps=10, **policy):
    desk = DeskUnderTest(**policy)
    await desk.office.open(stamps)
    return desk


def told(desk, place=0):
    """What the log says of a recipient of the last letter."""
    one = desk.log.lines[-1]["recipients"][place]
    return {name: one[name] for name in ("reason", "row", "altered") if name in one}


@pytest.mark.parametrize(
    ("alter", "answer", "row"),
    [
        (
            lambda letter: letter.replace(b"Subject: Tea", b"Subject: Pills\r\nReply-To: eve@example.net"),
            Due(0, Reason.ALTERED_HEADERS, altered=("reply-to", "subject")),
            "subject-unproven",
        ),
        (
            lambda letter: letter.replace(b"Bob <bob@", b"b@x.example, Bob <bob@") + FOOTER,
            Due(0, Reason.ALTERED_BODY, altered=("to", "body")),
            "body-unproven",
        ),
        (
            lambda letter: letter.replace(b"ann@sender", b"eve@sender"),
            Due(0, Reason.ALTERED_HEADERS, altered=("from",)),
            "other-author",
        ),
        (
            lambda letter: letter.replace(b"<1@", b"<2@").replace(b": Tea", b": Pills") + FOOTER,
            Due(0, Reason.ALTERED_HEADERS, altered=("subject", "message-id", "body")),
            "other-letter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@scenario
async def test_a_refusal_names_what_was_altered_and_the_log_the_row_too(alter, answer, row):
    desk = await a_desk()
    assert (await desk.present(alter(desk.stationery.stamped(LETTER, BOB)), BOB))[0] == answer
    assert told(desk) == {"reason": answer.reason, "row": row, "altered": list(answer.altered)}
    assert desk.log.lines[-1]["altered"] == list(answer.altered)


@scenario
async def test_what_passes_altered_says_so_in_the_letter_and_in_the_log():
    desk = await a_desk()
    desk.witness.found = PROVEN
    _, server = await desk.present(desk.stationery.stamped(LETTER, BOB) + FOOTER, BOB)
    assert b' x-postage=pass reason=stamped-modified policy.altered="body"\r\n' in server.sent[0][1]
    assert told(desk) == {"reason": "stamped-modified", "row": "body-proven", "altered": ["body"]}


@scenario
async def test_each_recipient_is_told_of_its_own_stamp():
    """The first stamp was made for the letter as it came, the other one before its Message-ID was replaced."""
    desk = await a_desk()
    earlier = LETTER.replace(b"<1@", b"<0@")
    letter = desk.stationery.stamp(earlier, EVE).field() + desk.stationery.stamped(LETTER, BOB)
    answer, server = await desk.present(letter, BOB, EVE)
    assert isinstance(answer, Relay)
    assert told(desk, 0) == {"reason": "stamped", "row": "unaltered"}
    assert told(desk, 1) == {"reason": "stamped-modified", "row": "same-text", "altered": ["message-id"]}
    assert (
        b"mx.example.org;\r\n x-postage=pass reason=stamped;\r\n x-postage=pass reason=stamped-modified"
        b' policy.altered="message-id"\r\n' in server.sent[0][1]
    )


@scenario
async def test_a_refusal_for_another_reason_names_no_alteration():
    """Who has altered nothing that matters must not go and look for it."""
    desk = await a_desk(stamps=0)
    letter = desk.stationery.stamped(LETTER, BOB).replace(b"<1@", b"<2@")
    assert (await desk.present(letter, BOB))[0] == Due(0, Reason.INSUFFICIENT_BALANCE)
    assert told(desk) == {"reason": "insufficient-balance", "row": "same-text", "altered": ["message-id"]}


@scenario
async def test_a_letter_without_a_stamp_is_of_no_row():
    desk = await a_desk()
    await desk.present(LETTER, BOB)
    assert told(desk) == {"reason": "no-stamp"}
    assert [one.row for one in desk.facts] == [None]


@scenario
async def test_the_figures_have_the_row_of_each_recipient_in_every_mode():
    for mode in Mode:
        desk = await a_desk(mode=mode)
        earlier = LETTER.replace(b"<1@", b"<0@")
        letter = desk.stationery.stamp(earlier, EVE).field() + desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB, EVE)
        assert [one.row for one in desk.facts] == [Row.UNALTERED, Row.SAME_TEXT]
