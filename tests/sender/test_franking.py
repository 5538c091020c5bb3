"""Who gets a letter, in which copy, under which stamps."""

import email.utils
import os
import re

import pytest
from tests.support.at_once import reason_of, texts_of
from tests.support.stationery import LETTER, NOW, Stationery
from tests.support.strange_addresses import LEFT_ALONE, WRITTEN_ANEW

from pennyred.postage.address import canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.errors import MalformedAddress, MalformedLetter
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import parse_stamp
from pennyred.sender.franking import (
    RECIPIENTS_MAX,
    apart,
    completed,
    make_copies,
    recipients_of,
    stamp_letter,
    without_blind,
)
from pennyred.sender.travel.preparing import make_safe

DESK = Stationery()


def letter_to(to: str, *more: str) -> bytes:
    return "\r\n".join([f"To: {to}", *more, "From: ann@sender.example", "", "Hello", ""]).encode()


def frank(letter: bytes, *to: str, **options: int) -> bytes:
    return stamp_letter(letter, to, DESK.sender_key, DESK.licence(), now=NOW, random_bytes=os.urandom, **options)


def holds(letter: bytes, to: str) -> bool:
    header, recipient = parse_header(split_letter(letter)[0]), canonical_recipient(to)
    return any(
        reason_of(stamp, letter, [to], issuers=DESK.issuers, now=NOW) is Reason.STAMPED
        for stamp in find_candidates(header, [recipient])[0].stamps
    )


@pytest.mark.parametrize(
    ("to", "found"),
    [
        ("bob@example.org", ["bob@example.org"]),
        ('"Doe, Jo" <jo@b.example>, (x) b@c.example', ["jo@b.example", "b@c.example"]),
        ("Team: a@b.example, C <c@d.example>;", ["a@b.example", "c@d.example"]),
        ("undisclosed-recipients:;", []),
        ("Bob <bob@example.org>, BOB@Example.ORG", ["bob@example.org"]),
        ("=?utf-8?q?x=40y=2Ez=2C?= <c@d.example>", ["c@d.example"]),
        ("Jörg <j@exämple.org>", ["j@exämple.org"]),
        ("a@b.example,\r\n c@d.example", ["a@b.example", "c@d.example"]),
    ],
)
def test_recipients_are_read_from_to(to, found):
    assert list(recipients_of(letter_to(to)).visible) == found


@pytest.mark.parametrize(
    "to",
    ["bob", "Bob Smith", "a@b.example; c@d.example", "a@b.example c@d.example", "a@b.example, <", "\udcff@b.example"],
)
def test_a_field_that_can_be_read_in_part_only_is_refused(to):
    """Nobody wants a letter to go to some of those it is meant for."""
    letter = "\r\n".join([f"To: {to}", "", ""]).encode("utf-8", "surrogateescape")

    with pytest.raises(MalformedAddress):
        recipients_of(letter)


def test_cc_is_for_all_to_see_and_bcc_is_not():
    letter = letter_to("a@b.example", "Cc: c@d.example", "Bcc: e@f.example, A@B.example")

    found = recipients_of(letter)

    assert (found.visible, found.bcc) == (("a@b.example", "c@d.example"), ("e@f.example",))


def test_resent_bcc_is_bcc():
    found = recipients_of(letter_to("a@b.example", "Resent-Bcc: e@f.example"))

    assert (found.visible, found.bcc) == (("a@b.example",), ("e@f.example",))


@pytest.mark.parametrize(
    ("to", "found"),
    [
        ('"=?utf-8?q?J=C3=B6rg?=" <j@b.example>', "j@b.example"),
        ("=?utf-8?q?J=C3=B6?==?utf-8?q?rg?= <j@b.example>", "j@b.example"),
        ("=?utf-8?q?J=C3=B6rg?=<j@b.example>", "j@b.example"),
        ('"=?utf-8?q?J=C3=B6rg?="<j@b.example> (he)', "j@b.example"),
        ("Jo <.a@b.example>", ".a@b.example"),
        ("a..b@b.example", "a..b@b.example"),
        ("a.@b.example (docomo)", "a.@b.example"),
        ('"a b"@b.example', '"a b"@b.example'),
        ("Bob <bob@b.example.>", "bob@b.example."),
    ],
)
def test_whom_an_envelope_can_name_a_field_can(to, found):
    """The library refuses most of these."""
    assert list(recipients_of(letter_to(to)).visible) == [found]


