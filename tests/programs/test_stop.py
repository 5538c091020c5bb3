"""Told to stop while a letter is on its way that the mail server does not answer."""

import signal
import smtplib
import threading
from contextlib import contextmanager

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import WAIT_SECONDS
from tests.support.town import BOB, Town, letter


@contextmanager
def letter_in_hand(folder, settings, *arguments):
    """A gate at work, and the answers to a client whose letter the mail server has and says nothing of."""
    with MailServer() as server:
        town = Town.found(folder, server.port, settings)
        with town.serve(*arguments) as served:
            town.fund(1)
            stamped = town.stamped(letter(), BOB)
            server.hold_back(b".")
            answers: list[object] = []
            client = threading.Thread(target=lambda: answers.append(answer_to(town, stamped)))
            client.start()
            server.until(lambda: b"DATA\r\n" in server.fake.commands)
            yield town, served, answers
            client.join(WAIT_SECONDS)


def answer_to(town, stamped):
    """The code of the reply; None where there was none."""
    try:
        return town.send(stamped, BOB)[0]
    except (smtplib.SMTPException, OSError):
        return None


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_a_letter_in_hand_is_broken_off_at_the_limit_and_its_sender_hears_no_yes(tmp_path, workers):
    """So the sender keeps it, and sends it again."""
    with letter_in_hand(tmp_path, "stop_timeout_seconds = 1", "--workers", workers) as (town, served, answers):
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(WAIT_SECONDS) == 0
    assert answers in ([None], [451])
    with town.serve():
        assert town.balance() == (0, 1), "held until the mail server's time is over, not spent"


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_a_second_signal_does_not_wait_for_the_limit(tmp_path, workers):
    with letter_in_hand(tmp_path, "stop_timeout_seconds = 3600", "--workers", workers) as (_, served, answers):
        served.process.send_signal(signal.SIGTERM)
        served.wait_for(lambda line: line["event"] == "service.stopping")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(WAIT_SECONDS) == 0
    assert answers in ([None], [451])
