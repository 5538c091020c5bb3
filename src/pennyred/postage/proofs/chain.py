"""The chain of a ledger's journal: every batch of changes commits to its details and to all batches before it.

A batch is what one transaction changed. Its details (who paid whom for which letter) are forgotten with their day; what
stays for ever is one head for each batch: running totals, the Merkle root of the details and the hash of the head
before. So nothing in the past can be altered, left out or put in without every later head changing, and no contact
graph is kept to prove it (STAMP.md 13).

A ledger that was restored from a backup has lost links that were signed, and gives their numbers to others. So it
begins a new epoch, to which every later head commits: nobody can take the two for one chain whose past was changed.
"""

import struct
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

from pennyred.postage.encoding import INTEGER_MAX, encode_integer
from pennyred.postage.errors import Malformed
from pennyred.postage.proofs.merkle import HASH_BYTES, leaf_hash

CONTEXT_CHAIN = b"pennyred/1 chain\0"
CONTEXT_EPOCH = b"pennyred/1 epoch\0"
"""Of heads after a restore."""
GENESIS = bytes(HASH_BYTES)
"""What stands before the first batch."""
PLACE_BITS = 20
"""Of a place: the index within its batch; the batch's number is above them."""
EPOCH_ID_BYTES = 16
EPOCHS_MAX = 32
"""A head names the last so many; an office is restored once in years."""
_HEAD = struct.Struct(">QqqqqI")
_EPOCH = struct.Struct(f">{EPOCH_ID_BYTES}sQQ")
EPOCHS_BYTES_MAX = EPOCHS_MAX * _EPOCH.size


@dataclass(frozen=True, slots=True)
class Totals:
    """What has gone through a ledger since it was made, in stamps."""

    sold: int = 0
    """Credited to anybody from `office:*` accounts."""
    settled: int = 0
    refunded: int = 0

    @property
    def outstanding(self) -> int:
        """What senders have and have not spent; held stamps are among them."""
        return self.sold - self.settled + self.refunded


@dataclass(frozen=True, slots=True)
class Epoch:
    """A new beginning of the chain, after the ledger was restored."""

    id: bytes
    """16 random octets: whoever restores the same backup twice begins two epochs."""
    follows: int
    """The number of the last head of before that is in the books; what was signed behind it is not."""
    at: int
    """When it began, seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class BatchHead:
    """One link of the chain."""

    number: int
    """1 is the first; no number is left out."""
    at: int
    """When it was written, seconds since 1970 UTC by the office's clock."""
    totals: Totals
    """With this batch."""
    count: int
    """How many details it has."""
    root: bytes
    """The Merkle root of their hashes."""
    previous: bytes
    """The hash of the head before."""
    epochs: tuple[Epoch, ...] = ()
    """Those begun so far, the last `EPOCHS_MAX`; none where the ledger was never restored."""

    @property
    def hash(self) -> bytes:
        """What the next head, and a receipt's signature, commits to."""
        totals = self.totals
        packed = _HEAD.pack(self.number, self.at, totals.sold, totals.settled, totals.refunded, self.count)
        context = CONTEXT_EPOCH if self.epochs else CONTEXT_CHAIN
        return sha256(context + packed + self.root + self.previous + pack_epochs(self.epochs)).digest()

    def is_in_books_of(self, other: "BatchHead") -> bool:
        """Whether a ledger whose chain has `other` has this link too, or says so: a link behind it counts as well.

        Where not, it was lost by a restore, or by several of which `other` does not know.
        """
        ids = [epoch.id for epoch in other.epochs]
        mine = self.epochs[-1].id if self.epochs else None
        if (mine is None and len(ids) == EPOCHS_MAX) or (mine is not None and mine not in ids):
            return False
        later = other.epochs if mine is None else other.epochs[ids.index(mine) + 1 :]
        return not later or self.number <= later[0].follows


def pack_epochs(epochs: Sequence[Epoch]) -> bytes:
    """As heads commit to them: 32 octets each."""
    return b"".join(_EPOCH.pack(epoch.id, epoch.follows, epoch.at) for epoch in epochs)


def unpack_epochs(packed: bytes) -> tuple[Epoch, ...]:
    """Raises `Malformed` for what is no list of at most `EPOCHS_MAX`, each behind the one before."""
    if len(packed) % _EPOCH.size or len(packed) > EPOCHS_BYTES_MAX:
        raise Malformed("epochs: no whole number of them, or too many")
    epochs = tuple(Epoch(*fields) for fields in _EPOCH.iter_unpack(packed))
    if any(max(epoch.follows, epoch.at) > INTEGER_MAX for epoch in epochs):
        raise Malformed("epochs: a number that is too large")
    if any(one.follows >= other.follows for one, other in pairwise(epochs)):
        raise Malformed("epochs: one that does not come behind the one before")
    return epochs


@dataclass(frozen=True, slots=True)
class Use:
    """What a stamp was used for: one detail of a batch, and what a receipt is about."""

    account: str
    expiry_day: int
    serial: bytes
    letter: bytes
    receiver: str
    domain: str
    price: int
    at: int

    @property
    def detail(self) -> bytes:
        """The hash of this payment among the details of its batch."""
        stamp = (self.account, self.expiry_day, self.serial)
        return use_detail(b"settle", stamp, self.letter, self.receiver, self.domain, self.price, self.at)


def use_detail(
    kind: bytes, stamp: tuple[str, int, bytes], letter: bytes, receiver: str, domain: str, price: int, at: int
) -> bytes:
    """The hash of a payment (`settle`) or of its return (`refund`); `stamp` is account, expiry day and serial.

    The serial's 128 random bits are in it, so that nobody can find out by trying what a hash stands for. Plain
    arguments and one expression, because every stamp that is settled comes by here while the ledger's lock is held.
    """
    account, expiry_day, serial = stamp
    return sha256(
        b"\x00k=%b;c=%b;x=%d;n=%b;l=%b;r=%b;d=%b;p=%d;t=%d;"
        % (
            kind, account.encode(), expiry_day, b2a_base64(serial, newline=False), b2a_base64(letter, newline=False),
            receiver.encode(), domain.encode(), price, at,
        )
    ).digest()  # fmt: skip


def credit_detail(kind: bytes, account: str, source: str, stamps: int, reason: str, at: int) -> bytes:
    """The hash of stamps that came to an account from another."""
    parts = (kind, account.encode(), source.encode(), encode_integer(stamps), encode_integer(at), reason.encode())
    return leaf_hash(b"".join(b"%d:%s" % (len(part), part) for part in parts))


def place_of(number: int, index: int) -> int:
    """A detail's place in the chain as one whole number, 0 for none; raises ValueError for an index out of bounds."""
    if index >> PLACE_BITS:
        raise ValueError(f"a batch has at most {1 << PLACE_BITS} details")
    return (number << PLACE_BITS) | index


def split_place(place: int) -> tuple[int, int]:
    """The batch's number and the index within it."""
    return place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1)
