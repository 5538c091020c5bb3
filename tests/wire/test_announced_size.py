"""The SIZE a client hears, with a real Postfix behind: a letter just so long arrives, and a raised limit is soon known."""

import signal
import smtplib
import time
from contextlib import closing

import pytest
from tests.support import real_postfix
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, Town

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

POSTMASTER = "postmaster@example.org"


def announced(port: int) -> int:
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        return int(smtp.esmtp_features["size"])


def letter_of(octets: int) -> bytes:
    head = b"From: Ann <ann@sender.example>\r\nTo: Bob <bob@example.org>\r\nSubject: Tea\r\n\r\n"
    body = (b"x" * 998 + b"\r\n") * (octets // 1000 - 1)
    rest = octets - len(head) - len(body) - 2
    return head + body + b"." * min(rest, 500) + b"y" * max(0, rest - 500) + b"\r\n"


def send(port: int, octets: bytes, *to: str) -> tuple[int, bytes]:
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as smtp:
        smtp.ehlo("c" * 200 + ".example")
        code, text = smtp.mail(ANN, [f"SIZE={len(octets)}"])
        assert code == 250, text
        for one in to:
            assert smtp.rcpt(one)[0] == 250
        try:
            return smtp.data(octets)
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error  # type: ignore[return-value]


@pytest.mark.parametrize("identity", ["xclient", "none"])
def test_a_letter_of_exactly_the_announced_size_arrives(tmp_path, identity):
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port), {"message_size_limit": "300000"}) as postfix:
        keys = f'upstream_identity = "{identity}"\npass_key = "gate-pass.key"\nmax_recipients = 300'
        town = Town.found(tmp_path, port, keys)
        with town.serve():
            size = announced(town.gate_port)
            assert 200_000 < size < 300_000
            octets = letter_of(size)
            assert len(octets) == size
            assert send(town.gate_port, octets, POSTMASTER)[0] == 250
            [delivered] = postfix.wait_for_letters(1)
            assert delivered.endswith(octets.replace(b"\r\n", b"\n"))


def test_a_raised_limit_is_announced_within_seconds_after_sighup(tmp_path):
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port), {"message_size_limit": "1000000"}) as postfix:
        town = Town.found(tmp_path, port)
        with town.serve() as served:
            before = announced(town.gate_port)
            assert before < 1_000_000
            assert send(town.gate_port, letter_of(5000), POSTMASTER)[0] == 250  # a connection is kept from here on
            main = postfix.folder / "conf/main.cf"
            main.write_text(main.read_text().replace("1000000", "3000000"))
            postfix._run("reload")
            served.process.send_signal(signal.SIGHUP)
            served.wait_for(lambda line: line["event"] == "settings.reread")
            end = time.monotonic() + 20
            while announced(town.gate_port) == before and time.monotonic() < end:
                time.sleep(0.1)
            assert announced(town.gate_port) == before + 2_000_000
            assert send(town.gate_port, letter_of(2_500_000), POSTMASTER)[0] == 250
