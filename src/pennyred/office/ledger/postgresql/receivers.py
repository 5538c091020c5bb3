"""Receivers, the ids of requests, and answers that are kept. Functions of a connection inside a transaction."""

import hashlib
from collections.abc import Sequence

from asyncpg import Connection

from pennyred.office.ledger.callers import (
    ANSWER_LIFE_SECONDS,
    RECEIVER_DOMAINS_MAX,
    TOKEN_LIFE_SECONDS_MAX,
    KeptAnswer,
    Receiver,
    ReceiverOutcome,
    require_short,
)
from pennyred.office.ledger.postgresql import accounts as offices
from pennyred.office.ledger.protocol import receiver_account

_TOKENS_FORGOTTEN_EACH = 3
_ANSWERS_FORGOTTEN_EACH = 3


async def add_receiver(
    connection: Connection, name: str, domains: Sequence[str], token_hash: bytes, now: int
) -> ReceiverOutcome:
    """Register a receiver and open its account."""
    added = await connection.execute(
        "INSERT INTO receiver (name, domains, token_hash, added_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (name) DO NOTHING",
        name,
        list(domains),
        token_hash,
        now,
    )
    if added != "INSERT 0 1":  # by somebody else, or by ourselves, if the answer to COMMIT was lost
        there = await connection.fetchval("SELECT token_hash FROM receiver WHERE name = $1", name)
        return ReceiverOutcome.ADDED if there == token_hash else ReceiverOutcome.NAME_TAKEN
    await offices.insert_account(connection, receiver_account(name), "", None, daily_cap=0, now=now)
    return ReceiverOutcome.ADDED


async def receiver_by_token(connection: Connection, token_hash: bytes) -> Receiver | None:
    """The open receiver with this token."""
    row = await connection.fetchrow(
        "SELECT name, domains FROM receiver JOIN account ON account.id = 'receiver:' || name"
        " WHERE token_hash = $1 AND is_open",
        token_hash,
    )
    return None if row is None else Receiver(row["name"], tuple(row["domains"]))


async def remember_jti(connection: Connection, jti: str, expires_at: int, now: int) -> bool:
    """Remember a token's id; each call forgets more than it adds once there is something to forget."""
    if not now < expires_at <= now + TOKEN_LIFE_SECONDS_MAX:
        return False
    await connection.execute(
        "DELETE FROM token_seen WHERE hash IN (SELECT hash FROM token_seen"
        " WHERE expires_at <= (SELECT forget_at FROM passed_time) LIMIT $1 FOR UPDATE SKIP LOCKED)",
        _TOKENS_FORGOTTEN_EACH,
    )
    digest = hashlib.sha256(jti.encode()).digest()  # so that an id of any length takes 32 bytes
    done = await connection.execute(
        "INSERT INTO token_seen (hash, expires_at) VALUES ($1, $2)"
        " ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at WHERE token_seen.expires_at <= $3",
        digest, expires_at, now,
    )  # fmt: skip
    return bool(done == "INSERT 0 1")


async def add_domain(connection: Connection, name: str, domain: str) -> ReceiverOutcome:
    """Let a receiver redeem for one more domain."""
    domains = await connection.fetchval("SELECT domains FROM receiver WHERE name = $1 FOR UPDATE", name)
    if domains is None:
        return ReceiverOutcome.UNKNOWN_RECEIVER
    if domain in domains:
        return ReceiverOutcome.ADDED
    if len(domains) >= RECEIVER_DOMAINS_MAX:
        return ReceiverOutcome.TOO_MANY
    await connection.execute("UPDATE receiver SET domains = domains || $2::text WHERE name = $1", name, domain)
    return ReceiverOutcome.ADDED


async def keep_answer(connection: Connection, name: bytes, kept: KeptAnswer, now: int) -> None:
    """Keep an answer; each call forgets more than it adds once there is something to forget."""
    require_short(kept)
    await connection.execute(
        "DELETE FROM answer WHERE name = $3 AND expires_at <= $1 OR name IN"
        " (SELECT name FROM answer WHERE expires_at <= (SELECT forget_at FROM passed_time) LIMIT $2"
        " FOR UPDATE SKIP LOCKED)",
        now, _ANSWERS_FORGOTTEN_EACH, name,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO answer (name, body_hash, answer, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        name, kept.body_hash, kept.answer, now + ANSWER_LIFE_SECONDS,
    )  # fmt: skip


async def kept_answer(connection: Connection, name: bytes, now: int) -> KeptAnswer | None:
    """What is kept under this hash."""
    row = await connection.fetchrow(
        "SELECT body_hash, answer FROM answer WHERE name = $1 AND expires_at > $2", name, now
    )
    return None if row is None else KeptAnswer(*row)
