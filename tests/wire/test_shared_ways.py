"""One source that takes all the connections to a real Postfix, as far as it can: others' mail passes all the same."""

import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from tests.support import real_postfix
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

FREE = "postmaster@example.org"
ATTACKER = "127.0.0.66"
SESSIONS = 50


def client(port: int, address: str) -> smtplib.SMTP:
    smtp = smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=(address, 0))
    smtp.ehlo(f"[{address}]")
    return smtp


def test_fifty_sessions_that_name_a_recipient_a_second_keep_nobody_out(tmp_path):
    port = free_port()
    over = threading.Event()

    def drip(smtp: smtplib.SMTP) -> list[int]:
        codes = [smtp.mail("a@spam.example")[0], smtp.rcpt(FREE)[0]]
        while not over.wait(1):
            codes.append(smtp.rcpt(FREE)[0])
        return codes

    def send(last: int) -> int:
        with closing(client(town.gate_port, f"127.0.1.{last}")) as smtp:
            for code, _ in (smtp.mail(ANN), smtp.rcpt(FREE)):
                if code != 250:
                    return code
            return smtp.data(letter())[0]

    with Postfix(services("gate-in-front.master.cf", p10025=port)) as postfix, ExitStack() as stack:
        town = Town.found(tmp_path, port)
        stack.enter_context(town.serve())
        crowd = [stack.enter_context(closing(client(town.gate_port, ATTACKER))) for _ in range(SESSIONS)]
        with ThreadPoolExecutor(SESSIONS) as attackers, ThreadPoolExecutor(8) as others:
            dripping = [attackers.submit(drip, smtp) for smtp in crowd]
            try:
                codes = list(others.map(send, range(1, 47)))
            finally:
                over.set()
            assert codes == [250] * 46
            assert {code for one in dripping for code in one.result()} == {250}, "the slow lose nothing but time either"
        assert len(postfix.wait_for_letters(46)) == 46
