"""Accounts, the double entry beside them, and the chain's next link: all that a batch moves, in few statements.

Functions of a connection inside a transaction.
"""

from collections.abc import Iterable, Mapping, Sequence

from asyncpg import Connection

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Changes
from pennyred.office.ledger.chaining import Moved, joined
from pennyred.office.ledger.daily import daily_entry
from pennyred.office.ledger.postgresql.literals import columns, numbers, texts
from pennyred.office.ledger.protocol import EntryKind, is_internal, receiver_account
from pennyred.postage.ledger_rules import AccountFigures
from pennyred.postage.proofs.chain import CONTEXT_CHAIN, CONTEXT_EPOCH, credit_detail
from pennyred.postage.proofs.merkle import root_of

_FIGURES = """
SELECT id, is_open, public_key, daily_cap, balance, held, 0 AS used
FROM account WHERE id = ANY($1::text::text[]) AND public_key IS NOT NULL ORDER BY id FOR UPDATE
"""
# What is held and used without being written yet stands in the open holds alone (`openholds`). Each row is looked up by
# its key: see `stamps`.
_USED = """
SELECT one.account, coalesce(open.today, 0)
  + coalesce((SELECT stamps FROM daily_use WHERE daily_use.account = one.account AND day = $2::integer), 0),
  coalesce(open.held, 0)
FROM unnest($1::text::text[]) AS one (account) CROSS JOIN LATERAL (
  SELECT sum(price)::bigint AS held, (sum(price) FILTER (WHERE cap_day = $2::integer))::bigint AS today
  FROM open_hold WHERE open_hold.account = one.account
) AS open
"""
_LOCKED = "SELECT id, balance FROM account WHERE id = ANY($1::text::text[]) ORDER BY id FOR UPDATE"
_SENDERS = """
WITH used AS (
  INSERT INTO daily_use (account, day, stamps)
  SELECT * FROM unnest($4::text::text[], $5::text::integer[], $6::text::bigint[])
  ON CONFLICT (account, day) DO UPDATE SET stamps = daily_use.stamps + excluded.stamps
), pairs AS (
  INSERT INTO pair_use (account, receiver, day, holds, in_doubt)
  SELECT a, r, $7::integer, h, d
  FROM unnest($8::text::text[], $9::text::text[], $10::text::bigint[], $11::text::bigint[]) AS pair (a, r, h, d)
  ON CONFLICT (account, receiver, day) DO UPDATE SET
    holds = pair_use.holds + excluded.holds, in_doubt = pair_use.in_doubt + excluded.in_doubt
)
UPDATE account SET balance = balance - paid, held = held + change, spent = spent + paid
FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[]) AS sender (account, paid, change)
WHERE id = account
"""
# The account's last posting grows where it is of this entry; any other entry is a new one. Its account is locked.
_POSTINGS = """
INSERT INTO posting (account, number, entry_id, at, kind, detail, amount, balance)
SELECT one.account, coalesce(last.number + (last.entry_id <> $1::bigint)::integer, 1), $1::bigint, $2::bigint, $3::text,
  $4::text, one.amount, one.balance
FROM unnest($5::text::text[], $6::text::bigint[], $7::text::bigint[]) AS one (account, amount, balance)
LEFT JOIN LATERAL (
  SELECT number, entry_id FROM posting WHERE posting.account = one.account ORDER BY number DESC LIMIT 1
) AS last ON true
ON CONFLICT (account, number) DO UPDATE SET amount = posting.amount + excluded.amount, balance = excluded.balance
"""
_CREDITS = """
UPDATE account SET balance = balance + amount
FROM unnest($1::text::text[], $2::text::bigint[]) AS credit (account, amount) WHERE id = account
"""
# The hash of `chain.BatchHead`, made where the lock of the chain is held for the shortest time.
_LINK = """
WITH link AS (
  UPDATE chain SET number = number + 1, sold = sold + $2, settled = settled + $3, refunded = refunded + $4,
    hash = sha256(CASE WHEN epochs = '' THEN $8::bytea ELSE $14::bytea END
      || int8send(number + 1) || int8send($5::bigint) || int8send(sold + $2) || int8send(settled + $3)
      || int8send(refunded + $4) || int4send($6::integer) || $7::bytea || hash || epochs)
  RETURNING *
), days AS (
  UPDATE stamp_day SET settled = stamp_day.settled + moved.settled, refunded = stamp_day.refunded + moved.refunded
  FROM link, unnest($11::integer[], $12::bigint[], $13::bigint[]) AS moved (day, settled, refunded)
  WHERE stamp_day.day = moved.day
), kept AS (
  INSERT INTO detail (id, last_day, hashes) SELECT $1::bigint, $9::integer, $10::bytea
)
INSERT INTO batch (number, id, at, sold, settled, refunded, count, root, hash)
SELECT number, $1::bigint, $5::bigint, sold, settled, refunded, $6::integer, $7::bytea, hash FROM link
"""


