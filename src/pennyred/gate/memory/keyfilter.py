"""A filter of keys: it may take a stranger for a member, but never a member for a stranger (Bloom, 1970).

Two bits of 2^24 stand for each key. With a million keys one stranger in eighty is taken for a member.
"""

from collections.abc import Hashable

_PLACES = 2**24
_MASK = _PLACES - 1
_SECOND_SHIFT = 32
OCTETS = _PLACES // 8
"""What a filter takes in memory, whatever is in it."""


class KeyFilter:
    """Keys of text and octets. Python hashes these with a secret of the process, so nobody can aim at a member."""

    def __init__(self) -> None:
        self._bits = bytearray(OCTETS)
        self.count = 0
        """How many keys were added, some perhaps more than once."""

    def add(self, key: Hashable) -> None:
        """Add a key. Another thread that asks meanwhile sees all that was added before."""
        number = hash(key)
        first, second = number & _MASK, (number >> _SECOND_SHIFT) & _MASK
        self._bits[first >> 3] |= 1 << (first & 7)
        self._bits[second >> 3] |= 1 << (second & 7)
        self.count += 1

    def __contains__(self, key: Hashable) -> bool:
        """False: it was surely not added. True: perhaps it was."""
        number = hash(key)
        first, second = number & _MASK, (number >> _SECOND_SHIFT) & _MASK
        bits = self._bits
        return bool(bits[first >> 3] >> (first & 7) & 1 and bits[second >> 3] >> (second & 7) & 1)
