"""What real servers on a letter's way make of what was stamped: nothing that the stamp is bound to.

`stamp` and `send` spell addresses as these servers would, and add what they would add. Were it left to the servers, the
stamp would be for another letter. The servers are asked what they do with letters as they were written, too: else this
would say nothing.
"""

import os
import re
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from tests.support import chroots, real_postfix
from tests.support.at_once import parts_of, reason_of
from tests.support.mailserver import MailServer
from tests.support.real_exim import Exim
from tests.support.real_postfix import Postfix, free_port
from tests.support.real_sendmail import Sendmail
from tests.support.stationery import NOW, Stationery
from tests.support.strange_addresses import LEFT_ALONE, WRITTEN_ANEW

from pennyred.postage.address import canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import letter_hash
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.lineends import file_with_crlf
from pennyred.postage.reasons import Reason
from pennyred.sender.franking import completed, stamp_letter, without_blind
from pennyred.sender.travel.preparing import make_safe
from pennyred.sender.travel.serverlimits import told_limits

ANN, BOB = "ann@sender.example", "bob@example.org"
DESK = Stationery()
DATE, ID = "Date: Wed, 18 Nov 2026 10:00:00 +0000\r\n", "Message-ID: <1@sender.example>\r\n"
REST = f"{DATE}{ID}Subject: Tea\r\n\r\nShall we?\r\n"

LETTERS = {
    **{to: f"From: Ann <{ANN}>\r\nTo: {to}\r\n{REST}" for to in WRITTEN_ANEW},
    "no To": f"From: {ANN}\r\n{REST}",
    "nobody but Bcc": f"From: {ANN}\r\nBcc: {BOB}\r\n{REST}",
    "Apparently-To": f"From: {ANN}\r\nApparently-To: {BOB}\r\n{REST}",
    "Cc: root": f"From: {ANN}\r\nTo: {BOB}\r\nCc: root\r\n{REST}",
    "Reply-To: ann": f"From: {ANN}\r\nTo: {BOB}\r\nReply-To: ann\r\n{REST}",
    "Mail-Followup-To: ann": f"From: {ANN}\r\nTo: {BOB}\r\nMail-Followup-To: ann\r\n{REST}",
    "two To": f"From: {ANN}\r\nTo: {BOB}\r\nTo: carl@example.org,dora@example.org\r\n{REST}",
    "From: ann": f"From: ann\r\nTo: {BOB}\r\n{REST}",
    "From: Ann B.": f"From: Ann B. <{ANN}>\r\nTo: {BOB}\r\n{REST}",
    "no Date": f"From: {ANN}\r\nTo: {BOB}\r\n{ID}\r\nShall we?\r\n",
    "no Message-ID": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}\r\nShall we?\r\n",
    "an empty Date": f"From: {ANN}\r\nTo: {BOB}\r\nDate:\r\n{ID}\r\nShall we?\r\n",
    "an empty Message-ID": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}Message-ID: \r\n\r\nShall we?\r\n",
    "a line that is no field": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}{ID}Shall we?\r\n\r\nHave tea?\r\n",
    "a line of 995 octets": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}{ID}\r\n{'x' * 995}\r\n",
    "a field of 995 octets": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}{ID}Subject: {'x' * 986}\r\n\r\nShall we?\r\n",
    "no last boundary": f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}{ID}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b"
    "\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n",
    "a mailbox's line": f"From ann Wed Nov 18\r\n>From bob Wed Nov 18\r\nFrom: {ANN}\r\nTo: {BOB}\r\n{REST}",
}
"""Each is altered by a server at least, where it is sent as it stands."""
VOID = frozenset(
    (
        "root", "Root <root>, postmaster", "friends: bob, carl;", "Smith, Bob <bob@example.org>", "Bob @ home <bob@example.org>",
        "bob . b @ example . org", "<@relay.example:bob@example.org>", '"bob".x@example.org', '"x y"."z w"@b.example',
        "Cc: root", "Reply-To: ann", "Mail-Followup-To: ann", "From: ann", "no Date", "no Message-ID", "an empty Date",
        "an empty Message-ID", "a line that is no field", "a line of 995 octets", "a field of 995 octets", "no last boundary",
        "a mailbox's line",
    )
)  # fmt: skip
"""Those of which a stamp would see that they were altered; of the others only the spelling is."""

