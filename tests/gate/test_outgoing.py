"""Outgoing mail goes on as it came, and teaches whom our users write to."""

import asyncio

import pytest
from tests.support.desk import Lines, MailServer
from tests.support.stationery import LETTER, NOW, ReceivedLetter

from pennyred.gate.letterbox import Envelope, Fate, Relay
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.outgoing import RECIPIENTS_LEARNED_MAX, OutgoingDesk
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

US = "ann@sender.example"
"""Who has written the letter of the tests' stationery."""


class Book:
    def __init__(self, trouble: Exception | None = None) -> None:
        self.noted: list[dict] = []
        self.trouble = trouble

    async def note(self, **what) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.noted.append(what)


def sent(*to: str, letter: bytes = LETTER, sender: str = US, fates=(), domains=("sender.example",), book=None):
    book, log = book or Book(), Lines()
    desk = OutgoingDesk(book, domains=domains, delimiter="+", clock=lambda: NOW, log=LetterLog(log))
    mailboxes = tuple(one.encode() for one in to or ("carl@friends.example",))
    server = MailServer(mailboxes, list(fates))
    envelope = Envelope(sender.encode(), mailboxes, "127.0.0.1", source_known=True)
    answer = asyncio.run(desk.take(ReceivedLetter(letter), envelope, server))
    return answer, server, book.noted, log.lines


def test_a_letter_goes_on_untouched_and_its_recipients_are_known():
    answer, server, noted, _ = sent("carl@friends.example", "Dora@Friends.example")
    assert isinstance(answer, Relay)
    [(indexes, fields, header)] = server.sent
    assert (list(indexes), fields, header) == ([0, 1], b"", ReceivedLetter(LETTER).header.raw)
    assert len(noted) == 1
    assert noted[0]["users"] == (US,)
    assert noted[0]["others"] == ("carl@friends.example", "dora@friends.example")
    assert noted[0]["day"] == NOW // 86_400
    assert len(noted[0]["message_ids"]) == 1


def test_only_who_was_accepted_is_learned():
    _, _, noted, _ = sent("a@x.example", "b@x.example", fates=[Fate.REFUSED_PERMANENT, Fate.ACCEPTED])
    assert noted[0]["others"] == ("b@x.example",)
    assert sent("a@x.example", fates=[Fate.REFUSED_TEMPORARY])[2] == []
    assert sent("a@x.example", fates=[Fate.IN_DOUBT])[2] == []


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: auto-replied",
        b"Precedence: bulk",
        b"Precedence: list",
        b"List-Id: <staff.example.org>",
        b"X-Auto-Response-Suppress: All",
        b"Resent-From: bob@example.org",
        b"Delivered-To: bob@example.org",
        b"Content-Type: multipart/report;\r\n report-type=disposition-notification",
        b"Content-Type: text/calendar; charset=utf-8; method=REPLY",
    ],
)
def test_what_no_person_has_sent_teaches_nothing(field):
    assert sent(letter=field + b"\r\n" + LETTER)[2] == []


def test_nor_do_bounces_and_strangers():
    assert sent(sender="")[2] == []
    assert (
        sent(sender="x@elsewhere.example", letter=LETTER.replace(b"ann@sender.example", b"x@elsewhere.example"))[2]
        == []
    )


def test_a_letter_that_somebody_elses_name_stands_over_teaches_nothing():
    """A redirection goes out under our sender, with a stranger's From and Message-ID."""
    assert sent(letter=LETTER.replace(b"ann@sender.example", b"x@elsewhere.example"))[2] == []
    assert sent(letter=LETTER.replace(b"ann@sender.example", b"eve@sender.example"))[2] == []


def test_without_domains_whoever_sends_this_way_is_ours():
    _, _, noted, _ = sent(domains=())
    assert noted[0]["users"] == (US,)


def test_who_writes_under_a_tag_is_answered_without_it():
    assert sent(sender="ann+shop@sender.example")[2][0]["users"] == (US,)


def test_nobody_knows_more_than_a_hundred_at_once():
    _, server, noted, _ = sent(*(f"u{number}@x.example" for number in range(300)))
    assert len(server.sent[0][0]) == 300
    assert len(noted[0]["others"]) == RECIPIENTS_LEARNED_MAX


@pytest.mark.parametrize("trouble", [Unavailable(Reason.INTERNAL, "the disk is full"), ValueError("a mistake")])
def test_what_goes_wrong_in_learning_keeps_no_letter(trouble):
    answer, _, _, lines = sent(book=Book(trouble))
    assert isinstance(answer, Relay)
    assert answer.delivered.fates == (Fate.ACCEPTED,)
    assert [line["event"] for line in lines] == ["correspondents.not_learned", "letter.outgoing"]


def test_nobody_needs_a_stamp_here():
    desk = OutgoingDesk(Book(), domains=(), delimiter="+", clock=lambda: NOW, log=LetterLog(Lines()))
    assert asyncio.run(desk.free_recipients(b"", "127.0.0.1", [b"x@y.example"])) is None


class TestAddressesToBounceTo:
    """What has left with an address that is made to be bounced to may come back to it; somebody's mailbox is none."""

    LIST = LETTER.replace(b"Ann <ann@sender.example>", b"Staff <staff@sender.example>")

    @pytest.mark.parametrize(
        "sender",
        [
            "staff-bounces+carl=friends.example@sender.example",
            "staff-bounces@sender.example",
            "ann+news@sender.example",
            "srs0=ab=cd=far.example=x@sender.example",
            "btv1==abc==ann@sender.example",
        ],
    )
    def test_they_are_noted_whoever_wrote_the_letter(self, sender):
        for letter in (self.LIST, b"List-Id: <staff.sender.example>\r\n" + self.LIST):
            [noted] = sent(letter=letter, sender=sender)[2]
            assert (noted["bounces_to"], noted["users"], noted["others"]) == (sender, (), ())

    @pytest.mark.parametrize(
        "sender", [US, "carl@sender.example", "bouncer@sender.example", "list-bounces@far.example", ""]
    )
    def test_others_are_not(self, sender):
        assert [one.get("bounces_to") for one in sent(letter=self.LIST, sender=sender)[2]] in ([], [None])

    def test_nor_is_what_the_next_server_has_not_taken(self):
        assert sent(letter=self.LIST, sender="staff-bounces@sender.example", fates=[Fate.REFUSED_PERMANENT])[2] == []

    def test_a_signed_return_path_is_its_owners_and_teaches_whom_he_writes_to(self):
        [noted] = sent(sender=f"prvs=0123abcdef={US}")[2]
        assert (noted["users"], noted["others"]) == ((US,), ("carl@friends.example",))
        assert noted["bounces_to"] == f"prvs=0123abcdef={US}"
