"""What can happen. Each fault is there for a moment, while letters are under way, and is over when its function returns."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.fake_upstream import CLOSE, HANG, KEEP_AND_CLOSE
from tests.support.ledger_process import ledger_process

from .stage import Stage

Fault = Callable[[Stage, random.Random], None]
POINTS = (b"220", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"BDAT", b".")
MADE_UP_SECONDS = 3
"""What was delivered on a full disk is settled by then. To be killed before that costs the receiver a cent, as DECISIONS.md says."""
AT_ONCE = 6
"""As many answers of the mail server's go wrong, as the letters under way."""


def kill_all(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of gate, office and ledger at a random moment."""
    time.sleep(chance.uniform(0, 0.3))
    stage.kill()
    stage.start()


def kill_all_at_the_dot(stage: Stage, chance: random.Random) -> None:
    """SIGKILL while the mail server has a letter and has not answered yet; it keeps it or not."""
    then = chance.choice([b"250 2.0.0 Ok\r\n", CLOSE, KEEP_AND_CLOSE])
    answers = [stage.server.hold_back(b".", then) for _ in range(AT_ONCE)]
    heard = stage.server.fake.unanswered
    deadline = time.monotonic() + 2
    while stage.server.fake.unanswered == heard and time.monotonic() < deadline:
        time.sleep(0.01)
    stage.kill()
    for answer in answers:
        answer()
    stage.start()


def kill_a_worker(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of one; the supervisor replaces it."""
    time.sleep(chance.uniform(0, 0.3))
    assert stage.served is not None
    if workers := stage.served.workers:
        _signal(chance.choice(workers), signal.SIGKILL)


def kill_the_ledger(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of the process that has the books, several times in a row."""
    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 0.3))
        assert stage.served is not None
        if any(Path(f"/proc/{pid}").exists() for pid in stage.served.workers):
            _signal(ledger_process(stage.served, stage.folder), signal.SIGKILL)


def hold_a_worker(stage: Stage, chance: random.Random) -> None:
    """It stands still for a moment, as on a machine that swaps."""
    assert stage.served is not None
    if workers := stage.served.workers:
        worker = chance.choice(workers)
        _signal(worker, signal.SIGSTOP)
        time.sleep(chance.uniform(0.1, 1))
        _signal(worker, signal.SIGCONT)


def _signal(worker: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended of what came before
        os.kill(worker, number)


def reread(stage: Stage, _chance: random.Random) -> None:
    """The settings are read again (SIGHUP)."""
    assert stage.served is not None
    stage.served.process.send_signal(signal.SIGHUP)


def stop_and_start(stage: Stage, chance: random.Random) -> None:
    """SIGTERM, as for a new version."""
    time.sleep(chance.uniform(0, 0.2))
    assert stage.served is not None
    served, stage.served = stage.served, None
    served.__exit__()
    stage.start()


def mail_server_leaves(stage: Stage, _chance: random.Random) -> None:
    """All its connections are closed, whatever was said on them."""
    stage.server.hang_up_on_all()


def _goes_wrong(answer: object) -> Fault:
    def fault(stage: Stage, chance: random.Random) -> None:
        stage.server.answer(chance.choice(POINTS), *[answer] * chance.randint(1, AT_ONCE))

    return fault


def kept_and_not_answered(stage: Stage, chance: random.Random) -> None:
    """The mail server has the letter and closes without a word (RFC 1047)."""
    stage.server.answer(b".", *[KEEP_AND_CLOSE] * chance.randint(1, AT_ONCE))


def answered_late(stage: Stage, chance: random.Random) -> None:
    """The answer to the final dot takes longer than anybody waits, or nearly."""
    answers = [stage.server.hold_back(b".") for _ in range(chance.randint(1, AT_ONCE))]
    time.sleep(chance.choice([0.3, 1.5, 2.5]))
    for answer in answers:
        answer()


def disk_is_full(stage: Stage, chance: random.Random) -> None:
    """Ledger, the gate's own state and spool are on it."""
    filler = stage.fill_disk()
    time.sleep(chance.uniform(0.1, 0.6))
    filler.unlink(missing_ok=True)
    time.sleep(MADE_UP_SECONDS)


def clock_steps(stage: Stage, chance: random.Random) -> None:
    """Forwards or backwards by up to two hours, and back."""
    stage.clock.move(chance.randint(-7200, 7200))
    time.sleep(chance.uniform(0.1, 0.6))
    stage.clock.move(0)


def faults_for(stage: Stage) -> dict[str, Fault]:
    """By name: those that can be had on this machine."""
    found: dict[str, Fault] = {
        "program killed": kill_all,
        "program killed at the final dot": kill_all_at_the_dot,
        "worker killed": kill_a_worker,
        "ledger's process killed": kill_the_ledger,
        "worker held up": hold_a_worker,
        "settings.reread": reread,
        "stopped and started": stop_and_start,
        "mail server hangs up on all": mail_server_leaves,
        "mail server hangs": _goes_wrong(HANG),
        "mail server closes": _goes_wrong(CLOSE),
        "mail server talks nonsense": _goes_wrong(b"what is it?\r\n"),
        "mail server says 451": _goes_wrong(b"451 4.3.0 not now\r\n"),
        "mail server says 421": _goes_wrong(b"421 4.3.2 going down\r\n"),
        "kept, and not answered": kept_and_not_answered,
        "answered late": answered_late,
        "clock steps": clock_steps,
    }
    if stage.has_disk:
        found["disk full"] = disk_is_full
    return found
