"""MAIL that waits for the first RCPT, before a real Postfix and a real Exim that refuse some senders at MAIL."""

import smtplib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support import chroots, real_postfix
from tests.support.real_exim import Exim
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import Town, letter

POSTMASTER = "postmaster@example.org"
ANN, BAD, LATER = "ann@example.com", "bad@example.com", "later@example.com"


@contextmanager
def postfix() -> Iterator[tuple[int, Postfix]]:
    """One that judges senders at MAIL, and not by default at RCPT."""
    port = free_port()
    strict = {
        "smtpd_delay_reject": "no",
        "smtpd_sender_restrictions": f"check_sender_access inline:{{ {{{BAD} = 550 5.7.1 not him}}, "
        f"{{{LATER} = 450 4.7.1 not now}} }}",
        "smtpd_forbid_unauth_pipelining": "yes",
        "message_size_limit": "20000",
    }
    listener = services("gate-in-front.master.cf", p10025=port) + "    -o smtpd_authorized_xforward_hosts=127.0.0.1\n"
    with Postfix(listener, strict) as server:
        yield port, server


@contextmanager
def exim() -> Iterator[tuple[int, Exim]]:
    acl = (
        "MAIN_ACL_CHECK_MAIL = "
        f"deny senders = {BAD} \\n message = 5.7.1 not him \\n defer senders = {LATER} \\n message = 4.7.1 not now \\n accept"
    )
    with Exim("gate-in-front-light.macros", "light", f"{acl}\nMESSAGE_SIZE_LIMIT = 20000\n") as server:
        yield server.port, server


@contextmanager
def town_before(kind: str, identity: str, folder: Path) -> Iterator[Town]:
    if kind == "postfix" and not real_postfix.is_available():
        pytest.skip(real_postfix.WHY_NOT)
    if kind == "exim" and not chroots.is_available("exim-light"):
        pytest.skip(chroots.why_not("exim-light"))
    with postfix() if kind == "postfix" else exim() as (port, _):
        town = Town.found(folder, port, f'upstream_identity = "{identity}"\n')
        with town.serve():
            yield town


@pytest.mark.parametrize(
    ("kind", "identity"), [("postfix", "xclient"), ("postfix", "xforward"), ("postfix", "none"), ("exim", "none")]
)
def test_every_sender_has_the_mail_servers_own_answer_and_the_letter_no_other_fate(kind, identity, tmp_path):
    with (
        town_before(kind, identity, tmp_path) as town,
        closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=30)) as smtp,
    ):
        smtp.ehlo("client.example.com")

        def mail(sender: str, parameters: str = "") -> list[tuple[int, bytes]]:
            smtp.rset()
            return [smtp.docmd(f"MAIL FROM:<{sender}>{parameters}"), smtp.docmd(f"RCPT TO:<{POSTMASTER}>")]

        assert mail(ANN)[1][0] == 250
        for code, said, sender in ((550, b"not him", BAD), (450 if kind == "postfix" else 451, b"not now", LATER)):
            smtp.rset()
            assert smtp.sendmail(ANN, [POSTMASTER], letter(f"Before {code}")) == {}
            noted, refused = mail(sender)  # the letter's connection is at hand
            assert noted == (250, b"2.1.0 Sender noted")
            assert refused[0] == code
            assert said in refused[1]
            assert smtp.docmd(f"RCPT TO:<{POSTMASTER}>") == refused
            assert smtp.docmd("DATA")[0] == 554
        too_big = mail(ANN, " SIZE=30000")
        assert [code for code, _ in too_big] == [552, 503]
        smtp.rset()
        assert smtp.sendmail(ANN, [POSTMASTER], letter("Once more")) == {}
