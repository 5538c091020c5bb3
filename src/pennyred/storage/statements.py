"""What a transaction's work needs of a connection, whichever database it is of: SQLite by apsw, or PostgreSQL.

The SQL is that of both: conflicts with their columns, parameters as `?` or `?1`, no functions of one's own.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement has answered."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What works inside a transaction only executes; `groupcommit` begins and ends it, and closes."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Do one."""
        ...

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> Rows:
        """Do it for each of these; all answers one after the other."""
        ...

    def total_changes(self) -> int:
        """How many rows were inserted, updated or deleted since it was opened."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether there is something to roll back."""
        ...

    def close(self) -> None:
        """For good."""
        ...
