"""An honest letter that comes by two paths is told so, a thief's copy is not; neither is delivered or charged again."""

import asyncio
from functools import wraps

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.stationery import LETTER, NOW

from pennyred.gate.judging import delivered_texts
from pennyred.gate.letterbox import Due, Duplicate, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Allowances, Mode
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.recipients import Aliases
from pennyred.postage.reasons import Reason

BOB, EVE, INFO = "bob@example.org", "eve@example.org", "info@example.org"
PROVEN = Authentication(author_domain="sender.example", is_author_signed=True, might_be_signed=True)
FOOTER = b"-- \r\nSent to the list\r\n"
RESENT = Due(0, Reason.RESENT, delivered_at=NOW)


def scenario(coroutine):
    """Run an asynchronous test."""

    @wraps(coroutine)
    def run(*values, **names):
        asyncio.run(coroutine(*values, **names))

    return run


async def a_desk(**policy):
    desk = DeskUnderTest(**policy)
    await desk.office.open(10)
    return desk


async def delivered(desk, letter, to=BOB):
    answer, server = await desk.present(letter, to)
    assert isinstance(answer, Relay)
    assert len(server.sent) == 1


async def again(desk, letter, to=BOB):
    """The answer to a letter that must not be delivered."""
    answer, server = await desk.present(letter, to)
    assert server.sent == []
    return answer


PATHS = {
    "another Message-ID": lambda letter: letter.replace(b"<1@", b"<2@"),
    "another Date": lambda letter: letter.replace(b"10:00:00", b"10:00:01"),
    "a tag in front of the Subject": lambda letter: letter.replace(b"Subject: ", b"Subject: [EXTERNAL] "),
    "another To, another Received": lambda letter: b"Received: by x.example\r\n" + letter.replace(b"Bob <bob@", b"<b@"),
}
by_another_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@by_another_path
@scenario
async def test_the_same_text_by_another_path_is_told_when_it_was_delivered(path):
    for first, second in ((lambda letter: letter, path), (path, lambda letter: letter.replace(b"<1@", b"<3@"))):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await delivered(desk, first(letter))
        desk.office.now += 3600
        assert await again(desk, second(letter)) == RESENT
        assert await desk.balance() == (9, 0)
        assert desk.log.lines[-1]["delivered_at"] == NOW
        assert desk.facts[-1].reason is Reason.RESENT


@scenario
async def test_the_very_same_letter_is_still_a_duplicate():
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    assert await again(desk, letter) == Duplicate()


@scenario
async def test_what_another_gate_of_the_same_state_has_delivered_is_known():
    desk, sister = await a_desk(), await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    await desk.texts.flush()
    sister.text_book.known, sister.office.ledger = desk.text_book.known, desk.office.ledger
    assert await again(sister, PATHS["another Message-ID"](letter)) == RESENT


THEFTS = {
    "another text, which its author has sent": (lambda letter: letter + FOOTER, PROVEN),
    "another Subject, which its author has sent": (lambda letter: letter.replace(b": Tea", b": Coffee"), PROVEN),
    "answers to somebody else": (lambda letter: b"Reply-To: ann@else.example\r\n" + letter, PROVEN),
}


@pytest.mark.parametrize(("alter", "found"), THEFTS.values(), ids=THEFTS)
@scenario
async def test_another_text_under_a_used_stamp_is_told_nothing_but_that_it_is_spent(alter, found):
    desk = await a_desk()
    desk.witness.found = found
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    assert await again(desk, alter(letter)) == Due(0, Reason.SPENT)


@scenario
async def test_a_text_that_its_author_has_altered_is_known_again_by_itself():
    """The stamp's own digests do not tell: this text is another one."""
    desk = await a_desk()
    desk.witness.found = PROVEN
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter + FOOTER)
    for path in PATHS.values():
        assert await again(desk, path(letter) + FOOTER) == RESENT
    assert await again(desk, letter) == Due(0, Reason.SPENT), "the text without the footer was not delivered"


@scenario
async def test_a_subject_that_its_author_has_altered_is_known_again_whatever_its_tag():
    desk = await a_desk()
    desk.witness.found = PROVEN
    letter = desk.stationery.stamped(LETTER, BOB).replace(b": Tea", b": Coffee")
    await delivered(desk, letter)
    for path in PATHS.values():
        assert await again(desk, path(letter)) == RESENT


