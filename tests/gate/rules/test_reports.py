"""What comes from `<>`: what looks like a report or an automatic answer, and which letters of ours it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.reports import BEGINNING_BYTES, REPORTED_MAX, RETURNED_MAX, looks_automatic, read_report
from pennyred.postage.letter import parse_header, split_letter

PERSON = "From: Dave <dave@shop.example>\r\nTo: bob@example.org\r\nSubject: Offer\r\n"
DAEMON = "From: MAILER-DAEMON@mx.example\r\nTo: bob@example.org\r\nSubject: failure notice\r\n"


def header_of(text: str):
    return parse_header(text.encode())


AUTOMATIC = {
    "Postfix, sendmail, Exchange, Exim: a report": PERSON
    + 'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="x"\r\n',
    "a read receipt": PERSON + "content-type: Multipart/Report; report-type=disposition-notification\r\n",
    "qmail": DAEMON,
    "Exim of old": PERSON.replace("dave@shop", "Mailer-Daemon@shop") + "X-Failed-Recipients: dan@x.example\r\n",
    "sendmail of old, by postmaster": PERSON.replace("dave@", "postmaster@"),
    "RFC 3834": PERSON + "Auto-Submitted: auto-replied (vacation)\r\n",
    "a notice": PERSON + "Auto-Submitted: auto-generated; owner-email=x\r\n",
    "Exchange out of office": PERSON + "X-Auto-Response-Suppress: All\r\n",
    "vacation(1)": PERSON + "Precedence: bulk\r\n",
    "an autoresponder": PERSON + "X-Autoreply: yes\r\n",
    "Precedence of old": PERSON + "Precedence: Auto_Reply\r\n",
}
ORDINARY = {
    "somebody's letter": PERSON,
    "not automatic": PERSON + "Auto-Submitted: no\r\n",
    "empty fields": PERSON + "Auto-Submitted: \r\nPrecedence:\r\nContent-Type:\r\n",
    "another multipart": PERSON + "Content-Type: multipart/reporting; boundary=x\r\n",
    "a list's": PERSON + "Precedence: list\r\nList-Id: <x.example>\r\n",
    "no author": "Subject: x\r\n",
    "a name only": PERSON.replace("Dave <", "MAILER-DAEMON <"),
    "two authors": PERSON + "From: MAILER-DAEMON@x.example\r\n",
    "a daemon's neighbour": PERSON.replace("dave@", "mailer-daemon-x@"),
}


@pytest.mark.parametrize("text", AUTOMATIC.values(), ids=AUTOMATIC)
def test_looks_like_what_comes_from_nobody(text):
    assert looks_automatic(header_of(text))


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_letter_looks_like_none(text):
    assert not looks_automatic(header_of(text))


QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<dan@x.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <bob@example.org>
From: Bob <bob@example.org>
Message-ID: <ours@example.org>
Subject: Tea

Hello
"""
REPORT = """--x
Content-Type: text/plain

I could not deliver it.

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Original-Recipient: rfc822;Dan+tea@X.example
Final-Recipient: RFC822; dan@x.example
Action: failed

--x
Content-Type: text/rfc822-headers

From: Bob <bob@example.org>
Message-Id:
 <ours@example.org>
--x--
"""


@pytest.mark.parametrize(
    "text",
    [
        QMAIL,
        REPORT,
        "Original-Message-ID: <ours@example.org>\n",
        "> Message-ID: <ours@example.org>\n",
        "Original message headers:\n\nMESSAGE-ID : <ours@example.org>\n",
        "Message-ID: <ou=\nrs@exam=70le.org>\n",
    ],
    ids=["qmail", "a report", "a read receipt", "quoted", "Exchange", "quoted-printable"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_letter_it_is_about_is_named(text, end):
    assert b"ours@example.org" in read_report(text.replace("\n", end).encode()).letters


def test_whom_the_letter_was_for_is_named():
    named = read_report(REPORT.encode())
    assert [one.canonical for one in named.recipients] == ["dan+tea@x.example", "dan@x.example"]


@pytest.mark.parametrize(
    "text",
    [
        "See Message-ID: <ours@example.org>\n",
        "Message-ID: ours@example.org\n",
        "Message-ID: <>\nMessage-ID: <a b@example.org>\n",
        "Final-Recipient: x400; dan@x.example\nFinal-Recipient: rfc822; nobody\nFinal-Recipient: rfc822;\n",
    ],
)
def test_what_is_no_field_names_nothing(text):
    named = read_report(text.encode())
    assert (named.letters, named.recipients) == ((), ())


def test_only_so_much_is_read_and_named():
    many = b"".join(
        b"Message-ID: <%d@example.org>\nFinal-Recipient: rfc822; r%d@x.example\n" % (n, n) for n in range(99)
    )
    named = read_report(many)
    assert (len(named.letters), len(named.recipients)) == (RETURNED_MAX, REPORTED_MAX)
    late = b"x" * BEGINNING_BYTES + b"\nMessage-ID: <ours@example.org>\n"
    assert read_report(late).letters == ()


@given(st.binary(max_size=300), st.sampled_from([b"", b"Message-ID: <", b"=3D=\r\n", b"Final-Recipient: rfc822; "]))
def test_whatever_stands_there_is_read(octets, first):
    named = read_report(first + octets)
    assert len(named.letters) <= RETURNED_MAX
    section, _ = split_letter(first + octets)
    looks_automatic(parse_header(section))
