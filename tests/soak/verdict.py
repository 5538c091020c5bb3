"""What must hold when all is over."""

import time
from collections import Counter
from dataclasses import dataclass

from .stage import Stage

END_SECONDS_MAX = 300
CLOCK_AT_THE_END_SECONDS = 3 * 3600
"""Leases that began while the clock was ahead are over by then."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a soak; `wrongs` is empty where every promise was kept."""

    letters: int
    attempts: int
    delivered_twice: int
    """More than once, rather."""
    copies: int
    """Deliveries beyond each letter's first."""
    lost_answers: int
    put_off: int
    spent: int
    held: int
    wrongs: tuple[str, ...]


def let_it_end(stage: Stage) -> None:
    """No more faults: every letter is taken in the end."""
    stage.server.forget_answers()
    stage.clock.move(CLOCK_AT_THE_END_SECONDS)
    deadline = time.monotonic() + END_SECONDS_MAX
    while not stage.post.is_done and time.monotonic() < deadline:
        time.sleep(0.05)


def judge(stage: Stage) -> Verdict:
    """Call it when all has ended."""
    post, town = stage.post, stage.town
    count = len(post.letters)
    spent, held = _settled(stage, count)
    audit = town.admin("ledger", "audit")
    delivered = Counter(_subject(one.letter) for one in stage.server.letters)
    wrongs = [f"refused: {refusal}" for refusal in post.refusals]
    wrongs += [f"never taken: {name}" for name in post.letters if name not in post.taken]
    wrongs += [f"lost: {name}" for name in post.letters if not delivered[name]]
    for name, copies in delivered.items():
        # Each delivery but the last was followed by an attempt: so its sender heard no yes, and it was not the gate's no.
        if copies - 1 > post.lost_answers[name] + post.put_off[name]:
            wrongs.append(f"delivered {copies} times without reason: {name}")
    if (spent, held) != (count, 0):
        wrongs.append(f"{count} stamps were used, {spent} are spent and {held} held")
    if not audit["balanced"] or audit["settled"] != count:
        wrongs.append(f"the books: {audit}")
    more = [copies - 1 for copies in delivered.values() if copies > 1]
    lost, put_off = sum(post.lost_answers.values()), sum(post.put_off.values())
    return Verdict(count, post.attempts, len(more), sum(more), lost, put_off, spent, held, tuple(wrongs))


def _settled(stage: Stage, count: int) -> tuple[int, int]:
    """Settlements that could not be written at once are made up for; wait for them."""
    deadline = time.monotonic() + 30
    while (found := stage.town.balance()) != (count, 0) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _subject(octets: bytes) -> str:
    head = octets.partition(b"\r\n\r\n")[0].decode()
    return next(line.removeprefix("Subject: ") for line in head.split("\r\n") if line.startswith("Subject: "))
