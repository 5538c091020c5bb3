"""Rules of single recipients that were set by command: price, mode, free. Read at the start and on SIGHUP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pennyred.failures import told
from pennyred.gate.memory import shared
from pennyred.gate.rules.recipients import RULES_MAX
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import has_table
from pennyred.storage.statements import Connection


@dataclass(frozen=True, slots=True)
class StoredRule:
    """What was set for one address or domain. None: the same as for all others."""

    name: str
    price: int | None = None
    mode: str | None = None
    is_free: bool = False
    """Whether it takes unstamped mail."""


def stored_rules(database: Path | str) -> list[StoredRule]:
    """The rules that were set in a state; none where there is no such file. Blocks. Raises Unavailable."""
    if isinstance(database, str):
        try:
            return shared.read(database, _all)
        except FileNotFoundError:
            return []
    return _stored_in_file(database)


def _stored_in_file(path: Path) -> list[StoredRule]:
    if not path.exists():
        return []
    try:
        connection = open_database(path, is_reader=True)
        try:
            return _all(connection) if has_table(connection, "recipient_rule") else []
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.STATE_UNAVAILABLE, f"{path}: {told(error)}") from error


class RecipientRuleBook:
    """The rules that were set by command. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def set(self, rule: StoredRule) -> None:
        """Set the rule for a name, in the place of the one that was set for it before."""
        values = (rule.name, rule.price, rule.mode, int(rule.is_free))
        await self._commits.run(
            lambda connection: connection.execute(
                "INSERT INTO recipient_rule (name, price, mode, is_free) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET"
                " price = excluded.price, mode = excluded.mode, is_free = excluded.is_free",
                values,
            )
        )

    async def remove(self, name: str) -> bool:
        """Forget the rule for a name. Answers whether there was one."""
        return await self._commits.run(lambda connection: _remove(connection, name))

    async def all(self) -> list[StoredRule]:
        """All rules, at most `RULES_MAX`, by name."""
        return await self._commits.run(_all)


def _all(connection: Connection) -> list[StoredRule]:
    statement = "SELECT name, price, mode, is_free FROM recipient_rule ORDER BY name LIMIT ?"
    rows: Any = connection.execute(statement, (RULES_MAX,)).fetchall()
    return [StoredRule(name, price, mode, bool(is_free)) for name, price, mode, is_free in rows]


def _remove(connection: Connection, name: str) -> bool:
    before = connection.total_changes()
    connection.execute("DELETE FROM recipient_rule WHERE name = ?", (name,))
    return connection.total_changes() > before
