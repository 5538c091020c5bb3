"""The idle connections to one mail server, found by whom they can be used for: no search through them all."""

from collections.abc import Iterator

from pennyred.gate.upstream.connection import Connection
from pennyred.gate.upstream.identity import ClientIdentity


class IdleConnections:
    """From the one that has been idle longest to the one used last."""

    def __init__(self) -> None:
        self._all: dict[Connection, None] = {}
        self._for_anybody: dict[Connection, None] = {}
        """Those that can be told of another client."""
        self._told: dict[tuple[bytes, ...], dict[Connection, None]] = {}
        """Those that were told of a client, by what they were told."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._all))

    def add(self, connection: Connection) -> None:
        """Keep one that nobody uses any more; it must not be told of anybody while it is here."""
        self._all[connection] = None
        if not connection.is_for_good:
            self._for_anybody[connection] = None
        if connection.told:
            self._told.setdefault(connection.told, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Take out this one, which is here."""
        del self._all[connection]
        self._for_anybody.pop(connection, None)
        if alike := self._told.get(connection.told):
            del alike[connection]
            if not alike:
                del self._told[connection.told]

    def take(self, client: ClientIdentity) -> Connection | None:
        """One that knows this client saves a round trip; else the one used last is likely alive. It may be broken.

        One that can be used for another client only is not taken. None if there is none.
        """
        found = self.knowing(client) or next(reversed(self._for_anybody), None)
        if found is not None:
            self.remove(found)
        return found

    def knowing(self, client: ClientIdentity) -> Connection | None:
        """One on which MAIL may be said for this client without telling of it first; it stays here."""
        if self._told:
            # A mail server takes the same attributes on all its connections; where it does not, one is told anew.
            like = next(reversed(self._told[next(reversed(self._told))]))
            return next(reversed(self._told.get(like.lines_about(client), {})), None)
        found = next(reversed(self._for_anybody), None)
        return None if found is None or found.has_to_tell else found

    def take_all(self) -> list[Connection]:
        """All of them; none is left."""
        taken = list(self._all)
        for kept in (self._all, self._for_anybody, self._told):
            kept.clear()
        return taken

    def take_oldest(self) -> Connection | None:
        """A broken one if there is any; else the one that has been idle longest. None if there is none."""
        found = next((one for one in self._all if not one.is_clean), next(iter(self._all), None))
        if found is not None:
            self.remove(found)
        return found
