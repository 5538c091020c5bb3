"""Refused letters delivered after all: as they came, from whom they came, and never lost."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, KEEP_AND_CLOSE, FakeUpstream
from tests.support.kept import BOB, ORIGIN, copy, keep, quarantine, whole
from tests.support.smtp_gate import Notes
from tests.support.stationery import LETTER, NOW

from pennyred.config import GateSettings
from pennyred.gate.letterbox import Fate
from pennyred.gate.memory.permits import Kind
from pennyred.gate.memory.store import GateState
from pennyred.gate.quarantine.folder import UnknownLetter
from pennyred.gate.quarantine.keptletter import Origin
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.programs.release import Releaser, approver, open_permits


def released(folder, server, *, approve=None, is_keeping=False, change=None, **settings):
    """Release all there is; what came of each."""

    async def story():
        kept = quarantine(folder)
        async with server:
            gate = GateSettings(**{"upstream": (server.url,), "hostname": "gate.example.org", **settings})
            async with Releaser(gate, kept, approve=approve, is_keeping=is_keeping, log=Notes()) as releaser:
                letters = kept.listed()
                if change is not None:
                    change(kept, letters)
                return [await releaser.release(letter) for letter in letters]

    return asyncio.run(story())


def taken(upstream):
    """The one letter that arrived, less the field that says it was released."""
    [one] = upstream.letters
    field, end, letter = one.letter.partition(b"\r\n")
    assert field.startswith(b"X-Postage-Released: ")
    assert end
    return one, letter


LETTERS = [
    LETTER,
    LETTER + b".\r\n..\r\n. dots\r\n" + b"x" * 700_000 + b"\r\n",
    b"X-Postage-Refused: v=1; reason=bulk\r\nDelivered-To: eve@example.org\r\nReturn-Path: <eve@e.example>\r\n"
    + LETTER,
    b"Subject: \xc3\xa9\r\n\r\n\xff\xfe\r\n",
]


@pytest.mark.parametrize("letter", LETTERS, ids=range(len(LETTERS)))
def test_it_arrives_as_it_came_and_the_copy_is_gone(tmp_path, letter):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    keep(kept, letter=letter)

    [one] = released(tmp_path, upstream)

    assert (one.fate, one.is_kept, one.trouble) == (Fate.ACCEPTED, False, "")
    assert one.said.startswith("250 2.0.0 Ok")
    assert taken(upstream)[1] == letter
    assert kept.listed() == []


def test_what_a_letter_begins_with_does_not_continue_our_field(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    keep(kept, letter=b" folded\r\n\r\nx\r\n")
    released(tmp_path, upstream)
    assert taken(upstream)[1] == b"\r\n folded\r\n\r\nx\r\n"


def test_envelope_and_client_are_those_it_came_with(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    keep(kept, copy(1, b'"odd name"@Example.org'))

    released(tmp_path, upstream)

    one, _ = taken(upstream)
    assert one.mail == b"MAIL FROM:<ann@sender.example> SIZE=%d\r\n" % len(LETTER)
    assert one.recipients == [b'RCPT TO:<"odd name"@Example.org>\r\n']
    [told] = [line for line in upstream.commands if line.startswith(b"XCLIENT")]
    assert b"NAME=mail.sender.example" in told
    assert b"HELO=mail.sender.example" in told
    assert told.rstrip().endswith(b"ADDR=198.51.100.7")
    assert b"EHLO mail.sender.example\r\n" in upstream.commands


def test_a_bounce_goes_as_one_and_eight_bits_are_announced(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    keep(kept, copy(1, "jürgen@example.org".encode()), letter=LETTERS[3], origin=Origin(b"", "2001:db8::7", 1))
    released(tmp_path, upstream)
    assert taken(upstream)[0].mail == b"MAIL FROM:<> SIZE=%d BODY=8BITMIME SMTPUTF8\r\n" % len(LETTERS[3])
    assert any(line.rstrip().endswith(b"ADDR=IPV6:2001:db8::7") for line in upstream.commands)


def test_what_is_not_offered_is_not_said(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream(keywords=("XCLIENT ADDR",))
    keep(kept, letter=LETTERS[3])
    released(tmp_path, upstream)
    assert taken(upstream)[0].mail == b"MAIL FROM:<ann@sender.example>\r\n"


def test_lmtp_does_as_well(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream(is_lmtp=True)
    keep(kept)
    [one] = released(tmp_path, upstream)
    assert one.fate is Fate.ACCEPTED
    assert taken(upstream)[1] == LETTER


def test_who_cannot_be_told_of_the_client_reads_it_in_a_received_field(tmp_path):
    kept, upstream = quarantine(tmp_path), FakeUpstream(keywords=())
    keep(kept)
    released(tmp_path, upstream, upstream_identity="none")
    _, letter = taken(upstream)
    assert letter.startswith(b"Received: from mail.sender.example (mail.sender.example [198.51.100.7])\r\n")
    assert letter.endswith(LETTER)


@pytest.mark.parametrize(
    ("verb", "answer", "fate"),
    [
        (b"MAIL", b"550 5.1.8 no\r\n", Fate.REFUSED_PERMANENT),
        (b"RCPT", b"550 5.1.1 no such user\r\n", Fate.REFUSED_PERMANENT),
        (b"RCPT", b"450 4.2.1 full\r\n", Fate.REFUSED_TEMPORARY),
        (b"DATA", b"554 5.7.1 no\r\n", Fate.REFUSED_PERMANENT),
        (b"DATA", b"451 4.3.0 later\r\n", Fate.REFUSED_TEMPORARY),
        (b".", b"554 5.7.1 spam\r\n", Fate.REFUSED_PERMANENT),
        (b".", b"452 4.3.1 full\r\n", Fate.REFUSED_TEMPORARY),
        (b".", CLOSE, Fate.IN_DOUBT),
        (b".", KEEP_AND_CLOSE, Fate.IN_DOUBT),
        (b"XCLIENT", b"550 5.7.0 not you\r\n", Fate.NOT_SENT),
        (b"220", b"554 no\r\n", Fate.NOT_SENT),
    ],
)
def test_without_a_yes_the_copy_stays_and_nobody_is_approved(tmp_path, verb, answer, fate):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    upstream.answers[verb].extend([answer] * 3)
    keep(kept)

    async def approve(*_):
        raise AssertionError

    [one] = released(tmp_path, upstream, approve=approve)

    assert (one.fate, one.is_kept) == (fate, True)
    assert one.said
    if isinstance(answer, bytes) and fate is not Fate.NOT_SENT:
        assert one.said == answer.decode().rstrip()
    [letter] = kept.listed()
    assert whole(kept, letter) == LETTER


def test_a_mail_server_that_is_not_there_leaves_all_as_it_was(tmp_path):
    keep(quarantine(tmp_path / "q"))
    nowhere = f"lmtp+unix://{tmp_path / 'nobody'}"
    [one] = released(tmp_path / "q", FakeUpstream(), upstream=(nowhere,))
    assert (one.fate, one.is_kept) == (Fate.NOT_SENT, True)
    assert one.said


def test_a_crash_between_the_yes_and_the_removal_may_deliver_twice_and_loses_nothing(tmp_path, monkeypatch):
    kept, upstream = quarantine(tmp_path), FakeUpstream()
    keep(kept)

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("pennyred.gate.quarantine.folder.Quarantine.remove", die)
        with pytest.raises(Killed):
            released(tmp_path, upstream)
    assert len(upstream.letters) == 1
    assert len(kept.listed()) == 1

    [one] = released(tmp_path, again := FakeUpstream())
    assert one.fate is Fate.ACCEPTED
    assert taken(again)[1] == LETTER
    assert kept.listed() == []


def test_a_copy_may_be_kept(tmp_path):
    kept = quarantine(tmp_path)
    keep(kept)
    [one] = released(tmp_path, FakeUpstream(), is_keeping=True)
    assert (one.fate, one.is_kept) == (Fate.ACCEPTED, True)
    assert len(kept.listed()) == 1


def test_a_copy_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "no")

    keep(quarantine(tmp_path))
    monkeypatch.setattr("pennyred.gate.quarantine.folder.Quarantine.remove", fail)
    [one] = released(tmp_path, FakeUpstream())
    assert (one.fate, one.is_kept) == (Fate.ACCEPTED, True)
    assert "could not be removed" in one.trouble


def test_the_sender_is_approved_by_what_was_proven_then(tmp_path):
    permits = []

    class Book:
        async def add(self, user, kind, name, proof, *, expires_day):
            permits.append((user, kind, name, proof, expires_day))

    keep(quarantine(tmp_path), origin=ORIGIN)
    [one] = released(tmp_path, FakeUpstream(), approve=approver(Book()))
    assert permits == [(BOB.decode(), "address", "ann@sender.example", "", None)]
    assert "ann@sender.example may write to bob@example.org" in one.approved


def test_a_book_that_does_not_answer_is_told_and_the_letter_not_sent_again(tmp_path):
    async def approve(*_):
        raise Unavailable(Reason.INTERNAL, "the disk is full")

    kept = quarantine(tmp_path)
    keep(kept)
    [one] = released(tmp_path, FakeUpstream(), approve=approve)
    assert (one.fate, one.is_kept) == (Fate.ACCEPTED, False)
    assert "could not be approved: the disk is full" in one.trouble


def test_what_is_approved_stands_in_the_gates_state(tmp_path):
    gate = GateSettings(state=tmp_path / "gate.db")

    async def story():
        async with open_permits(gate) as book:
            await book.add("bob+news@example.org", "address", "ann@sender.example", "", expires_day=None)
        state = GateState.open(gate.state, now=NOW)
        [permit] = await state.permits.listed(day=0)
        await state.close()
        return permit

    permit = asyncio.run(story())
    assert (permit.user, permit.kind, permit.name) == ("bob@example.org", Kind.ADDRESS, "ann@sender.example")


def test_a_letter_that_has_gone_meanwhile_is_said(tmp_path):
    keep(quarantine(tmp_path))
    with pytest.raises(UnknownLetter):
        released(tmp_path, FakeUpstream(), change=lambda kept, letters: kept.remove(letters[0]))


@pytest.mark.parametrize(
    ("sender", "recipient", "source"),
    [
        (b"a@x.example>\r\nRCPT TO:<eve@example.org", BOB, "198.51.100.7"),
        (b"ann@sender.example", b"bob@example.org> NOTIFY=NEVER <x", "198.51.100.7"),
        (b"ann@sender.example", b"", "198.51.100.7"),
        (b"ann@sender.example", BOB, "nowhere\r\n"),
        (b"ann@sender.example", BOB, ""),
    ],
)
def test_an_envelope_that_is_none_is_not_said_to_a_mail_server(tmp_path, sender, recipient, source):
    keep(quarantine(tmp_path), copy(1, recipient), origin=Origin(sender, source, 1))
    with pytest.raises(Malformed):
        released(tmp_path, upstream := FakeUpstream())
    assert not [line for line in upstream.commands if line.startswith((b"MAIL", b"RCPT"))]


def test_a_greeting_that_is_no_line_is_not_said(tmp_path):
    keep(quarantine(tmp_path), origin=Origin(b"", "198.51.100.7", 1, helo="x\r\nMAIL FROM:<evil@e.example>"))
    [one] = released(tmp_path, upstream := FakeUpstream())
    assert one.fate is Fate.ACCEPTED
    assert not [line for line in upstream.commands if b"evil" in line]
