"""Voucher codes: prepaid, printed once, stored as hashes, typed by people."""

import hashlib
import re

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""The letters of a code, without those that people confuse: 0 and O, 1, I and L, U."""
GROUPS = 4
GROUP_LETTERS = 5
PREFIX = "PENNY"
_CODE = re.compile(f"{PREFIX}[{ALPHABET}]{{{GROUPS * GROUP_LETTERS}}}")
CODE_RANDOM_BYTES = 16
"""How many random bytes a code is made from: 128 bits, of which its 20 letters carry 98."""


def make_code(random: bytes) -> str:
    """A code, made from `CODE_RANDOM_BYTES` random bytes, like PENNY-XXXXX-XXXXX-XXXXX-XXXXX."""
    number = int.from_bytes(random, "big")
    letters = []
    for _ in range(GROUPS * GROUP_LETTERS):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    groups = ["".join(letters[start : start + GROUP_LETTERS]) for start in range(0, len(letters), GROUP_LETTERS)]
    return "-".join([PREFIX, *groups])


def code_hash(typed: str) -> bytes | None:
    """The hash of a code, which is stored, 32 bytes; case, spaces and dashes do not count. None if it is no code."""
    code = re.sub(r"[\s-]+", "", typed[:200]).upper()
    return hashlib.sha256(code.encode()).digest() if _CODE.fullmatch(code) else None
