"""Receivers, the ids of requests, and answers that are kept. Functions of a connection inside a transaction."""

import hashlib
import json
from collections.abc import Sequence

import apsw

from pennyred.office.ledger.callers import (
    ANSWER_LIFE_SECONDS,
    RECEIVER_DOMAINS_MAX,
    TOKEN_LIFE_SECONDS_MAX,
    KeptAnswer,
    Receiver,
    ReceiverOutcome,
    require_short,
)
from pennyred.office.ledger.protocol import AccountState, receiver_account
from pennyred.office.ledger.sqlite import accounts as offices

_TOKENS_FORGOTTEN_EACH = 3
_ANSWERS_FORGOTTEN_EACH = 3


def add_receiver(
    connection: apsw.Connection, name: str, domains: Sequence[str], token_hash: bytes, now: int
) -> ReceiverOutcome:
    """Register a receiver and open its account."""
    if offices.account(connection, receiver_account(name)):
        there = connection.execute("SELECT token_hash FROM receiver WHERE name = ?", (name,)).fetchone()
        return ReceiverOutcome.ADDED if there == (token_hash,) else ReceiverOutcome.NAME_TAKEN
    offices.insert_account(connection, receiver_account(name), "", None, daily_cap=0, now=now)
    connection.execute(
        "INSERT INTO receiver (name, domains, token_hash, added_at) VALUES (?, ?, ?, ?)",
        (name, json.dumps(list(domains)), token_hash, now),
    )
    return ReceiverOutcome.ADDED


def receiver_by_token(connection: apsw.Connection, token_hash: bytes) -> Receiver | None:
    """The open receiver with this token."""
    row = connection.execute("SELECT name, domains FROM receiver WHERE token_hash = ?", (token_hash,)).fetchone()
    if row is None:
        return None
    its_account = offices.account(connection, receiver_account(row[0]))
    if its_account is None or its_account.state is AccountState.CLOSED:
        return None
    return Receiver(row[0], tuple(json.loads(row[1])))


def remember_jti(connection: apsw.Connection, jti: str, expires_at: int, now: int) -> bool:
    """Remember a token's id; each call forgets more than it adds once there is something to forget."""
    if not now < expires_at <= now + TOKEN_LIFE_SECONDS_MAX:
        return False
    connection.execute(
        "DELETE FROM token_seen WHERE hash IN (SELECT hash FROM token_seen"
        " WHERE expires_at <= (SELECT forget_at FROM passed_time) LIMIT ?)",
        (_TOKENS_FORGOTTEN_EACH,),
    )
    digest = hashlib.sha256(jti.encode()).digest()  # so that an id of any length takes 32 bytes
    connection.execute(
        "INSERT INTO token_seen (hash, expires_at) VALUES (?, ?)"
        " ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at WHERE token_seen.expires_at <= ?",
        (digest, expires_at, now),
    )
    return connection.changes() == 1


def add_domain(connection: apsw.Connection, name: str, domain: str) -> ReceiverOutcome:
    """Let a receiver redeem for one more domain."""
    row = connection.execute("SELECT domains FROM receiver WHERE name = ?", (name,)).fetchone()
    if row is None:
        return ReceiverOutcome.UNKNOWN_RECEIVER
    domains = json.loads(row[0])
    if domain in domains:
        return ReceiverOutcome.ADDED
    if len(domains) >= RECEIVER_DOMAINS_MAX:
        return ReceiverOutcome.TOO_MANY
    connection.execute("UPDATE receiver SET domains = ? WHERE name = ?", (json.dumps([*domains, domain]), name))
    return ReceiverOutcome.ADDED


def keep_answer(connection: apsw.Connection, name: bytes, kept: KeptAnswer, now: int) -> None:
    """Keep an answer; each call forgets more than it adds once there is something to forget."""
    require_short(kept)
    connection.execute(
        "DELETE FROM answer WHERE name IN (SELECT name FROM answer"
        " WHERE expires_at <= (SELECT forget_at FROM passed_time) LIMIT ?)",
        (_ANSWERS_FORGOTTEN_EACH,),
    )
    connection.execute("DELETE FROM answer WHERE name = ? AND expires_at <= ?", (name, now))
    connection.execute(
        "INSERT INTO answer (name, body_hash, answer, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (name, kept.body_hash, kept.answer, now + ANSWER_LIFE_SECONDS),
    )


def kept_answer(connection: apsw.Connection, name: bytes, now: int) -> KeptAnswer | None:
    """What is kept under this hash."""
    row = connection.execute(
        "SELECT body_hash, answer FROM answer WHERE name = ? AND expires_at > ?", (name, now)
    ).fetchone()
    return None if row is None else KeptAnswer(*row)
