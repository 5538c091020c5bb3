"""What recipients have approved: lists, domains, addresses; and windows in which they expect mail.

A permit stands under an address, a domain of ours, or `*` for everybody. Raises Unavailable when the state does not
answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import EXPECTED_LETTERS_MAX, Grant, is_under, parents
from pennyred.postage.networks import parse_network
from pennyred.postage.reasons import Reason
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

PERMITS_MAX = 1_000
"""The most permits that one recipient may have."""
WINDOWS_MAX = 20
EXPECTED_COUNTER = b"e"


class Kind(StrEnum):
    """What a permit is about."""

    LIST = "list"
    """A List-Id, which its own domain, or the one named as proof, must vouch for."""
    DOMAIN = "domain"
    """A domain that is authenticated."""
    ADDRESS = "address"
    """An address in From that is aligned, or in MAIL FROM that SPF proves."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What one recipient, a domain of ours or everybody has approved."""

    user: str
    kind: Kind
    name: str
    proof: str = ""
    """A domain (of a list) or a network (of a domain or address) that takes the place of the kind's own proof."""
    added_day: int = 0
    last_day: int | None = None
    """The last day it is good on; None: no end."""


class TooMany(ValueError):  # noqa: N818 - said to whoever adds
    """A recipient has as many permits, or open windows, as may be."""


class Permits:
    """Writes permits and windows down. What is asked while a letter is judged is in `gate.ports.GrantBook`."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def add(self, permit: Permit) -> None:
        """Add or renew one; raises TooMany."""
        await self._commits.run(lambda connection: _add(connection, permit))

    async def remove(self, user: str, name: str) -> int:
        """Take back what was approved under a name. Answers how many permits there were."""
        return await self._commits.run(lambda connection: _remove(connection, user, name))

    async def listed(self, user: str = "", *, day: int) -> list[Permit]:
        """All permits that are good on `day`, or only those of one user."""
        statement = "SELECT user, kind, name, proof, added_day, last_day FROM permit WHERE coalesce(last_day, ?) >= ?"
        values: tuple[Any, ...] = (day, day)
        if user:
            statement, values = statement + " AND user = ?", (*values, user)
        rows: Any = await self._commits.run(
            lambda connection: connection.execute(statement + " ORDER BY user, kind, name", values).fetchall()
        )
        return [Permit(one, Kind(kind), *rest) for one, kind, *rest in rows]

    async def expect(self, user: str, domain: str, *, until: int, now: int) -> None:
        """Open a window: until then (seconds since 1970-01-01) mail that `domain` vouches for is free.

        `""` as the domain: all mail is. Raises TooMany.
        """
        await self._commits.run(lambda connection: _expect(connection, user, domain, until, now))


def _add(connection: Connection, permit: Permit) -> None:
    name = (permit.user, permit.kind.value, permit.name, permit.proof)
    others = "SELECT count(*) FROM permit WHERE user = ?1 AND (kind, name, proof) <> (?2, ?3, ?4)"
    ((count,),) = _rows(connection, others, name)
    if int(count) >= PERMITS_MAX:
        raise TooMany(f"{permit.user} has {PERMITS_MAX} permits already; remove some")
    connection.execute(
        "INSERT INTO permit (user, kind, name, proof, added_day, last_day) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (user, kind, name, proof)"
        " DO UPDATE SET added_day = excluded.added_day, last_day = excluded.last_day",
        (*name, permit.added_day, permit.last_day),
    )


def _remove(connection: Connection, user: str, name: str) -> int:
    before = connection.total_changes()
    connection.execute("DELETE FROM permit WHERE user = ? AND name = ?", (user, name))
    connection.execute("DELETE FROM expected WHERE user = ? AND domain = ?", (user, name))
    return connection.total_changes() - before


def _expect(connection: Connection, user: str, domain: str, until: int, now: int) -> None:
    connection.execute("DELETE FROM expected WHERE until_at < (SELECT forget_at FROM passed_time)")
    open_ones = "SELECT count(*) FROM expected WHERE user = ? AND until_at >= ?"
    ((count,),) = _rows(connection, open_ones, (user, now))
    if int(count) >= WINDOWS_MAX:
        raise TooMany(f"{user} has {WINDOWS_MAX} open windows already")
    connection.execute("INSERT INTO expected (user, domain, until_at, used) VALUES (?, ?, ?, 0)", (user, domain, until))


def permit_grants(connection: Connection, users: Sequence[str], claims: Claims, day: int) -> list[Grant]:
    """The grants of permits under these names that are about what the letter claims."""
    claimed = claimed_names(claims)
    if not claimed:
        return []
    rows: Any = connection.executemany(
        "SELECT kind, name, proof FROM permit WHERE user = ? AND kind = ? AND name = ? AND coalesce(last_day, ?) >= ?",
        [(user, kind.value, name, day, day) for user in users for kind, name in claimed],
    )
    return [grant for kind, name, proof in rows.fetchall() for grant in _grants(Kind(kind), name, proof, claims)]


def window_grants(connection: Connection, users: Sequence[str], now: int) -> list[Grant]:
    """The grants of the windows that are open under these names."""
    rows: Any = connection.executemany(
        "SELECT id, domain FROM expected WHERE user = ? AND until_at >= ? AND used < ?",
        [(user, now, EXPECTED_LETTERS_MAX) for user in users],
    )
    return [
        Grant(
            Reason.EXPECTED,
            domains=(domain,) if domain else (),
            counter=EXPECTED_COUNTER + int(window).to_bytes(8, "big"),
        )
        for window, domain in rows.fetchall()
    ]


def _rows(connection: Connection, statement: str, values: tuple[Any, ...]) -> Any:
    return connection.execute(statement, values).fetchall()


def claimed_names(claims: Claims) -> list[tuple[Kind, str]]:
    """The kinds and names in a letter that a permit may be about."""
    domains = [mailbox.domain for mailbox in claims.mailboxes] + list(claims.signers)
    named = [(Kind.LIST, claims.list_id)] if claims.list_id else []
    named += [(Kind.ADDRESS, mailbox.canonical) for mailbox in claims.mailboxes]
    named += [(Kind.DOMAIN, one) for name in domains for one in parents(name)]
    return list(dict.fromkeys(named))


def _grants(kind: Kind, name: str, proof: str, claims: Claims) -> Iterator[Grant]:
    networks = (parse_network(proof),) if "/" in proof else ()
    match kind:
        case Kind.LIST:
            yield Grant(
                Reason.LIST,
                domains=(proof,) if proof and not networks else (),
                list_id="" if proof else name,
                networks=networks,
            )
        case Kind.ADDRESS if networks:
            yield Grant(Reason.LIST, networks=networks)
        case Kind.ADDRESS:
            if claims.author is not None and name == claims.author.canonical:
                yield Grant(Reason.LIST, is_author_proven=True)
            if claims.sender is not None and name == claims.sender.canonical:
                yield Grant(Reason.LIST, is_sender_proven=True)
        case Kind.DOMAIN if not networks:
            yield Grant(Reason.LIST, domains=(name,))
        case Kind.DOMAIN if any(is_under(one.domain, name) for one in claims.mailboxes):
            yield Grant(Reason.LIST, networks=networks)