Carry = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def sendmail() -> Iterator[Carry]:
    """Through Debian's sendmail, as a relay."""
    if not chroots.is_available("sendmail"):
        pytest.skip(chroots.why_not("sendmail"))
    with MailServer() as end, Sendmail(end.port) as server:

        def carry(letter: bytes) -> bytes:
            end.forget()
            _submit(letter, server.port)
            end.until(lambda: bool(end.fake.letters))
            return end.letters[0].letter

        yield carry


@pytest.fixture(scope="module")
def postfix() -> Iterator[tuple[Carry, Carry]]:
    """Through Postfix as a machine of one's own has it, which completes what its neighbours send; by SMTP, and by its
    sendmail command.
    """
    if not real_postfix.is_available():
        pytest.skip(real_postfix.WHY_NOT)
    port = free_port()
    settings = {
        "myorigin": "relay.sender.example",
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "undisclosed_recipients_header": "To: undisclosed-recipients:;",
    }
    with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", settings) as server:

        def delivered() -> bytes:
            [letter] = server.wait_for_letters(1)
            server.forget()
            return letter.replace(b"\n", b"\r\n")

        def by_smtp(letter: bytes) -> bytes:
            _submit(letter, port)
            return delivered()

        def by_command(letter: bytes) -> bytes:
            command = ["/usr/sbin/sendmail", "-C", server.folder / "conf", "-i", "-f", ANN, BOB]
            environment = {**os.environ, "MAIL_CONFIG": str(server.folder / "conf")}
            subprocess.run(command, input=letter, check=True, timeout=60, env=environment)
            return delivered()

        yield by_smtp, by_command


@pytest.fixture(scope="module")
def exim() -> Iterator[Carry]:
    """Through Exim as Debian sets it up, which alters nothing and refuses addresses that are none."""
    if not chroots.is_available("exim-light"):
        pytest.skip(chroots.why_not("exim-light"))
    with Exim("gate-in-front-light.macros", "light") as server:

        def carry(letter: bytes) -> bytes:
            server.forget()
            _submit(letter, server.port)
            [delivered] = server.wait_for_letters(1)
            return delivered

        yield carry


@pytest.fixture(params=["sendmail", "Exim", "Postfix", "Postfix's sendmail command"])
def carry(request) -> Carry:
    """A letter's way through one server; what came out."""
    if request.param.startswith("Postfix"):
        return request.getfixturevalue("postfix")[request.param != "Postfix"]
    return request.getfixturevalue(request.param.lower())


def _submit(letter: bytes, port: int) -> None:
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        smtp.mail(ANN)
        assert smtp.rcpt(BOB)[0] == 250
        assert smtp.data(letter)[0] == 250


def stamped(letter: str) -> bytes:
    """As `stamp --to` makes it."""
    whole = settled(letter.encode())
    return stamp_letter(whole, [BOB], DESK.sender_key, DESK.licence(), now=NOW, random_bytes=os.urandom)


def settled(letter: bytes) -> bytes:
    safe = without_blind(make_safe(letter, eight_bit=False))
    return completed(safe, now=NOW, message_id="<2@sender.example>")


def known_as(letter: bytes) -> bytes:
    """By what the office knows the letter, less what only putting it into a mailbox adds, behind any gate."""
    on_its_way = re.sub(rb"(?m)^(?:Delivered-To|X-Original-To):[^\r\n]*\r?\n", b"", letter)
    return letter_hash(parts_of(file_with_crlf(on_its_way)), canonical_recipient(BOB))


def reason(letter: bytes) -> Reason:
    """What a gate says of the stamp of a letter that has arrived."""
    whole = file_with_crlf(letter)
    header, recipient = parse_header(split_letter(whole)[0]), canonical_recipient(BOB)
    [stamp] = find_candidates(header, [recipient])[0].stamps
    return reason_of(stamp, whole, [BOB], issuers=DESK.issuers, now=NOW)


@pytest.mark.parametrize("name", LETTERS)
def test_a_stamp_survives_servers_that_complete_and_respell(name, carry):
    """And it is the same letter to the office, by whatever way it comes."""
    letter = stamped(LETTERS[name])

    arrived = carry(letter)

    assert reason(arrived) is Reason.STAMPED
    assert known_as(arrived) == known_as(letter)


