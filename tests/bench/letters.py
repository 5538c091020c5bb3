"""Letters of a given size, each with a stamp of its own, made before any clock starts."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from pennyred.sender.franking import stamp_letter
from pennyred.sender.wallet import Wallet

from .session import RCPT

_LINE = b"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.\r\n"
_STAMP_BYTES = 900

LetterMaker = Callable[[int, int], list[bytes]]
"""So many letters of so many KiB."""


def stamped_by(wallet: Wallet) -> LetterMaker:
    """Letters stamped from this wallet."""

    def make(count: int, kib: int) -> list[bytes]:
        return [_stamped(wallet, number, kib) for number in range(count)]

    return make


def _stamped(wallet: Wallet, number: int, kib: int) -> bytes:
    head = _head(number)
    return _signed(wallet, head + _LINE * ((kib * 1024 - len(head) - _STAMP_BYTES) // len(_LINE)))


def _head(number: int) -> bytes:
    return (
        b"From: Ann <ann@sender.example>\r\nTo: <%s>\r\nSubject: Tea, %d\r\nDate: %s\r\n"
        b"Message-ID: <%d.%d@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        % (RCPT, number, format_datetime(datetime.now(UTC)).encode(), number, time.time_ns())
    )


def _signed(wallet: Wallet, letter: bytes) -> bytes:
    return stamp_letter(
        letter, [RCPT.decode()], wallet.key, wallet.licence, now=int(time.time()), random_bytes=os.urandom
    )


def body_and_heads(wallet: Wallet, count: int, octets: int) -> tuple[bytes, list[bytes]]:
    """Great letters that have their body in common, so that there is room for many of them."""
    body = _LINE * (octets // len(_LINE))
    letters = (_signed(wallet, _head(number) + body) for number in range(count))
    return body, [letter.removesuffix(body) for letter in letters]
