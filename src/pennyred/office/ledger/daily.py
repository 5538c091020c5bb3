"""Which entry of the journal a batch's payments go into: one entry a UTC day for each kind, however many batches.

So the journal, which is kept for ever, says what an account has paid or earned on a day. It does not say to whom, or
from whom. That is in the stamps and in the chain's details, which are forgotten with their day. It is like the daily
total that a subsidiary ledger posts to the general one.
"""

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.office.ledger.protocol import EntryKind

_KINDS = (EntryKind.SETTLE, EntryKind.REFUND, EntryKind.SWEEP)
"""In an order that is stored: never change it, and keep it in step with the migrations."""
_KINDS_MAX = 4


def daily_entry(kind: EntryKind, *, now: int) -> tuple[int, int]:
    """The id of the day's entry of a kind, and its time, which is the beginning of the day.

    The id is negative, so no counter ever gives the same one. It follows from day and kind, so offices that write at
    the same time agree on it without asking.
    """
    return -(_KINDS_MAX * utc_day(now) + _KINDS.index(kind)), now - now % DAY_SECONDS
