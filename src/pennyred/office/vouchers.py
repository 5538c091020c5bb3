"""Prepaid codes: printed once, stored as hashes, typed by people."""

import hashlib
import re

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0/O, 1/I/L, U: what people confuse."""
GROUPS = 4
GROUP_LETTERS = 5
PREFIX = "PENNY"
_CODE = re.compile(f"{PREFIX}[{ALPHABET}]{{{GROUPS * GROUP_LETTERS}}}")
CODE_RANDOM_BYTES = 16
"""128 bits go in; the code's 20 letters carry 98 of them."""


def make_code(random: bytes) -> str:
    """A code of `CODE_RANDOM_BYTES` random bytes, like PENNY-XXXXX-XXXXX-XXXXX-XXXXX."""
    number = int.from_bytes(random, "big")
    letters = []
    for _ in range(GROUPS * GROUP_LETTERS):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    groups = ["".join(letters[start : start + GROUP_LETTERS]) for start in range(0, len(letters), GROUP_LETTERS)]
    return "-".join([PREFIX, *groups])


def code_hash(typed: str) -> bytes | None:
    """What is stored of a code, however it was typed (case, spaces, dashes); None where it cannot be one."""
    code = re.sub(r"[\s-]+", "", typed[:200]).upper()
    return hashlib.sha256(code.encode()).digest() if _CODE.fullmatch(code) else None