def test_recipients_have_a_limit():
    many = ",\r\n ".join(f"a{number}@b.example" for number in range(RECIPIENTS_MAX + 1))

    with pytest.raises(MalformedAddress, match="more than 1000"):
        recipients_of(letter_to(many))


def test_a_mailbox_named_again_and_again_is_no_way_around_the_limit():
    with pytest.raises(MalformedAddress, match="more than 1000"):
        recipients_of(letter_to("a@b.example", *["To: a@b.example"] * RECIPIENTS_MAX))


def test_address_fields_have_a_limit_together():
    with pytest.raises(MalformedAddress, match="200,000 bytes"):
        recipients_of(letter_to("a@b.example", *["Cc: " + "," * 60_000] * 4))


def test_who_is_not_named_in_the_letter_is_blind():
    found = apart(["a@b.example", "c@d.example"], ["A@B.example", "x@y.example", "x@y.example"])

    assert (found.visible, found.bcc) == (("A@B.example",), ("x@y.example",))


def test_one_copy_for_each_domain_and_one_for_each_blind_recipient():
    letter = letter_to(
        "a@b.example, c@D.example, e@B.example", "Bcc: x@b.example, y@d.example", "Resent-Bcc: z@b.example"
    )
    found = recipients_of(letter)

    copies = make_copies(letter, found.visible, found.bcc)

    assert [copy.recipients for copy in copies] == [
        ("a@b.example", "e@B.example"),
        ("c@D.example",),
        ("x@b.example",),
        ("y@d.example",),
        ("z@b.example",),
    ]
    assert all(b"cc:" not in copy.letter for copy in copies)


def test_who_is_named_both_ways_is_paid_for_once():
    copies = make_copies(LETTER, ["a@b.example"], ["A@B.example", "x@y.example"])

    assert [copy.recipients for copy in copies] == [("a@b.example",), ("x@y.example",)]


def test_a_copy_holds_the_stamps_of_its_own_recipients_only():
    letter = letter_to("a@b.example, c@d.example", "Bcc: x@b.example")
    found = recipients_of(letter)
    everybody = [*found.visible, *found.bcc]

    for copy in make_copies(letter, found.visible, found.bcc):
        stamped = frank(copy.letter, *copy.recipients)

        assert [one for one in everybody if holds(stamped, one)] == list(copy.recipients)


def test_stamps_stand_above_everything_and_the_letter_stays():
    letter = b"DKIM-Signature: v=1; x\r\n" + LETTER

    stamped = frank(letter, "bob@example.org", "Bob@example.ORG", "carol@example.org")

    assert stamped.endswith(letter)
    assert stamped.removesuffix(letter).count(b"X-Postage-Stamp:") == 2
    assert holds(stamped, "bob@example.org")
    assert holds(stamped, "carol@example.org")


def test_a_stamp_lives_fourteen_days_and_is_worth_one_cent_unless_said_otherwise():
    def first(letter: bytes):
        return parse_stamp(parse_header(split_letter(letter)[0]).fields[0].value)

    usual, other = (
        first(frank(LETTER, "a@b.example")),
        first(frank(LETTER, "a@b.example", price=3, lifetime_seconds=60)),
    )

    assert (usual.price, usual.expires_at - usual.issued_at) == (1, 14 * 86_400)
    assert (other.price, other.expires_at - other.issued_at) == (3, 60)


def test_a_letter_without_from_gets_no_stamp():
    with pytest.raises(MalformedLetter, match="exactly one From"):
        frank(b"To: a@b.example\r\n\r\nHello\r\n", "a@b.example")


def test_date_and_message_id_are_added_where_they_are_missing():
    done = completed(letter_to("a@b.example"), now=NOW, message_id="<1@x>")

    header = parse_header(split_letter(done)[0])
    assert header.named(b"message-id")[0].value == b" <1@x>"
    assert email.utils.parsedate_to_datetime(header.named(b"date")[0].value.decode()).timestamp() == NOW


def test_a_complete_letter_stays_as_it_is():
    assert completed(LETTER, now=NOW, message_id="<2@x>") == LETTER


