"""Refused letters to keep, and what was kept of them."""

import asyncio
from pathlib import Path

from pennyred.gate.quarantine.folder import Copy, Quarantine
from pennyred.gate.quarantine.keptletter import KeptLetter, Origin
from pennyred.postage.letter import split_letter
from tests.support.stationery import LETTER, NOW

BOB = b"bob@example.org"
ORIGIN = Origin(
    b"ann@sender.example",
    "198.51.100.7",
    NOW,
    client_name="mail.sender.example",
    helo="mail.sender.example",
    authenticated="author=sender.example domain=sender.example",
)


def hash_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def quarantine(folder: Path, *, days: int = 30, bytes_max: int = 10**9) -> Quarantine:
    return Quarantine(folder, days=days, bytes_max=bytes_max)


def copy(number: int = 1, recipient: bytes = BOB, reason: str = "no-stamp") -> Copy:
    return Copy(recipient, reason, hash_of(number))


def keep(
    kept: Quarantine, *copies: Copy, letter: bytes = LETTER, origin: Origin = ORIGIN, size: int | None = None
) -> int:
    """Keep a letter, its body in pieces of three octets; how many copies did not fit."""
    header = split_letter(letter)[0]
    body = letter[len(header) :]
    pieces = (body[start : start + 3] for start in range(0, len(body), 3))
    size = len(letter) if size is None else size
    return asyncio.run(kept.keep(origin, copies or (copy(),), header, pieces, size))


def whole(kept: Quarantine, letter: KeptLetter) -> bytes:
    return b"".join(kept.pieces(letter))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
