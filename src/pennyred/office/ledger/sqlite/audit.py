"""The audit of a ledger in SQLite.

Every figure is recomputed from the journal and the stamps, and compared with what is kept beside them. Then the
journal's chain is checked from its first link. The audit only reads, in one snapshot, so it may run beside redemptions.
"""

from collections.abc import Iterator
from itertools import islice

import apsw

from pennyred.office.ledger.protocol import DIFFERENCES_MAX, Audit
from pennyred.office.ledger.sqlite import chain, stamps
from pennyred.postage.ledger_rules import StampState

# Each query answers with sentences; none when all is well.
_CHECKS = (
    """SELECT format('entry %d: its postings sum to %d, not 0', entry_id, sum(amount))
    FROM posting GROUP BY entry_id HAVING sum(amount) <> 0""",
    """SELECT format('entry %d has no postings', id)
    FROM entry WHERE id NOT IN (SELECT entry_id FROM posting)""",
    """SELECT format('posting of %s in entry %d belongs to no entry', account, entry_id)
    FROM posting WHERE entry_id NOT IN (SELECT id FROM entry)""",
    """SELECT format('account %s has postings but does not exist', account)
    FROM posting WHERE account NOT IN (SELECT id FROM account) GROUP BY account""",
    """SELECT format('account %s: its balance is %d, its postings sum to %d', id, balance, coalesce(total, 0))
    FROM account LEFT JOIN (SELECT account, sum(amount) AS total FROM posting GROUP BY account) ON account = id
    WHERE balance <> coalesce(total, 0)""",
    """SELECT format('account %s, entry %d: noted balance %d, sum so far %d', account, entry_id, balance, total)
    FROM (SELECT *, sum(amount) OVER (PARTITION BY account ORDER BY number) AS total FROM posting)
    WHERE balance <> total""",
    """SELECT format('account %s is below zero: %d', id, balance)
    FROM account WHERE balance < 0 AND id NOT GLOB 'office:*'""",
    """SELECT format('account %s holds %d of a balance of %d', id, held, balance)
    FROM account WHERE held < 0 OR (held > balance AND id NOT GLOB 'office:*')""",
    """SELECT format('account %s: has spent %d, its entries say %d', id, spent, coalesce(total, 0))
    FROM account LEFT JOIN (
      SELECT account, -sum(amount) AS total FROM posting JOIN entry ON entry.id = entry_id
      WHERE kind IN ('settle', 'sweep', 'refund') GROUP BY account
    ) ON account = id
    WHERE public_key IS NOT NULL AND spent <> coalesce(total, 0)""",
    """SELECT format('vouchers redeemed are worth %d, their account has paid %d', total, -balance)
    FROM account, (SELECT coalesce(sum(stamps), 0) AS total FROM voucher WHERE account IS NOT NULL)
    WHERE id = 'office:vouchers' AND total <> -balance""",
)
_DAY_TOTALS = """
SELECT coalesce(sum(CASE WHEN state IN ({settled}, {refunded}) THEN price END), 0),
  coalesce(sum(CASE WHEN state = {refunded} THEN price END), 0),
  (SELECT settled FROM stamp_day WHERE day = {day}), (SELECT refunded FROM stamp_day WHERE day = {day})
FROM stamp_{day}
"""
_HELD = "SELECT account, sum(price) FROM hold GROUP BY account"
_KEPT_TOTALS = "SELECT settled, refunded FROM floor UNION ALL SELECT settled, refunded FROM stamp_day"


def audit(connection: apsw.Connection) -> Audit:
    """Recompute every balance, hold and total, and check the chain."""
    totals = chain.journal_totals(connection)
    differences = [str(sentence) for check in _CHECKS for (sentence,) in connection.execute(check)]
    held: dict[str, int] = dict(connection.execute(_HELD).fetchall())  # type: ignore[arg-type]
    for day in stamps.days(connection):
        differences.extend(_day_differences(connection, day))
    kept = connection.execute(_KEPT_TOTALS).fetchall()
    kept_settled, kept_refunded = (sum(column) for column in zip(*kept, strict=True))
    if (kept_settled, kept_refunded) != (totals.settled, totals.refunded):
        differences.append(
            f"the journal has {totals.settled} settled and {totals.refunded} refunded,"
            f" the stamps {kept_settled} and {kept_refunded}"
        )
    differences.extend(_held_differences(connection, held))
    differences.extend(islice(chain.differences(connection, stamps.days(connection)), DIFFERENCES_MAX))
    ((outstanding,),) = connection.execute("SELECT coalesce(sum(balance), 0) FROM account WHERE public_key IS NOT NULL")
    return Audit(
        not differences, totals.sold, totals.settled, totals.refunded, sum(held.values()), outstanding,
        tuple(differences[:DIFFERENCES_MAX]),
    )  # fmt: skip


def _day_differences(connection: apsw.Connection, day: int) -> Iterator[str]:
    query = _DAY_TOTALS.format(day=day, settled=StampState.SETTLED.value, refunded=StampState.REFUNDED.value)
    ((settled, refunded, noted_settled, noted_refunded),) = connection.execute(query)
    if (settled, refunded) != (noted_settled, noted_refunded):
        yield (
            f"expiry day {day}: its stamps have {settled} settled and {refunded} refunded,"
            f" its totals say {noted_settled} and {noted_refunded}"
        )


def _held_differences(connection: apsw.Connection, held: dict[str, int]) -> Iterator[str]:
    unnoted = dict(held)
    for account, noted in connection.execute("SELECT id, held FROM account WHERE held <> 0"):
        found = unnoted.pop(account, 0)
        if found != noted:
            yield f"account {account}: {noted} noted as held, its open holds sum to {found}"
    for account, found in unnoted.items():
        yield f"account {account}: 0 noted as held, its open holds sum to {found}"
