"""What one stamped letter makes the gate do, counted and not timed: a letter's way does not become longer unnoticed.

A ceiling is a tenth above what was counted when it was set. Who exceeds it looks first for what need not be done on the
way (`tests/bench/gate.py --cpu` shows what it costs); if it must be, the ceiling goes up, and the commit says why.
"""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.fake_upstream import CHUNKING
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.town import BOB, Town, letter

CALLS_MAX = 1010
"""Calls of functions of `pennyred`, in all threads, with the office in the same process."""
SYSTEM_CALLS_MAX = 85
"""Without those that only wait, or wake somebody up."""
LETTERS = 5
_COUNTING = Path(__file__).parents[1] / "support" / "counted_calls"
_WAITING = "futex,epoll_wait,epoll_pwait,epoll_pwait2,poll,ppoll,select,nanosleep,clock_nanosleep,wait4,sched_yield"
_SENT = re.compile(r"^\d+ +[a-z0-9_]+\(", re.MULTILINE)


def send_one(town: Town, number: int, served: Served) -> None:
    """A letter, and its line in the log."""
    assert town.send(town.stamped(letter(f"Tea, {number}"), BOB), BOB)[0] == 250
    served.wait_for_letter()


def test_a_stamped_letter_makes_few_calls_of_python(tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    with MailServer(keywords=CHUNKING) as server:
        town = Town.found(tmp_path / "town", server.port, 'upstream_identity = "none"')
        within = ("env", f"PYTHONPATH={_COUNTING}", f"COUNTED_CALLS={counts}")
        with Served(town.settings, within=within) as served:
            town.fund(20)
            for number in range(LETTERS):
                send_one(town, number, served)
    totals = [int(line) for line in counts.read_text().split()]
    calls = min(after - before for before, after in pairwise(totals))  # the least disturbed one
    assert 100 < calls <= CALLS_MAX


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt-get install strace)")
def test_a_stamped_letter_makes_few_system_calls(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def count() -> int:
        return len(_SENT.findall(trace.read_text(errors="replace")))

    with MailServer(keywords=CHUNKING) as server:
        town = Town.found(tmp_path / "town", server.port, 'upstream_identity = "none"')
        within = ("strace", "-f", "-q", "-o", str(trace), "-e", f"trace=!{_WAITING}")
        with Served(town.settings, within=within) as served:
            town.fund(20)
            send_one(town, 0, served)
            totals = [count()]
            for number in range(1, LETTERS):
                send_one(town, number, served)
                totals.append(count())
    calls = min(after - before for before, after in pairwise(totals))
    assert 10 < calls <= SYSTEM_CALLS_MAX
