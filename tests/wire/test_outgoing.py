"""The listener for outgoing mail, spoken with over sockets."""

import smtplib
from contextlib import closing, contextmanager

import pytest
from tests.support.real_postfix import free_port

ANN, CARL = "ann@example.org", "carl@friends.example"
LETTER = (
    b"From: Ann <ann@example.org>\r\nTo: Carl <carl@friends.example>\r\nSubject: Hello\r\n"
    b"Message-ID: <1@example.org>\r\nAuthentication-Results: mx.example.org; x-postage=pass\r\n"
    b"X-Postage-Pass: v=1; d=1; m=x\r\n\r\nHow are you?\r\n.one dot\r\n"
)


@pytest.fixture
def going_out(found_town, mail_server):
    """A town with the listener; what is given are more lines of its settings."""

    @contextmanager
    def at(lines: str = ""):
        port = free_port()
        town = found_town(
            f'upstream = "smtp://127.0.0.1:{mail_server.port}"\ndomains = ["example.org"]\n[gate.outgoing]\n'
            f'listen = ["127.0.0.1:{port}"]\nupstream = "smtp://127.0.0.1:{mail_server.port}"\n{lines}'
        )
        with town.serve() as served:
            yield town, served, port

    return at


def test_a_letter_goes_out_byte_for_byte_and_its_recipient_may_write_back(going_out, mail_server):
    with going_out() as (town, served, port):
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            assert b"XPOSTAGE" not in client.ehlo("laptop.example")[1]
            client.sendmail(ANN, [CARL], LETTER)
        served.wait_for(lambda line: line["event"] == "letter.outgoing")
        [taken] = mail_server.letters
        assert taken.letter == LETTER, "fields that only claim to be the gate's included: nothing is judged here"
        known = town.admin("correspondents", "list", "--user", ANN, "--with", CARL)
        assert known["last"] is not None
        assert town.admin("correspondents", "list")["users"][0]["correspondents"] == 1


def test_strangers_are_turned_away_before_they_can_say_anything(going_out, mail_server):
    with going_out('networks = ["192.0.2.0/24"]') as (_, _, port):
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP("127.0.0.1", port, timeout=60)
        assert refused.value.smtp_code == 421
        assert mail_server.letters == []


def test_what_the_next_server_says_is_what_the_client_hears(going_out, mail_server):
    with going_out() as (_, _, port):
        mail_server.answer(b"RCPT", b"550 5.1.1 who?\r\n")
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(ANN, [CARL], LETTER)
        mail_server.answer(b".", b"451 4.2.0 later\r\n")
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client, pytest.raises(smtplib.SMTPDataError) as later:
            client.sendmail(ANN, [CARL], LETTER)
        assert later.value.smtp_code == 451


def test_a_letter_in_hand_is_finished_when_the_gate_stops(going_out, mail_server):
    with going_out() as (_, served, port), closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as client:
        client.ehlo()
        client.mail(ANN)
        client.rcpt(CARL)
        client.docmd("DATA")
        go_on = mail_server.hold_back(b".")
        client.send(LETTER.replace(b"\r\n.one", b"\r\n..one") + b".\r\n")
        mail_server.until(lambda: b"DATA\r\n" in mail_server.fake.commands)
        served.process.terminate()
        served.wait_for(lambda line: line["event"] == "service.stopping")
        go_on()
        assert client.getreply()[0] == 250
    [taken] = mail_server.letters
    assert taken.letter == LETTER
