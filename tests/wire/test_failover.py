"""Two real Postfixes behind one gate: one goes, the other has the mail; it comes back, and has it again."""

import time
from pathlib import Path

import pytest
from tests.support import real_postfix
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

CONFIG = Path(__file__).parents[2] / "config/postfix/gate-in-front.master.cf"
LIMIT_SECONDS = 60
"""Far more than the wait before a mail server is asked again can have become."""


def send_until(town: Town, served, event: str) -> dict:
    """Free letters, one after the other, until the log says it."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        assert town.send(letter("Meanwhile"), "postmaster@example.org")[0] == 250
        served.wait_for_letter()
        if found := [line for line in served.log if line["event"] == event]:
            return found[0]
    raise AssertionError(f"no {event} within {LIMIT_SECONDS} s")


def arrived(postfix: Postfix, *subjects: str) -> None:
    """Wait until these letters have been delivered there, each once, and none else that was stamped."""
    deadline = time.monotonic() + LIMIT_SECONDS
    found: list[str] = []
    while sorted(found) != sorted(subjects) and time.monotonic() < deadline:
        heads = [octets.partition(b"\n\n")[0].decode() for octets in postfix.letters()]
        found = [head.partition("\nSubject: ")[2].partition("\n")[0] for head in heads]
        found = [subject for subject in found if subject != "Meanwhile"]
    assert sorted(found) == sorted(subjects)


def test_mail_goes_to_the_second_while_the_first_is_away_and_every_letter_arrives_once(tmp_path):
    ports = free_port(), free_port()
    first, second = (Postfix(CONFIG.read_text().replace("127.0.0.1:10025", f"127.0.0.1:{port}")) for port in ports)
    with first, second:
        urls = ", ".join(f'"smtp://127.0.0.1:{port}"' for port in ports)
        town = Town.found(tmp_path, ports[0], f"upstream = [{urls}]")
        with town.serve() as served:
            town.fund(10)
            for subject in ("One", "Two"):
                assert town.send(town.stamped(letter(subject), BOB), BOB)[0] == 250
            arrived(first, "One", "Two")

            first.stop()
            assert town.send(town.stamped(letter("Three"), BOB), BOB)[0] == 250
            down = served.wait_for(lambda line: line["event"] == "smtp.upstream_down")
            assert down["upstream"] == f"127.0.0.1:{ports[0]}"
            assert town.send(town.stamped(letter("Four"), BOB), BOB)[0] == 250
            arrived(second, "Three", "Four")

            first.start()
            up = send_until(town, served, "smtp.upstream_up")
            assert up["upstream"] == f"127.0.0.1:{ports[0]}"
            assert town.send(town.stamped(letter("Five"), BOB), BOB)[0] == 250
            arrived(first, "One", "Two", "Five")

            first.stop()
            second.stop()
            stamped = town.stamped(letter("Six"), BOB)
            code, text = town.send(stamped, BOB)
            assert (code, text[:5]) == (451, "4.4.1")
            second.start()
            deadline = time.monotonic() + LIMIT_SECONDS
            while (code := town.send(stamped, BOB)[0]) == 451 and time.monotonic() < deadline:
                pass
            assert code == 250
            assert town.balance() == (6, 0)
        arrived(first, "One", "Two", "Five")
        arrived(second, "Three", "Four", "Six")
        assert town.audit()["balanced"]