@pytest.mark.parametrize("name", [b"Date", b"Message-ID"])
def test_an_empty_one_is_missing(name):
    """Servers put their own in its place."""
    letter = re.sub(rb"(?m)^%s:.*\r$" % name, name + b": \r", LETTER)

    done = parse_header(split_letter(completed(letter, now=NOW, message_id="<2@x>"))[0])

    assert [bool(field.value.strip()) for field in done.named(name.lower())] == [True]


@pytest.mark.parametrize("name", [b"Date", b"Message-ID"])
def test_an_empty_one_beside_a_full_one_goes_as_servers_take_it_away(name):
    assert completed(name + b":\r\n" + LETTER, now=NOW, message_id="<2@x>") == LETTER


@pytest.mark.parametrize(
    ("fields", "has_one"),
    [
        ("", True),
        ("Bcc: a@b.example\r\n", True),
        ("Apparently-To: a@b.example\r\n", True),
        ("Cc: a@b.example\r\n", False),
        ("To: undisclosed-recipients:;\r\n", False),
    ],
)
def test_a_letter_to_nobody_in_sight_says_so(fields, has_one):
    """Postfix once did, and does where it is told to; others do in their own words."""
    letter = f"From: ann@sender.example\r\n{fields}\r\nHello\r\n".encode()

    done = completed(letter, now=NOW, message_id="<1@x>")

    assert (b"To: undisclosed-recipients:;\r\nFrom:" in done) == has_one
    assert completed(done, now=NOW, message_id="<2@x>") == done


def test_an_address_without_a_domain_gets_the_senders_and_that_is_said():
    said = []

    done = completed(
        letter_to("root", "Cc: postmaster"), now=NOW, message_id="<1@x>", domain="s.example", say=said.append
    )

    assert b"To: root@s.example\r\nCc: postmaster@s.example\r\n" in done
    assert len(said) == 2


@pytest.mark.parametrize(
    "seal",
    [b"DKIM-Signature: v=1; d=x.example; b=x\r\n", b"DKIM-Signature: no list\r\n", b"X-Postage-Stamp: v=1\r\n"],
)
def test_a_header_that_is_stamped_or_signed_as_a_whole_is_spelt_as_it_is(seal):
    """Whoever signed it has had the last word; and another spelling would be another letter to the office."""
    letter = seal + letter_to("root,a@b.example", "Date:", "Cc: a@b.example", "Cc: c@d.example")

    assert completed(letter, now=NOW, message_id="<1@x>") == letter


@pytest.mark.parametrize("name", [b"DKIM-Signature", b"ARC-Message-Signature", b"DomainKey-Signature"])
@pytest.mark.parametrize("signed", [b"to", b"cc", b"from", b"reply-to", b"date", b"message-id"])
def test_of_a_signed_header_what_no_signature_covers_gets_the_spelling_that_servers_leave(name, signed):
    written = {
        b"to": b"To: a,b@c.example\r\n",
        b"cc": b"Cc: d\r\nCc: e\r\n",
        b"from": b"From: ann\r\n",
        b"reply-to": b"Reply-To: f\r\n",
        b"date": b"Date:\r\n",
        b"message-id": b"Message-ID:\r\n",
    }
    settled = {
        b"to": b"To: a@s.example, b@c.example\r\n",
        b"cc": b"Cc: d@s.example, e@s.example\r\n",
        b"from": b"From: ann@s.example\r\n",
        b"reply-to": b"Reply-To: f@s.example\r\n",
        b"date": b"",
        b"message-id": b"",
    }
    seal = name + b": v=1; d=x.example; h=Subject:\r\n\t%s : received; b=x\r\n" % signed.title()

    done = completed(seal + b"".join(written.values()) + b"\r\nHi\r\n", now=NOW, message_id="<1@x>", domain="s.example")

    date, identifier = b"Date: Wed, 18 Nov 2026 11:06:40 +0000\r\n", b"Message-ID: <1@x>\r\n"
    added = (b"" if signed == b"date" else date) + (b"" if signed == b"message-id" else identifier)
    rest = b"".join(written[key] if key == signed else settled[key] for key in written)
    assert done == added + seal + rest + b"\r\nHi\r\n"


