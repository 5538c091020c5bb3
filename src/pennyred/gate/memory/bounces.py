"""Grants for mail from `<>` that answers a letter of ours.

Such a letter is known by a Message-ID, by whom the letter was for, or by the address that it left with.
"""

from collections.abc import Sequence
from typing import Any

from pennyred.gate.memory.correspondents import Hasher
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import (
    BOUNCES_MAX,
    BOUNCES_PER_LETTER,
    BOUNCES_TO_ADDRESS_MAX,
    CORRESPONDENT_DAYS,
    REPLY_DAYS,
    Grant,
    is_made_for_one,
    is_under,
)
from pennyred.gate.rules.reports import REPORTERS
from pennyred.postage.reasons import Reason
from pennyred.storage.statements import Connection

BOUNCE_COUNTER = b"b"
ADDRESS_COUNTER = b"a"
_IS_FEW = f"letters < {BOUNCES_TO_ADDRESS_MAX // BOUNCES_PER_LETTER}"
MOST_TO_ADDRESS = f"CASE WHEN {_IS_FEW} THEN letters * {BOUNCES_PER_LETTER} ELSE {BOUNCES_TO_ADDRESS_MAX} END"
"""How many an address may be sent, as SQL."""


def bounce_grants(
    connection: Connection, hasher: Hasher, users: Sequence[str], claims: Claims, day: int
) -> list[Grant]:
    """The grants for a letter from `<>` whose recipient has one of these names."""
    addresses = [user for user in users if "@" in user]
    return [
        *_to_address(connection, hasher, addresses, day),
        *_on_letters(connection, hasher, addresses, claims, day),
        *_about(connection, hasher, addresses, claims, day),
    ]


def _to_address(connection: Connection, hasher: Hasher, addresses: Sequence[str], day: int) -> list[Grant]:
    known = {hasher.address(address): is_made_for_one(address) for address in addresses}
    rows: Any = connection.executemany(
        f"SELECT address FROM bounce_address WHERE address = ? AND day >= ? AND used < {MOST_TO_ADDRESS}",  # noqa: S608
        [(address, day - REPLY_DAYS) for address in known],
    )
    return [
        Grant(
            Reason.BOUNCE,
            counter=ADDRESS_COUNTER + address,
            is_limited_by_source=not known[address],
            is_easily_guessed=not known[address],
        )
        for (address,) in rows.fetchall()
    ]


def _on_letters(
    connection: Connection, hasher: Hasher, addresses: Sequence[str], claims: Claims, day: int
) -> list[Grant]:
    named = dict.fromkeys((*claims.replied_to, *claims.returned))
    rows: Any = connection.executemany(
        "SELECT letter FROM sent WHERE letter = ? AND day >= ? AND bounced < ?",
        [(hasher.pair(user, one), day - REPLY_DAYS, BOUNCES_MAX) for user in addresses for one in named],
    )
    return [Grant(Reason.BOUNCE, counter=BOUNCE_COUNTER + letter) for (letter,) in rows.fetchall()]


def _about(connection: Connection, hasher: Hasher, addresses: Sequence[str], claims: Claims, day: int) -> list[Grant]:
    """The grant for a report on a letter to a correspondent, by a mail server of the correspondent's domain.

    Anybody can name a correspondent. That his domain vouches for the report is not enough: any other user of it can
    write what looks like a report, have it signed, and send it again from anywhere. So the domain must vouch for a name
    that no user can have.
    """
    author = claims.author
    if author is None or author.local not in REPORTERS:
        return []
    reported = [one for one in claims.reported if is_under(author.domain, one.domain)]
    rows: Any = connection.executemany(
        "SELECT other FROM correspondent WHERE user = ? AND other = ? AND last_day >= ?",
        [(user, hasher.pair(user, one.canonical), day - CORRESPONDENT_DAYS) for user in addresses for one in reported],
    )
    return [Grant(Reason.BOUNCE, is_author_proven=True)] if rows.fetchall() else []