@scenario
async def test_another_text_of_a_forged_stamp_learns_nothing():
    """Only who holds what was delivered, with a stamp that holds, hears when."""
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    head, signature, rest = letter.partition(b" b=")
    forged = head + signature + rest.replace(rest[:4], b"AAAA", 1)
    assert await again(desk, PATHS["another Message-ID"](forged)) == Due(0, Reason.BAD_SIGNATURE)


@scenario
async def test_who_has_had_it_under_another_name_is_not_who_asks():
    """The stamp is made out to an alias of both: it was delivered to Eve, and Bob is not told that he has had it."""
    desk = await a_desk(aliases=Aliases([(INFO, BOB), (INFO, EVE)]))
    letter = desk.stationery.stamped(LETTER, INFO)
    await delivered(desk, letter, EVE)
    assert await again(desk, PATHS["another Message-ID"](letter), BOB) == Due(0, Reason.SPENT)
    assert await again(desk, PATHS["another Message-ID"](letter), EVE) == RESENT


@scenario
async def test_what_was_not_delivered_is_not_resent():
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    server = MailServer((), [Fate.REFUSED_PERMANENT])
    await desk.present(letter, BOB, server=server)
    await delivered(desk, PATHS["another Message-ID"](letter))


@scenario
async def test_a_state_that_does_not_answer_makes_it_spent_and_nothing_later():
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    await desk.texts.flush()
    desk.text_book.is_down = True
    assert await again(desk, PATHS["another Message-ID"](letter)) == Due(0, Reason.SPENT)
    desk.text_book.is_down = False
    assert await again(desk, PATHS["another Message-ID"](letter)) == RESENT


@scenario
async def test_while_the_state_does_not_answer_the_worker_knows_its_own():
    desk = await a_desk()
    desk.text_book.is_down = True
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    await desk.texts.flush()
    assert await again(desk, PATHS["another Message-ID"](letter)) == RESENT
    desk.text_book.is_down = False
    await desk.texts.flush()
    assert len(desk.text_book.known) == 1


@scenario
async def test_what_waits_to_be_written_is_bounded(monkeypatch):
    monkeypatch.setattr(delivered_texts, "GATHERED_MAX", 2)
    desk = await a_desk()
    letters = [desk.stationery.stamped(LETTER, BOB) for _ in range(3)]
    for letter in letters:
        await delivered(desk, letter)
    await desk.texts.flush()
    assert [await again(desk, PATHS["another Message-ID"](one)) for one in letters] == [
        Due(0, Reason.SPENT), RESENT, RESENT
    ]  # fmt: skip


@scenario
async def test_of_two_stamps_for_one_recipient_the_good_one_pays():
    """A letter that is sent again with a new stamp beside the old one is to be delivered again."""
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    other = PATHS["another Message-ID"](letter)
    await delivered(desk, desk.stationery.stamp(LETTER, BOB).field() + other)
    assert await desk.balance() == (8, 0)


@scenario
async def test_one_who_has_had_it_refuses_it_whole_and_nothing_is_charged():
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    other = desk.stationery.stamp(LETTER, EVE).field() + PATHS["another Message-ID"](letter)
    answer, server = await desk.present(other, EVE, BOB)
    assert (answer, server.sent) == (Due(1, Reason.RESENT, delivered_at=NOW), [])
    assert await desk.balance() == (9, 0)
    assert [one.reason for one in desk.kept.letters[-1][0]] == [Reason.STAMPED_MODIFIED, Reason.RESENT], (
        "Bob's too: the copy that he has had may have been garbled"
    )


@scenario
async def test_in_mode_bulk_it_takes_a_place_of_the_allowance_like_any_letter_without_a_stamp():
    desk = await a_desk(mode=Mode.BULK, allowances=Allowances(1, 1))
    letter = desk.stationery.stamped(LETTER, BOB)
    await delivered(desk, letter)
    await delivered(desk, PATHS["another Message-ID"](letter))
    assert await again(desk, PATHS["another Date"](letter)) == RESENT


@scenario
async def test_while_the_first_copy_is_under_way_the_second_has_to_wait():
    desk = await a_desk()
    letter = desk.stationery.stamped(LETTER, BOB)
    server = MailServer(())
    server.gate = asyncio.Event()
    first = asyncio.create_task(desk.present(letter, BOB, server=server))
    await server.is_asked.wait()
    assert await again(desk, PATHS["another Message-ID"](letter)) == Later(Reason.IN_PROGRESS)
    server.gate.set()
    await first
    assert await again(desk, PATHS["another Message-ID"](letter)) == RESENT
