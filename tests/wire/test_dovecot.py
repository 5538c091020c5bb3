"""Dovecot's LMTP behind the gate answers for each recipient, and its answers differ."""

import smtplib
import time
from contextlib import closing

import pytest
from tests.support import chroots
from tests.support.real_dovecot import Dovecot
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not chroots.is_available("dovecot"), reason=chroots.why_not("dovecot"))

CAROL = "carol@example.org"
"""Has room for 20,000 bytes."""
DORA = "dora@example.org"
"""Has room for one letter."""


def long_letter() -> bytes:
    return letter() + b"Tea, and more of it.\r\n" * 1500


@pytest.fixture(scope="module", params=["tcp", "unix"])
def started(request, tmp_path_factory):
    with Dovecot("gate-in-front.conf", request.param) as dovecot:
        identity = "xclient" if request.param == "tcp" else "none"
        settings = f'upstream = "{dovecot.url}"\nupstream_identity = "{identity}"'
        town = Town.found(tmp_path_factory.mktemp("town"), dovecot.port, settings)
        with town.serve():
            town.fund(100)
            yield town, dovecot


@pytest.fixture
def behind(started):
    started[1].forget()
    return started


def test_each_of_two_recipients_gets_it_and_each_is_paid_for(behind):
    town, dovecot = behind
    spent = town.balance()[0]
    assert town.send(town.stamped(letter(), BOB, CAROL), BOB, CAROL)[0] == 250
    assert len(dovecot.letters("bob")) == len(dovecot.letters("carol")) == 1
    assert town.balance() == (spent + 2, 0)


def test_who_has_no_room_costs_nothing_and_the_sender_is_told_who_got_it(behind):
    """SMTP has one answer for the letter: it must be a refusal, or Carol's would be lost without a word."""
    town, dovecot = behind
    spent = town.balance()[0]
    code, text = town.send(town.stamped(long_letter(), BOB, CAROL), BOB, CAROL)
    assert code == 550
    assert "Quota exceeded" in text
    assert CAROL in text
    assert BOB in text
    assert (len(dovecot.letters("bob")), len(dovecot.letters("carol"))) == (1, 0)
    assert town.balance() == (spent + 1, 0)


def test_a_full_mailbox_is_refused_before_the_letter_and_the_other_recipient_gets_it(behind):
    town, dovecot = behind
    assert town.send(town.stamped(letter(), DORA), DORA)[0] == 250
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port)) as smtp:
        smtp.ehlo("client.example")
        smtp.mail(ANN)
        assert smtp.rcpt(BOB)[0] == 250
        assert smtp.rcpt(DORA) == (552, b"5.2.2 <dora@example.org> Quota exceeded (mailbox for user is full)")
        assert smtp.data(town.stamped(letter(), BOB, DORA))[0] == 250
    assert len(dovecot.letters("bob")) == len(dovecot.letters("dora")) == 1


def test_where_one_recipient_has_to_wait_the_retry_reaches_only_that_one(tmp_path):
    with Dovecot("gate-in-front.conf", "tcp", "quota_full_tempfail = yes\n") as dovecot:
        town = Town.found(tmp_path, dovecot.port, f'upstream = "{dovecot.url}"')
        with town.serve():
            town.fund(100)
            stamped = town.stamped(long_letter(), BOB, CAROL)
            code, _ = town.send(stamped, BOB, CAROL)
            assert 400 <= code < 500
            assert (len(dovecot.letters("bob")), len(dovecot.letters("carol"))) == (1, 0)
            assert town.balance() == (1, 0)
            dovecot.give_room()
            deadline = time.monotonic() + 20
            while town.send(stamped, BOB, CAROL)[0] != 250:  # Dovecot looks at its users' file once a second or so
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert len(dovecot.letters("bob")) == len(dovecot.letters("carol")) == 1
            assert town.balance() == (2, 0)
