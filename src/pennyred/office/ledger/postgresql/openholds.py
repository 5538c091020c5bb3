"""Open holds that need not last: what a batch leaves in their own table, and what it then has to write elsewhere.

Such a hold is counted nowhere but in its own row, so that whatever forgets the row forgets all of it. Whoever decides
adds the rows to the figures (`journal.add_open`); what is left of the changes without them is written. Pure.
"""

from collections.abc import Collection, Mapping

from pennyred.office.ledger.batch import Changes
from pennyred.postage.ledger_rules import StampRecord, StampState
from pennyred.postage.stamp import StampKey


def leave_open(
    changes: Changes,
    before: Mapping[StampKey, StampRecord],
    written: Collection[StampKey],
    lasting: Collection[StampKey] | None,
) -> dict[StampKey, StampRecord]:
    """Take out of `changes` what open holds alone keep; answers the records that are to be such holds.

    `before` are the stamps that were open holds, as they were; `written` those that were written holds, and stay so;
    `lasting` those that must be written now; None: all.
    """
    left: dict[StampKey, StampRecord] = {}
    for key, record in changes.stamps.items():
        if (was := before.get(key)) is not None:
            _count(changes, key, was, 1)
        is_lasting = lasting is None or key in lasting or key in written
        if record.state == StampState.HELD and not is_lasting:
            left[key] = record
            _count(changes, key, record, -1)
    for key in left:
        del changes.stamps[key]
    return left


def _count(changes: Changes, key: StampKey, record: StampRecord, sign: int) -> None:
    """Count a hold's price towards the account and its cap, and the hold towards the pair; or take them out."""
    changes.held[key[0]] += sign * record.price
    changes.used[key[0], record.cap_day] += sign * record.price
    changes.holds[key[0], record.receiver] += sign
