"""Merkle trees as in RFC 6962 section 2.1 (Certificate Transparency).

One hash, the root, commits to a list; a short path of hashes proves one item's place in it. Leaves and inner nodes are
hashed under different prefixes, so that neither can pass for the other. All functions take leaf hashes (32 bytes).
"""

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of an empty list."""
DEPTH_MAX = 32


def leaf_hash(content: bytes) -> bytes:
    """The leaf hash of one item, 32 bytes."""
    return hashlib.sha256(b"\x00" + content).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes, 32 bytes."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


class Tree:
    """All nodes of a tree, hashed once, to make many paths from it."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_next_level(self._levels[-1]))

    def path(self, index: int) -> list[bytes]:
        """The path that proves a leaf's place: the sibling of each node on the way up, the lowest first.

        Raises IndexError if there is no such leaf.
        """
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(f"no leaf {index} of {len(self._levels[0])}")
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index >>= 1
        return path


def root_from(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which a path leads from the leaf at `index`; None if no path in a tree of `count` leaves fits."""
    if not 0 <= index < count:
        return None
    node, rest = leaf, list(path)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = _node(sibling, node) if index & 1 else _node(node, sibling)
        index >>= 1
        count = (count + 1) >> 1
    return None if rest else node


def _next_level(level: list[bytes]) -> list[bytes]:
    """The nodes one level up; a last node without a partner goes up unchanged."""
    sha256 = hashlib.sha256
    above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
