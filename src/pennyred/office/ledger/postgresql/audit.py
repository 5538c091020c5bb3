"""The audit of a ledger in PostgreSQL.

Every figure is recomputed from the journal and the stamps, and compared with what is kept beside them. Then the
journal's chain is checked from its first link. The audit only reads, in one transaction that sees one moment of the
database, so it may run beside redemptions.
"""

from collections.abc import AsyncIterator

from asyncpg import Connection

from pennyred.office.ledger.postgresql import chain, days
from pennyred.office.ledger.protocol import DIFFERENCES_MAX, Audit
from pennyred.postage.ledger_rules import StampState

# Each query answers with sentences; none when all is well.
_CHECKS = (
    """SELECT format('entry %s: its postings sum to %s, not 0', entry_id, sum(amount))
    FROM posting GROUP BY entry_id HAVING sum(amount) <> 0""",
    """SELECT format('account %s has postings but does not exist', account)
    FROM posting WHERE NOT EXISTS (SELECT FROM account WHERE id = account) GROUP BY account""",
    """SELECT format('account %s: its balance is %s, its postings sum to %s', id, balance, coalesce(total, 0))
    FROM account LEFT JOIN (SELECT account, sum(amount) AS total FROM posting GROUP BY account) AS sums ON account = id
    WHERE balance <> coalesce(total, 0)""",
    """SELECT format('account %s, entry %s: noted balance %s, sum so far %s', account, entry_id, balance, total)
    FROM (SELECT *, sum(amount) OVER (PARTITION BY account ORDER BY number) AS total FROM posting) AS running
    WHERE balance <> total""",
    """SELECT format('account %s is below zero: %s', id, balance)
    FROM account WHERE balance < 0 AND id NOT LIKE 'office:%'""",
    """SELECT format('account %s holds %s of a balance of %s', id, held, balance)
    FROM account WHERE held < 0 OR (held > balance AND id NOT LIKE 'office:%')""",
    """SELECT format('account %s: has spent %s, its entries say %s', id, spent, coalesce(total, 0))
    FROM account LEFT JOIN (
      SELECT account, -sum(amount) AS total FROM posting WHERE kind IN ('settle', 'sweep', 'refund') GROUP BY account
    ) AS sums ON account = id
    WHERE public_key IS NOT NULL AND spent <> coalesce(total, 0)""",
    """SELECT format('vouchers redeemed are worth %s, their account has paid %s', total, -balance)
    FROM account, (SELECT coalesce(sum(stamps), 0) AS total FROM voucher WHERE account IS NOT NULL) AS redeemed
    WHERE id = 'office:vouchers' AND total <> -balance""",
    """SELECT format('account %s: %s noted as held, its open holds sum to %s',
      coalesce(id, account), coalesce(noted, 0), coalesce(found, 0))
    FROM (SELECT id, held AS noted FROM account WHERE held <> 0) AS noting
    FULL JOIN (SELECT account, sum(price) AS found FROM hold GROUP BY account) AS holds ON account = id
    WHERE coalesce(noted, 0) <> coalesce(found, 0)""",
    """SELECT format('account %s: its open holds are more than its balance of %s', id, balance)
    FROM account JOIN (SELECT account, sum(price) AS found FROM open_hold GROUP BY account) AS holds ON account = id
    WHERE held + found > balance""",
    """SELECT format('account %s: a stamp is held twice', account)
    FROM open_hold JOIN hold USING (account, expiry_day, serial)""",
)
_DAY = f"""
SELECT
  coalesce(sum(price) FILTER (WHERE state IN ({StampState.SETTLED.value}, {StampState.REFUNDED.value})), 0)::bigint,
  coalesce(sum(price) FILTER (WHERE state = {StampState.REFUNDED.value}), 0)::bigint FROM stamp WHERE expiry_day = $1
"""  # noqa: S608 - numbers of ours
_KEPT = "SELECT settled, refunded FROM floor UNION ALL SELECT settled, refunded FROM stamp_day"
_SUMS = """
SELECT (
    (SELECT coalesce(sum(price), 0) FROM hold) + (SELECT coalesce(sum(price), 0) FROM open_hold)
  )::bigint,
  coalesce((SELECT sum(balance) FROM account WHERE public_key IS NOT NULL), 0)::bigint
"""


async def audit(connection: Connection) -> Audit:
    """Recompute every balance, hold and total, and check the chain."""
    # Whole tables are read here, so what hinders that elsewhere is lifted, and the limit of time.
    await connection.execute(
        "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;"
        " SET LOCAL statement_timeout = 0"
    )
    found: list[str] = []
    async for sentence in _differences(connection):
        if len(found) >= DIFFERENCES_MAX:
            break
        found.append(sentence)
    totals = await chain.journal_totals(connection)
    held, outstanding = await connection.fetchrow(_SUMS, timeout=None)
    return Audit(not found, totals.sold, totals.settled, totals.refunded, held, outstanding, tuple(found))


async def _differences(connection: Connection) -> AsyncIterator[str]:
    for check in _CHECKS:
        for row in await connection.fetch(check + f" LIMIT {DIFFERENCES_MAX}", timeout=None):
            yield row[0]
    present = await days.present(connection)
    for day in present:
        sums = tuple(await connection.fetchrow(_DAY, day, timeout=None))
        noted = tuple(await connection.fetchrow("SELECT settled, refunded FROM stamp_day WHERE day = $1", day))
        if sums != noted:
            yield (
                f"expiry day {day}: its stamps have {sums[0]} settled and {sums[1]} refunded,"
                f" its totals say {noted[0]} and {noted[1]}"
            )
    totals = await chain.journal_totals(connection)
    kept_settled, kept_refunded = (sum(column) for column in zip(*await connection.fetch(_KEPT), strict=True))
    if (kept_settled, kept_refunded) != (totals.settled, totals.refunded):
        yield (
            f"the journal has {totals.settled} settled and {totals.refunded} refunded,"
            f" the stamps {kept_settled} and {kept_refunded}"
        )
    async for sentence in chain.differences(connection, present):
        yield sentence