@pytest.mark.parametrize(
    "to", [*(f"To: {to}" for to in LEFT_ALONE), f"Cc: {BOB}\r\nTo:", f"To: {BOB}\r\nReply-To: {BOB}"]
)
def test_what_no_server_alters_is_left_alone(to, carry):
    letter = f"From: Ann <{ANN}>\r\n{to}\r\n{REST}"

    whole = stamped(letter)

    assert whole.endswith(letter.encode())
    assert reason(carry(whole)) is Reason.STAMPED


def test_a_blank_before_a_colon_is_taken_out_before_a_server_does(carry):
    whole = stamped(f"From: {ANN}\r\nTo : {BOB}\r\nX-Own\t: tea\r\n{REST}")

    assert b"\r\nTo: " in whole
    assert b"\r\nX-Own: " in whole
    assert reason(carry(whole)) is Reason.STAMPED


@pytest.mark.usefixtures("postfix")
@pytest.mark.parametrize("name", LETTERS)
def test_as_it_was_written_a_server_would_have_made_another_letter_of_it(name, sendmail, postfix):
    """So each of them is here for a reason."""
    written = LETTERS[name].encode()
    bare = stamp_letter(written, [BOB], DESK.sender_key, DESK.licence(), now=NOW, random_bytes=os.urandom)

    ways = [way(bare) for way in (sendmail, *postfix)]

    assert {known_as(way) for way in ways} != {known_as(bare)}
    assert ({reason(way) for way in ways} != {Reason.STAMPED}) is (name in VOID)


def test_a_letter_that_says_more_bits_than_it_has_is_not_encoded_anew():
    """Postfix goes by what it says, where the next server lacks 8BITMIME: the body would be another one."""
    if not real_postfix.is_available():
        pytest.skip(real_postfix.WHY_NOT)
    letter = f"From: {ANN}\r\nTo: {BOB}\r\nContent-Transfer-Encoding: 8bit\r\n{REST.replace('we?', '1 + 1 = 2')}"
    bare = stamp_letter(letter.encode(), [BOB], DESK.sender_key, DESK.licence(), now=NOW, random_bytes=os.urandom)
    port = free_port()
    with MailServer(keywords=("PIPELINING",)) as end:
        settings = {
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "virtual_mailbox_domains": "",
            "relayhost": f"[127.0.0.1]:{end.port}",
        }
        with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", settings):
            for sent in (stamped(letter), bare):
                _submit(sent, port)
            end.until(lambda: len(end.fake.letters) == 2)

    assert {reason(arrived.letter) for arrived in end.letters} == {Reason.STAMPED, Reason.ALTERED_BODY}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Postfix", "To: " + ",\r\n ".join(f'"Ann, Dr." <ann.{n}@dep.x.example>' for n in range(790))),
        ("Postfix", f"To: {BOB}\r\nSubject: " + "\r\n ".join(["x" * 70] * 1500)),
        ("sendmail", f"To: {BOB}\r\n" + "\r\n".join(f"X-{n}: {'x' * 900}" for n in range(40))),
    ],
)
def test_what_a_server_does_not_take_whole_is_told_its_sender(name, fields, request):
    way = request.getfixturevalue(name.lower())
    letter = stamped(f"From: {ANN}\r\n{fields}\r\n{DATE}{ID}\r\nShall we?\r\n")

    told = list(told_limits(letter))

    assert any(name in text for text in told)
    if name == "sendmail":
        with pytest.raises(AssertionError, match="552"):
            way(letter)
    else:
        assert reason(way[0](letter)) is not Reason.STAMPED


def test_a_files_name_that_sendmail_cuts_is_told_its_sender(sendmail):
    names = ";\r\n ".join(f"filename*{at}*={'%C3%BC' * 10}" for at in range(30))
    body = f"--b\r\nContent-Disposition: attachment;\r\n {names}\r\n\r\nShall we?\r\n--b--\r\n"
    mime = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    letter = stamped(f"From: {ANN}\r\nTo: {BOB}\r\n{DATE}{ID}{mime}\r\n{body}")

    assert any("Content-Disposition" in text for text in told_limits(letter))
    assert reason(sendmail(letter)) is Reason.ALTERED_BODY
