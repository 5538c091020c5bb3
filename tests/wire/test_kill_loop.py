"""SIGKILL at random moments while clients retry like mail servers: no letter is lost, none is charged twice.

The office inside the gate's program, and as a program of its own that is killed too; and with two workers, where the
process that has the ledger is killed alone. Timeouts are set small, so that a lease is over in seconds.
"""

import os
import queue
import random
import signal
import smtplib
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing

import pytest
from tests.support.fake_upstream import CHUNKING, CLOSE
from tests.support.ledger_process import ledger_process
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.town import ANN, BOB, Town, letter

KILLS = 40
LETTERS_PER_KILL = 6
CLIENTS = 4
RETRY_SECONDS = 0.1
LIMIT_SECONDS = 900
YES = b"250 2.0.0 Ok\r\n"
SETTINGS = "transfer_timeout_seconds = 1\nupstream_timeout_seconds = 1"


class Sender(threading.Thread):
    """Takes letters from a queue and tries each until it hears 250, as a mail server would; a 5xx would lose it."""

    def __init__(self, port: int, letters: "queue.Queue[bytes | None]") -> None:
        super().__init__()
        self.port, self.letters = port, letters
        self.refusals: list[str] = []
        self.deadline = time.monotonic() + LIMIT_SECONDS

    def run(self) -> None:
        while (octets := self.letters.get()) is not None:
            while not self.is_taken(octets):
                if self.refusals or time.monotonic() > self.deadline:
                    return
                time.sleep(RETRY_SECONDS)

    def is_taken(self, octets: bytes) -> bool:
        try:
            with closing(smtplib.SMTP("127.0.0.1", self.port, timeout=10)) as smtp:
                smtp.ehlo("client.example")
                for code, text in (smtp.mail(ANN), smtp.rcpt(BOB)):
                    if code != 250:
                        return self.is_later(code, text)
                code, text = smtp.data(octets)
                return code == 250 or self.is_later(code, text)
        except smtplib.SMTPDataError as error:
            return self.is_later(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException):
            return False

    def is_later(self, code: int, text: object) -> bool:
        """Never taken; a permanent refusal of an honest letter is what must not happen."""
        if code >= 500:
            self.refusals.append(f"{code} {text}")
        return False


class LedgerProcess:
    """The one process of a program that has the ledger: killed, it is started anew by the program."""

    def __init__(self, program: Served, town: Town) -> None:
        self.program, self.town = program, town

    def kill(self) -> None:
        if self.program.process.poll() is None:
            os.kill(ledger_process(self.program, self.town.folder), signal.SIGKILL)

    def __enter__(self) -> None:
        pass


def kill_again_and_again(
    town: Town,
    server: MailServer,
    letters: "queue.Queue[bytes | None]",
    made: list[bytes],
    chance: random.Random,
    workers: str,
) -> None:
    """Hand out a few letters, kill a program while they are under way, start it again.

    A third of the kills comes at a random moment, a third while the mail server has a letter and has not answered yet,
    and a third just then too, but the mail server loses the letter. Where gate and office are two programs it is the
    one, the other, or both; where there are several workers the ledger's process, or all.
    """
    gate = Served(town.settings, ("--workers", workers))
    books = [LedgerProcess(gate, town)] if workers != "1" else []
    office = [Served(town.office_settings)] if town.is_divided else []
    with ExitStack() as running:
        for program in (*office, gate):
            running.enter_context(program)
        for _ in range(KILLS):
            then = chance.choice([None, YES, CLOSE])
            answers = [] if then is None else [server.hold_back(b".", then) for _ in range(CLIENTS)]
            heard = server.fake.unanswered
            for _ in range(LETTERS_PER_KILL):
                letters.put(made.pop())
            if answers:
                server.until(lambda heard=heard: server.fake.unanswered > heard)
            else:
                time.sleep(chance.uniform(0, 0.25))
            victims = chance.choice([books or office, books or [gate], [*office, gate]]) or [gate]
            for program in victims:
                program.kill()
            for answer in answers:
                answer()
            for program in victims:
                program.__enter__()


@pytest.mark.long
@pytest.mark.parametrize(
    ("is_divided", "workers"),
    [(False, "1"), (True, "1"), (False, "2")],
    ids=["one program", "gate and office", "the ledger's process"],
)
@pytest.mark.timeout(2 * LIMIT_SECONDS)
def test_no_letter_is_lost_and_none_is_charged_twice(tmp_path, is_divided, workers):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with MailServer(keywords=CHUNKING) as server:
        town = Town.found(tmp_path, server.port, SETTINGS, "daily_cap = 1000000", is_divided=is_divided)
        count = KILLS * LETTERS_PER_KILL
        with town.serve():
            town.fund(count + 10)
        ids = [f"letter-{number}" for number in range(count)]
        made = [town.stamped(letter(name), BOB) for name in ids]
        letters: queue.Queue[bytes | None] = queue.Queue()
        senders = [Sender(town.gate_port, letters) for _ in range(CLIENTS)]
        for sender in senders:
            sender.start()
        kill_again_and_again(town, server, letters, made, chance, workers)
        for _ in senders:
            letters.put(None)
        with town.serve():
            for sender in senders:
                sender.join(LIMIT_SECONDS)
                assert not sender.is_alive(), "some letter is never taken"
            spent, held = town.balance()
        audit = town.audit()

    assert [refusal for sender in senders for refusal in sender.refusals] == []
    delivered = Counter(subject(one.letter) for one in server.letters)
    twice = sum(number > 1 for number in delivered.values())
    print(f"{KILLS} kills, {count} letters; {twice} delivered twice: killed between the final dot and settling")
    assert set(delivered) == set(ids), "each was delivered at least once"
    assert (spent, held) == (count, 0), "each was charged once, and nothing is left held"
    assert audit["balanced"]
    assert audit["settled"] == count


def subject(octets: bytes) -> str:
    head = octets.partition(b"\r\n\r\n")[0].decode()
    return next(line.removeprefix("Subject: ") for line in head.split("\r\n") if line.startswith("Subject: "))
