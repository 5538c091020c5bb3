"""What the work in a transaction needs of a connection, for both databases: SQLite (apsw) and PostgreSQL.

The SQL must suit both: ON CONFLICT names its columns, parameters are `?` or `?1`, and no special functions are used.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """The rows that a statement has answered."""

    def fetchall(self) -> list[Any]:
        """All rows that were not read yet."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection. Work in a transaction only executes statements; `groupcommit` begins and ends it, and closes."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Execute one statement."""
        ...

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> Rows:
        """Execute a statement for each row of values; returns all answers, one after the other."""
        ...

    def total_changes(self) -> int:
        """How many rows were inserted, updated or deleted since the connection was opened."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether there is something to roll back."""
        ...

    def close(self) -> None:
        """Close the connection for good."""
        ...
