"""A real Haraka in front of the gate, and a real Postfix behind: whole letters first, or recipient by recipient."""

import smtplib
from contextlib import closing, contextmanager

import pytest
from tests.support import real_haraka, real_postfix
from tests.support.program import run_json
from tests.support.real_haraka import Haraka
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, BOB, Town, letter

pytestmark = [
    pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT),
    pytest.mark.skipif(not real_haraka.is_available(), reason=real_haraka.WHY_NOT),
]
POSTMASTER = "postmaster@example.org"


@contextmanager
def in_front(folder, mixed: str, plugin: str = "smtp_forward"):
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port)) as postfix:
        town = Town.found(folder, port, f'trusted_fronts = ["127.0.0.1/32"]\nmixed = "{mixed}"')
        with town.serve() as served:
            town.fund(20)
            with Haraka(town.gate_port, plugin) as haraka:
                yield town, postfix, served, haraka


def send(port: int, octets: bytes, *to: str) -> list[tuple[int, bytes]]:
    """The answers to the recipients and to the letter."""
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        assert smtp.mail(ANN)[0] == 250
        said = [smtp.rcpt(one) for one in to]
        try:
            return [*said, smtp.data(octets)]
        except smtplib.SMTPDataError as refused:
            return [*said, (refused.smtp_code, refused.smtp_error)]  # type: ignore[list-item]


def test_with_reject_each_letter_has_one_answer_and_the_client_is_known(tmp_path):
    with in_front(tmp_path, "reject") as (town, postfix, served, haraka):
        octets = letter()
        *_, (code, text) = send(haraka.port, octets, POSTMASTER, BOB)
        assert code == 550
        assert b"Postage due: bob@example.org needs a 1-cent stamp" in text
        stamped = town.stamped(octets, BOB)
        assert send(haraka.port, stamped, POSTMASTER, BOB)[-1][0] == 250
        delivered = postfix.wait_for_letters(2)
        assert len(delivered) == 2
        assert all(one.endswith(octets.replace(b"\r\n", b"\n")) for one in delivered)
        assert b"client.example" in delivered[0]
        assert town.balance() == (1, 0)
        line = served.wait_for_letter()
        assert (line["helo"], line["source"]) == ("client.example", "127.0.0.1")
    assert not [line for line in served.log if line["event"] == "smtp.split_given_up"]


def test_with_split_it_is_said_in_the_log_and_by_check_and_the_letter_is_not_put_off_for_ever(tmp_path):
    with in_front(tmp_path, "split") as (town, postfix, served, haraka):
        octets = letter()
        said = [send(haraka.port, octets, POSTMASTER, BOB)[-1] for _ in range(3)]
        assert [code for code, _ in said] == [450, 450, 550]
        line = served.wait_for(lambda line: line["event"] == "smtp.split_given_up")
        assert (line["front"], line["set"]) == ("127.0.0.1", 'mixed = "reject"')
        stamped = town.stamped(letter(), BOB)
        assert send(haraka.port, stamped, POSTMASTER, BOB)[-1][0] == 250
        assert len(postfix.wait_for_letters(2)) == 2
        hints = run_json("--config", str(town.settings), "check", check=False)["hints"]
        assert any(hint["key"] == "gate.mixed" and "Haraka" in hint["expected"] for hint in hints)


def test_its_proxy_asks_for_each_recipient_and_split_is_right_there(tmp_path):
    with in_front(tmp_path, "split", "smtp_proxy") as (town, postfix, served, haraka):
        said = send(haraka.port, letter(), POSTMASTER, BOB)
        assert [code for code, _ in said] == [250, 450, 250]
        assert len(postfix.wait_for_letters(1)) == 1
        assert send(haraka.port, town.stamped(letter(), BOB), BOB)[-1][0] == 250
    assert not [line for line in served.log if line["event"] == "smtp.split_given_up"]
