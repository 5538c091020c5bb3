"""Bounces and callouts as real Postfix and real Exim make them come through the gate; bulk mail from `<>` does not."""

import smtplib
import subprocess
from contextlib import closing, contextmanager

import pytest
from tests.support import chroots, real_postfix
from tests.support.mailserver import MailServer
from tests.support.real_exim import Exim
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import BOB, letter

DAN = "dan@far.example"
NOTHING_FREE = "[gate.allowance]\nbounces_per_day = 0\n"
"""So that what comes through comes by what it answers."""

needs_postfix = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
needs_exim = pytest.mark.skipif(not chroots.is_available("exim-heavy"), reason=chroots.why_not("exim4-daemon-heavy"))


@contextmanager
def far_postfix(port: int, gate_port: int, folder, house):
    """A mail server elsewhere that takes letters for Dan and finds out afterwards that nobody in the house is Dan."""
    house.answer(b"RCPT", *[b"550 5.1.1 no such user in this house\r\n"] * 9)
    transport = folder / "transport"
    transport.write_text(f"{DAN} smtp:[127.0.0.1]:{house.port}\n")
    settings = {
        "myhostname": "mx.far.example",
        "transport_maps": f"texthash:{transport}",
        "relayhost": f"[127.0.0.1]:{gate_port}",
        "relay_domains": "far.example",
        "virtual_mailbox_domains": "",
        "bounce_queue_lifetime": "1d",
        "minimal_backoff_time": "300s",
    }
    with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", settings, domains="") as postfix:
        yield postfix


def from_bob(message_id: str) -> bytes:
    return (
        f"From: Bob <{BOB}>\r\nTo: Dan <{DAN}>\r\nSubject: Tea\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{message_id}>\r\n\r\nShall we have tea?\r\n"
    ).encode()


def hand_in(port: int, octets: bytes, sender: str = BOB, to: str = DAN) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail(sender, [to], octets)


@needs_postfix
def test_postfixs_bounce_of_a_letter_that_left_through_the_gate_is_free_and_of_another_is_none(
    tmp_path, mail_server, found_town
):
    far, out = free_port(), free_port()
    outgoing = f'[gate.outgoing]\nlisten = ["127.0.0.1:{out}"]\nupstream = "smtp://127.0.0.1:{far}"\n'
    way = f'upstream = "smtp://127.0.0.1:{mail_server.port}"\ndomains = ["example.org"]\n'
    town = found_town(way + NOTHING_FREE + outgoing)
    with MailServer() as house, far_postfix(far, town.gate_port, tmp_path, house), town.serve() as served:
        hand_in(out, from_bob("ours@example.org"))
        line = served.wait_for_letter()
        assert (line["sender"], line["recipients"][0]["reason"], line["answer"]) == ("", "bounce", "relay")
        mail_server.until(lambda: bool(mail_server.letters))
        [taken] = mail_server.letters
        assert b"no such user in this house" in taken.letter
        assert b"x-postage=none reason=bounce" in taken.letter
        hand_in(far, from_bob("theirs@elsewhere.example"))
        line = served.wait_for_letter()
        assert (line["answer"], line["reason"]) == ("due", "no-stamp")
    assert len(mail_server.letters) == 1


@needs_postfix
def test_where_nothing_is_known_of_outgoing_mail_it_comes_by_the_allowance(tmp_path, mail_server, found_town):
    far = free_port()
    town = found_town("[gate.allowance]\nbounces_per_source_per_day = 1\n")
    with MailServer() as house, far_postfix(far, town.gate_port, tmp_path, house), town.serve() as served:
        hand_in(far, from_bob("1@example.org"))
        line = served.wait_for_letter()
        assert (line["recipients"][0]["reason"], line["answer"]) == ("bounce", "relay")
        hand_in(far, from_bob("2@example.org"))
        assert served.wait_for_letter()["reason"] == "no-stamp"


@needs_exim
def test_exims_bounce_is_a_report_and_names_the_letter(mail_server, found_town):
    with Exim("gate-in-front.macros") as exim:
        octets = from_bob("ours@example.org").replace(b"\r\n", b"\n").replace(DAN.encode(), b"no-such-user@example.org")
        done = subprocess.run(
            ["chroot", exim.root, "/usr/sbin/exim4", "-odf", "-f", BOB, "no-such-user@example.org"],
            input=octets, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        bounces = exim.wait_for_letters(1)
        assert bounces, (done, exim.log())
    bounce = bounces[0].replace(b"\n", b"\r\n").partition(b"Return-path: <>\r\n")[2] or bounces[0]
    out = free_port()
    outgoing = f'[gate.outgoing]\nlisten = ["127.0.0.1:{out}"]\nupstream = "smtp://127.0.0.1:{mail_server.port}"\n'
    way = f'upstream = "smtp://127.0.0.1:{mail_server.port}"\ndomains = ["example.org"]\n'
    town = found_town(way + NOTHING_FREE + outgoing)
    with town.serve() as served:
        code, text = town.send(bounce, BOB, sender="")
        assert (code, "(no-stamp)" in text) == (550, True)
        hand_in(out, from_bob("ours@example.org"))
        assert town.send(bounce, BOB, sender="")[0] == 250
        served.wait_for(lambda line: line["event"] == "letter" and line["answer"] == "relay")
        assert served.log[-1]["recipients"][0]["reason"] == "bounce"
        town.write()
    with town.serve() as served:
        assert town.send(bounce, BOB, sender="")[0] == 250, "it looks like what it is"


@pytest.mark.long
def test_six_hundred_letters_from_nobody_to_six_hundred_recipients_are_not_free(found_town, mail_server):
    """With somebody's name in From they are due, as reports so many of a source are free."""
    report = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n"
    town = found_town("max_errors = 1000\n[gate.allowance]\nbounces_per_source_per_day = 30\n")
    with town.serve(), closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as client:
        client.ehlo("client.example")
        codes = {b"": [], report: []}
        for number in range(600):
            first = report if number % 2 else b""
            client.mail("")
            client.rcpt(f"u{number}@example.org")
            client.docmd("DATA")
            client.send(first + letter() + b".\r\n")
            codes[first].append(client.getreply()[0])
    assert set(codes[b""]) == {550}
    assert codes[report] == [250] * 30 + [550] * 270
    assert len(mail_server.letters) == 30


def test_a_callout_hears_the_mail_servers_own_answers_and_counts_for_nothing(found_town, mail_server):
    """Address verification: MAIL FROM:<>, RCPT, and then no letter."""
    town = found_town("[gate.allowance]\nbounces_per_day = 0\nbounces_per_source_per_day = 0\n")
    mail_server.answer(b"RCPT", b"250 2.1.5 Ok\r\n", b"550 5.1.1 who?\r\n")
    with town.serve(), closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as client:
        client.ehlo("client.example")
        told = []
        for _ in range(2):
            assert client.mail("")[0] == 250
            told.append(client.rcpt(BOB))
            client.rset()
        assert [code for code, _ in told] == [250, 550]
        client.quit()