def test_no_to_is_added_where_a_signature_says_that_there_is_none():
    seal = b"DKIM-Signature: v=1; d=x.example; h=from:to; b=x\r\n"
    letter = seal + b"From: ann@sender.example\r\n\r\nHi\r\n"

    assert b"undisclosed" not in completed(letter, now=NOW, message_id="<1@x>")
    assert b"undisclosed" in completed(letter.replace(b":to", b""), now=NOW, message_id="<1@x>")


def test_several_to_become_one_where_the_first_stands():
    letter = b"To: a@b.example\r\nX: y\r\nTo:\r\nTo: Crew: c@d.example;\r\nTo: e@f.example\r\n\r\nHi\r\n"

    done = completed(letter, now=NOW, message_id="<1@x>")

    assert done.endswith(b"To: a@b.example, Crew: c@d.example;, e@f.example\r\nX: y\r\n\r\nHi\r\n")


@pytest.mark.parametrize("other", ["nobody at all", '"never closed', "<", "a(b", "\\"])
def test_fields_stay_apart_where_one_is_none_of_addresses(other):
    said = []
    letter = letter_to("a@b.example", f"To: {other}", "To: c,d@e.example")

    done = completed(letter, now=NOW, message_id="<1@x>", domain="s.example", say=said.append)

    assert done.endswith(letter)
    assert len(said) == 1


@pytest.mark.parametrize("count", [100, 1400, 6000])
def test_one_field_is_read_as_several_are_however_many_they_name(count):
    some = [f"Cc: {', '.join(f'a{number}@b{place}.example' for number in range(count))}" for place in range(3)]
    letter = letter_to("a@b.example", *some)

    done = completed(letter, now=NOW, message_id="<1@x>")

    read = texts_of(parse_header(split_letter(letter)[0]))[2]
    assert done.count(b"\r\nCc:") == 1
    assert read.startswith(b"\0") is (count > 100 * 10)
    assert texts_of(parse_header(split_letter(done)[0]))[2] == read or read.startswith(b"\0")


@pytest.mark.parametrize("to", [*WRITTEN_ANEW, *LEFT_ALONE])
def test_the_spelling_that_servers_leave_names_the_same_people(to):
    for name in ("From", "To", "Reply-To", "Mail-Followup-To"):
        letter = f"{name}: {to}\r\n\r\nHi\r\n".encode()
        try:
            before = set(recipients_of(letter.replace(name.encode(), b"To", 1)).visible)
        except MalformedAddress:
            continue  # among them are addresses without a domain

        done = completed(letter, now=NOW, message_id="<1@x>", domain="s.example")

        section = b"".join(one.raw for one in parse_header(split_letter(done)[0]).named(name.lower().encode()))
        after = set(recipients_of(section.replace(name.encode(), b"To", 1) + b"\r\n").visible)
        assert {canonical_recipient(one) for one in after} == {canonical_recipient(one) for one in before}
        assert completed(done, now=NOW, message_id="<2@x>", domain="s.example") == done


SIGNED = (
    b'Content-Type: multipart/signed; boundary=b; micalg=sha-256;\r\n protocol="application/%s-signature"\r\n\r\n'
    b"--b\r\nContent-Type: message/rfc822; hp=clear\r\n\r\nTo: root,a@b.example\r\nFrom: ann\r\n\r\nHi \r\n--b\r\n"
    b"Content-Type: application/%s-signature\r\n\r\nAAAA\r\n--b--\r\n"
)


@pytest.mark.parametrize("kind", [b"pkcs7", b"pgp"])
def test_parts_that_are_signed_stay_to_the_last_octet_and_cover_no_header(kind):
    """Neither S/MIME nor PGP signs the letter's own fields; a copy of them inside is the signer's (RFC 9788)."""
    signed = SIGNED % (kind, kind)
    letter = make_safe(letter_to("root,a@b.example").split(b"\r\n\r\n")[0] + b"\r\n" + signed, eight_bit=False)

    done = completed(letter, now=NOW, message_id="<1@x>", domain="s.example")

    assert done.endswith(signed.partition(b"\r\n\r\n")[2])
    assert b"\r\nTo: root@s.example, a@b.example\r\n" in done


def test_nobody_who_gets_a_copy_learns_of_the_blind():
    letter = letter_to("a@b.example", "Bcc: x@b.example", "RESENT-BCC : z@b.example")

    assert without_blind(letter) == letter_to("a@b.example")
