"""`stamp --to bob --to bob` and two RCPTs for Bob fit together, with real mail servers behind."""

import smtplib
from contextlib import closing

import pytest
from tests.support import chroots, real_postfix
from tests.support.program import run
from tests.support.real_dovecot import Dovecot
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, BOB, Town, letter


def hand_over(town: Town, octets: bytes, *to: str) -> tuple[int, bytes]:
    """As a client that sends to everybody it was told of, and dedupes nobody."""
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        assert smtp.mail(ANN)[0] == 250
        for one in to:
            assert smtp.rcpt(one)[0] == 250
        try:
            return smtp.data(octets)
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error  # type: ignore[return-value]


def story(town: Town, server) -> None:
    to = (BOB, "BOB@example.org", BOB)
    done = run("stamp", *(f"--to={one}" for one in to), home=town.home, stdin=letter())
    assert done.stdout.count(b"X-Postage-Stamp: ") == 1
    assert b"bob@example.org is named 3 times: one copy, one stamp" in done.stderr
    assert hand_over(town, done.stdout, *to)[0] == 250
    [delivered] = server.wait_for_letters(1)
    assert delivered.endswith(done.stdout.replace(b"\r\n", b"\n"))
    assert town.balance() == (1, 0)
    code, text = hand_over(town, done.stdout, *to)
    assert (code, b"(duplicate)" in text) == (250, True)
    code, text = hand_over(town, letter(), BOB, BOB)
    assert (code, b"(no-stamp)" in text) == (550, True)
    assert town.balance() == (1, 0)


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
def test_with_postfix(tmp_path):
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port)) as postfix:
        town = Town.found(tmp_path, port)
        with town.serve():
            town.fund(5)
            story(town, postfix)


@pytest.mark.skipif(not chroots.is_available("dovecot"), reason=chroots.why_not("dovecot"))
def test_with_dovecots_lmtp_which_answers_for_each(tmp_path):
    with Dovecot("gate-in-front.conf", "tcp") as dovecot:
        town = Town.found(tmp_path, dovecot.port, f'upstream = "{dovecot.url}"\nupstream_identity = "xclient"')
        with town.serve():
            town.fund(5)
            story(town, dovecot)
