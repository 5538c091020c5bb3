"""The journal's chain as every back end keeps it: how the next link is made, and how a chain is checked.

Pure: the back ends read and write the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pennyred.office.ledger.batch import Changes, use_of
from pennyred.postage.ledger_rules import StampRecord
from pennyred.postage.proofs.chain import EPOCHS_MAX, GENESIS, BatchHead, Epoch, Totals, split_place
from pennyred.postage.proofs.merkle import HASH_BYTES, root_of
from pennyred.postage.stamp import StampKey

__all__ = ["HASH_BYTES", "ChainAudit", "Moved", "epochs_of", "joined", "next_head", "split_hashes"]


@dataclass(frozen=True, slots=True)
class Moved:
    """What one batch adds to the totals, in stamps."""

    sold: int = 0
    settled: int = 0
    refunded: int = 0

    @classmethod
    def by(cls, changes: Changes) -> "Moved":
        """What a batch of redemptions has moved."""
        return cls(settled=sum(changes.settled.values()), refunded=sum(changes.refunded.values()))


def next_head(
    last: BatchHead | None, details: Sequence[bytes], moved: Moved, *, now: int, begins: bytes | None = None
) -> BatchHead:
    """The link that follows `last`. With `begins`, the id of a new epoch, it is the first link of that epoch."""
    before = Totals() if last is None else last.totals
    totals = Totals(before.sold + moved.sold, before.settled + moved.settled, before.refunded + moved.refunded)
    return BatchHead(
        number=1 if last is None else last.number + 1,
        at=now,
        totals=totals,
        count=len(details),
        root=root_of(details),
        previous=GENESIS if last is None else last.hash,
        epochs=_epochs(last, begins, now),
    )


def _epochs(last: BatchHead | None, begins: bytes | None, now: int) -> tuple[Epoch, ...]:
    before = () if last is None else last.epochs
    if begins is None:
        return before
    return (*before, Epoch(begins, 0 if last is None else last.number, now))[-EPOCHS_MAX:]


def epochs_of(number: int, epochs: Sequence[Epoch]) -> tuple[Epoch, ...]:
    """The epochs that a head with this number commits to, out of all that a ledger has begun."""
    return tuple(epoch for epoch in epochs if epoch.follows < number)[-EPOCHS_MAX:]


def joined(details: Sequence[bytes]) -> bytes:
    """Join the hashes of a batch's details into one value, as they are stored."""
    return b"".join(details)


def split_hashes(stored: bytes) -> list[bytes]:
    """Split a value that `joined` has made into its hashes."""
    return [stored[start : start + HASH_BYTES] for start in range(0, len(stored), HASH_BYTES)]


class ChainAudit:
    """Checks a chain from its first link, and then the stamps by their places. Each step yields what is wrong."""

    def __init__(self, journal: Totals) -> None:
        """`journal` is the totals that the postings sum to."""
        self._journal = journal
        self._totals = Totals()
        self._details: list[bytes] | None = None
        self.number = 0
        self.previous = GENESIS
        """The hash of the link before."""

    def link(self, head: BatchHead, noted_hash: bytes, stored_details: bytes | None) -> Iterator[str]:
        """Check the next link. What comes before it is what this audit has seen, not what the link claims."""
        if head.number != self.number + 1:
            yield f"the chain leaps from batch {self.number} to {head.number}"
        if head.hash != noted_hash:
            yield f"batch {head.number}: its hash is not that of what it says and of the batch before"
        if stored_details is not None and not self._is_root(head, stored_details):
            yield f"batch {head.number}: its details are not those it committed to"
        if _is_less(head.totals, self._totals):
            yield f"batch {head.number}: its totals are less than those before"
        self.number, self.previous, self._totals = head.number, noted_hash, head.totals

    def end(self) -> Iterator[str]:
        """Check, after the last link, that its totals agree with the journal."""
        if self._totals != self._journal:
            yield f"the chain ends with {_words(self._totals)}, the journal has {_words(self._journal)}"

    def open_batch(self, number: int, details: list[bytes] | None) -> None:
        """Begin with the stamps that have their places in this batch. None: the batch's details are not there."""
        self.number, self._details = number, details

    def use(self, key: StampKey, stamp: StampRecord) -> Iterator[str]:
        """Check a settled stamp that has its place in the batch opened last."""
        number, index = split_place(stamp.place)
        if self._details is None:
            yield f"batch {number}: it has no details, but a stamp of {key[0]} stands in it"
        elif index >= len(self._details) or self._details[index] != use_of(key, stamp).detail:
            yield f"batch {number}: what stands at {index} is not the use of the stamp of {key[0]} that says so"

    def _is_root(self, head: BatchHead, stored: bytes) -> bool:
        return len(stored) == HASH_BYTES * head.count and root_of(split_hashes(stored)) == head.root


def _is_less(totals: Totals, before: Totals) -> bool:
    return totals.sold < before.sold or totals.settled < before.settled or totals.refunded < before.refunded


def _words(totals: Totals) -> str:
    return f"{totals.sold} sold, {totals.settled} settled and {totals.refunded} refunded"