async def locked_figures(connection: Connection, accounts: Iterable[str]) -> dict[str, AccountFigures]:
    """Lock these senders, and read what the rules need of them, except what `add_used` adds.

    An id that is no sender's is left out.
    """
    rows = await connection.fetch(_FIGURES, texts(sorted(set(accounts))))
    return {row[0]: AccountFigures(*row[1:]) for row in rows}


async def add_used(connection: Connection, figures: dict[str, AccountFigures], *, today: int) -> None:
    """Add what these senders, who are locked, have used of the day's cap, and what open holds keep.

    This is a statement of its own: the statement that waits for the locks sees other tables as they were before it
    waited.
    """
    for account, used, held in await connection.fetch(_USED, texts(figures), today):
        figures[account].used_today = used
        figures[account].held += held


async def locked_balances(connection: Connection, accounts: Iterable[str]) -> dict[str, int]:
    """Lock these accounts, and read their balances."""
    return {row[0]: row[1] for row in await connection.fetch(_LOCKED, texts(sorted(set(accounts))))}


async def new_batch_id(connection: Connection) -> int:
    """A new id for a batch, by which the places in it are named."""
    return int(await connection.fetchval("SELECT nextval('batch_id')"))


async def post(
    connection: Connection, kind: EntryKind, detail: str, *, payer: str, payee: str, stamps: int, now: int
) -> None:
    """Move stamps between two accounts that are locked, as a batch of its own in the chain."""
    balances = await locked_balances(connection, [payer, payee])
    entry_id = await connection.fetchval("SELECT nextval('entry_id')")
    amounts = {payer: -stamps, payee: stamps}
    await connection.execute(_CREDITS, *columns(amounts.items(), texts, numbers))
    postings = [(account, amount, balances[account] + amount) for account, amount in amounts.items()]
    posted = columns(postings, texts, numbers, numbers)
    await connection.execute(_POSTINGS, entry_id, now, kind.value, detail, *posted)
    hashed = credit_detail(kind.value.encode(), payee, payer, stamps, detail, now)
    moved = Moved(sold=stamps if is_internal(payer) else 0)
    await _link(connection, await new_batch_id(connection), [hashed], moved, {}, last_day=utc_day(now), now=now)


async def write(connection: Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Write what a batch holds, gives back and pays; `batch.number` is its id."""
    changes = batch.changes
    await _write_senders(connection, changes, now=now)
    if changes.paid:
        await _write_payments(connection, batch, kind, now=now)
    if changes.details:
        last_day = max(*changes.settled, *changes.refunded, utc_day(now))
        days = {
            day: (changes.settled.get(day, 0), changes.refunded.get(day, 0))
            for day in sorted({*changes.settled, *changes.refunded})
        }
        await _link(connection, batch.number, changes.details, Moved.by(changes), days, last_day=last_day, now=now)


async def _write_senders(connection: Connection, changes: Changes, *, now: int) -> None:
    """Balances, what is held, and what the cap and the sweeper count by; all under the senders' locks."""
    senders = [
        (one, changes.paid.get(one, 0), changes.held.get(one, 0))
        for one in {**changes.held, **changes.paid}
        if changes.held.get(one) or changes.paid.get(one)
    ]
    used = [(*use, stamps) for use, stamps in changes.used.items() if stamps]
    pairs = [
        (*pair, changes.holds.get(pair, 0), changes.in_doubt.get(pair, 0))
        for pair in {**changes.holds, **changes.in_doubt}
        if changes.holds.get(pair) or changes.in_doubt.get(pair)
    ]
    if not (senders or used or pairs):
        return
    await connection.execute(
        _SENDERS,
        *columns(senders, texts, numbers, numbers),
        *columns(used, texts, numbers, numbers),
        utc_day(now),
        *columns(pairs, texts, texts, numbers, numbers),
    )


async def _write_payments(connection: Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Credit the receivers, and post what everybody has paid and earned."""
    earned = {receiver_account(name): stamps for name, stamps in batch.changes.earned.items()}
    balances = await locked_balances(connection, earned)
    await connection.execute(_CREDITS, *columns(earned.items(), texts, numbers))
    postings = [(sender, -stamps, batch.accounts[sender].balance) for sender, stamps in batch.changes.paid.items()]
    postings += [(receiver, stamps, balances[receiver] + stamps) for receiver, stamps in earned.items()]
    entry_id, at = daily_entry(kind, now=now)
    posted = columns(postings, texts, numbers, numbers)
    await connection.execute(_POSTINGS, entry_id, at, kind.value, "", *posted)


async def _link(
    connection: Connection, batch_id: int, details: Sequence[bytes], moved: Moved,
    days: Mapping[int, tuple[int, int]], *, last_day: int, now: int,
) -> None:  # fmt: skip
    """Write the chain's next link. It comes last, because whoever writes the next one waits until this transaction
    ends.
    """
    await connection.execute(
        _LINK, batch_id, moved.sold, moved.settled, moved.refunded, now, len(details), root_of(details), CONTEXT_CHAIN,
        last_day, joined(details), list(days), [one[0] for one in days.values()], [one[1] for one in days.values()],
        CONTEXT_EPOCH,
    )  # fmt: skip
