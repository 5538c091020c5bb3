"""The chain of a ledger's journal: every batch of changes commits to its details and to all batches before it.

A batch is what one transaction changed. Its details (who paid whom for which letter) are forgotten with their day. One
head for each batch stays for ever: running totals, the Merkle root of the details and the hash of the head before. So
nothing in the past can be altered, left out or inserted without a change in every later head. And no list of who
writes to whom is kept to prove that (STAMP.md 13).

A ledger restored from a backup has lost heads that were signed, and gives their numbers to new ones. So it begins a new
epoch, to which every later head commits. This shows that it is not one chain whose past was changed.
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
from pennyred.postage.stamp import StampKey

CONTEXT_CHAIN = b"pennyred/1 chain\0"
CONTEXT_EPOCH = b"pennyred/1 epoch\0"
"""The context of a head's hash after a restore; `CONTEXT_CHAIN` is for ledgers never restored."""
GENESIS = bytes(HASH_BYTES)
"""The `previous` hash of the first head."""
PLACE_BITS = 20
"""How many low bits of a place are the index within the batch; the bits above are the batch's number."""
EPOCH_ID_BYTES = 16
EPOCHS_MAX = 32
"""How many epochs a head names, the latest ones; an office is restored once in years."""
_HEAD = struct.Struct(">QqqqqI")
_EPOCH = struct.Struct(f">{EPOCH_ID_BYTES}sQQ")
EPOCHS_BYTES_MAX = EPOCHS_MAX * _EPOCH.size


@dataclass(frozen=True, slots=True)
class Totals:
    """How many stamps have gone through a ledger since it was created."""

    sold: int = 0
    """Stamps credited from `office:*` accounts to any other account."""
    settled: int = 0
    refunded: int = 0

    @property
    def outstanding(self) -> int:
        """Stamps that senders have and have not spent, with those that are held."""
        return self.sold - self.settled + self.refunded


@dataclass(frozen=True, slots=True)
class Epoch:
    """A new beginning of the chain, made when the ledger was restored from a backup."""

    id: bytes
    """16 random octets, so that two restores of the same backup are two epochs."""
    follows: int
    """The number of the last head that the restored ledger still has; later ones, though signed, are lost."""
    at: int
    """When it began, seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class BatchHead:
    """One link of the chain: what is kept of a batch for ever."""

    number: int
    """1 for the first, then without gaps."""
    at: int
    """When it was written, seconds since 1970 UTC by the office's clock."""
    totals: Totals
    """The running totals after this batch."""
    count: int
    """How many details the batch has."""
    root: bytes
    """The Merkle root of the details' hashes, 32 bytes."""
    previous: bytes
    """The hash of the head before, 32 bytes."""
    epochs: tuple[Epoch, ...] = ()
    """The epochs begun so far, at most the last `EPOCHS_MAX`; empty if the ledger was never restored."""

    @property
    def hash(self) -> bytes:
        """The head's hash, 32 bytes: the next head and the signature of a receipt commit to it."""
        totals = self.totals
        packed = _HEAD.pack(self.number, self.at, totals.sold, totals.settled, totals.refunded, self.count)
        context = CONTEXT_EPOCH if self.epochs else CONTEXT_CHAIN
        return sha256(context + packed + self.root + self.previous + pack_epochs(self.epochs)).digest()

    def is_in_books_of(self, other: "BatchHead") -> bool:
        """Whether the ledger that made `other` still has this head, by the epochs that `other` names.

        If not, this head was lost by a restore, or `other` does not know the restores that came after it. A head later
        than `other` counts as present.
        """
        ids = [epoch.id for epoch in other.epochs]
        mine = self.epochs[-1].id if self.epochs else None
        if (mine is None and len(ids) == EPOCHS_MAX) or (mine is not None and mine not in ids):
            return False
        later = other.epochs if mine is None else other.epochs[ids.index(mine) + 1 :]
        return not later or self.number <= later[0].follows


def pack_epochs(epochs: Sequence[Epoch]) -> bytes:
    """The epochs in the form that heads commit to: 32 octets each."""
    return b"".join(_EPOCH.pack(epoch.id, epoch.follows, epoch.at) for epoch in epochs)


def unpack_epochs(packed: bytes) -> tuple[Epoch, ...]:
    """Read what `pack_epochs` made. Raises `Malformed` for more than `EPOCHS_MAX`, or for epochs out of order."""
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
    """What a stamp was used for: one detail of a batch, and the content of a receipt."""

    account: str
    expiry_day: int
    serial: bytes
    letter: bytes
    receiver: str
    domain: str
    price: int
    at: int

    @property
    def key(self) -> StampKey:
        """The stamp's key in a ledger: account, expiry day, serial."""
        return self.account, self.expiry_day, self.serial

    @property
    def detail(self) -> bytes:
        """The hash of this payment, a leaf among the details of its batch."""
        return use_detail(b"settle", self.key, self.letter, self.receiver, self.domain, self.price, self.at)


def use_detail(kind: bytes, stamp: StampKey, letter: bytes, receiver: str, domain: str, price: int, at: int) -> bytes:
    """The hash of a payment (`settle`) or of its return (`refund`); `stamp` is account, expiry day and serial.

    It contains the serial's 128 random bits, so that nobody can find out by trying what a hash stands for. Plain
    arguments and one expression, for speed: it runs for every settled stamp while the ledger's lock is held.
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
    """The hash of a credit: `stamps` that came to `account` from `source`, another account."""
    parts = (kind, account.encode(), source.encode(), encode_integer(stamps), encode_integer(at), reason.encode())
    return leaf_hash(b"".join(b"%d:%s" % (len(part), part) for part in parts))


def place_of(number: int, index: int) -> int:
    """A detail's place in the chain as one integer; 0 means none. Raises ValueError for an index out of bounds."""
    if index >> PLACE_BITS:
        raise ValueError(f"a batch has at most {1 << PLACE_BITS} details")
    return (number << PLACE_BITS) | index


def split_place(place: int) -> tuple[int, int]:
    """The batch's number and the index within the batch, from what `place_of` made."""
    return place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1)
