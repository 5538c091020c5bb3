"""Honest mail servers: each letter is tried, and tried again, until it is taken. A refusal would lose it."""

import smtplib
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

from tests.support.town import ANN, BOB

RETRY_SECONDS = 0.2
PATIENCE_SECONDS = 6
"""For an answer; then the connection is given up, and with it the knowledge of what became of the letter."""


@dataclass
class Post:
    """All letters under way, and what was heard of them."""

    port: int
    waiting: list[tuple[float, str]] = field(default_factory=list)
    """When to try, and the letter's name."""
    letters: dict[str, bytes] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    lost_answers: "Counter[str]" = field(default_factory=Counter)
    """By letter: attempts whose answer to the final dot never came."""
    put_off: "Counter[str]" = field(default_factory=Counter)
    """By letter: attempts that were answered "later" after the final dot."""
    attempts: int = 0
    """Those that were greeted."""
    is_over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hand_in(self, name: str, octets: bytes) -> None:
        """A new letter."""
        with self.lock:
            self.letters[name] = octets
            self.waiting.append((time.monotonic(), name))

    def next(self) -> str | None:
        """One that is due."""
        now = time.monotonic()
        with self.lock:
            for place, (due, name) in enumerate(self.waiting):
                if due <= now:
                    del self.waiting[place]
                    return name
        return None

    def again(self, name: str) -> None:
        """Send the letter again later."""
        with self.lock:
            self.waiting.append((time.monotonic() + RETRY_SECONDS, name))

    @property
    def is_done(self) -> bool:
        """Whether every letter was taken, or something is wrong already."""
        return len(self.taken) == len(self.letters) or bool(self.refusals)


class Sender(threading.Thread):
    """One connection at a time, one letter on each."""

    def __init__(self, post: Post) -> None:
        super().__init__(daemon=True)
        self.post = post

    def run(self) -> None:
        """Until the post is over."""
        while not self.post.is_over:
            name = self.post.next()
            if name is None:
                time.sleep(0.01)
            elif self.is_taken(name):
                self.post.taken.add(name)
            else:
                self.post.again(name)

    def is_taken(self, name: str) -> bool:
        """Try to send it once; returns whether it was taken."""
        post, has_dot = self.post, False
        try:
            with closing(smtplib.SMTP("127.0.0.1", post.port, timeout=PATIENCE_SECONDS)) as smtp:
                post.attempts += 1
                smtp.ehlo("client.example")
                for code, text in (smtp.mail(ANN), smtp.rcpt(BOB), smtp.docmd("DATA")):
                    if code not in (250, 354):
                        return self.is_later(name, code, text, has_dot=False)
                has_dot = True
                smtp.send(smtplib._quote_periods(post.letters[name]) + b".\r\n")  # type: ignore[attr-defined]
                code, text = smtp.getreply()
                return code == 250 or self.is_later(name, code, text, has_dot=True)
        except (OSError, smtplib.SMTPException):
            if has_dot:
                post.lost_answers[name] += 1
            return False

    def is_later(self, name: str, code: int, text: object, *, has_dot: bool) -> bool:
        """Never taken. What is refused for good must not happen; the one who spoke to a dying gate may hear 503."""
        if code >= 500 and code != 503:
            self.post.refusals.append(f"{name}: {code} {text!r}")
        if has_dot:
            self.post.put_off[name] += 1
        return False
