"""Opens a gate's state, and gives its parts."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from pennyred.failures import told
from pennyred.gate.memory import shared
from pennyred.gate.memory.accepted import Accepted
from pennyred.gate.memory.allowances import Allowances
from pennyred.gate.memory.correspondents import Correspondents, Hasher
from pennyred.gate.memory.deliveredtexts import DeliveredTextBook
from pennyred.gate.memory.figures import FigureBook
from pennyred.gate.memory.foundkeys import FoundKeys
from pennyred.gate.memory.grants import GrantBook
from pennyred.gate.memory.outbox import Outbox
from pennyred.gate.memory.paidnames import PaidNames
from pennyred.gate.memory.part_deliveries import PartDeliveries
from pennyred.gate.memory.permits import Permits
from pennyred.gate.memory.probes import Probes
from pennyred.gate.memory.recipientrules import RecipientRuleBook
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.changes import ChangeWatch
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import load_migrations, migrate
from pennyred.storage.passing import Looker, Passed, look
from pennyred.storage.statements import Connection


class PassedTimes:
    """How much time has really passed, for all workers and sister gates of one state.

    Raises Unavailable when the state does not answer.
    """

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def look(self, looker: Looker) -> Passed:
        """The time until which what is over may be forgotten. `looker` is that of this process."""
        found, memory = await self._commits.run(lambda connection: look(connection, looker))
        looker.keep(memory)
        return found


class GateState:
    """One open state, with its parts. Made by `open`."""

    def __init__(
        self, commits: GroupCommit[Any], readers: GroupCommit[Any], salt: bytes, watch: ChangeWatch | None = None
    ) -> None:
        hasher = Hasher(salt)
        self._watch = watch
        self._commits = commits
        self._readers = readers
        self.allowances = Allowances(self._commits)
        self.outbox = Outbox(self._commits)
        self.accepted = Accepted(self._commits)
        self.part_deliveries = PartDeliveries(self._commits)
        self.delivered_texts = DeliveredTextBook(self._readers, self._commits)
        self.paid_names = PaidNames(self._readers, self._commits)
        self.correspondents = Correspondents(self._commits, hasher)
        self.permits = Permits(self._commits)
        self.grant_book = GrantBook(self._readers, self._commits, hasher, watch)
        self.recipient_rules = RecipientRuleBook(self._commits)
        self.probes = Probes(self._readers, self._commits)
        self.figures = FigureBook(self._commits)
        self.office_keys = FoundKeys(self._commits)
        self.passed = PassedTimes(self._commits)

    @classmethod
    def open(cls, database: Path | str, *, now: int, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Self:
        """Open the state, a file or a URL, made or brought up to date where needed: it is the gate's own.

        Raises SchemaError for one of a later version, and Unavailable when it does not answer.
        """
        if isinstance(database, str):
            return cls(*shared.open_shared(database, now=now))
        return cls._open_file(database, now, busy_timeout_seconds)

    @classmethod
    def _open_file(cls, path: Path, now: int, busy_timeout_seconds: float) -> Self:
        with ExitStack() as opened:
            try:
                connection = open_database(path, busy_timeout_seconds=busy_timeout_seconds)
                opened.callback(connection.close)
                migrate(connection, load_migrations("pennyred.gate.memory", "migrations/sqlite"), now=now)
                reader = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
                opened.callback(reader.close)
                watch = ChangeWatch.open(path, busy_timeout_seconds=busy_timeout_seconds)
            except WORLD_ERRORS as error:
                raise Unavailable(Reason.STATE_UNAVAILABLE, f"{path}: {told(error)}") from error
            opened.pop_all()
        rows: Any = connection.execute("SELECT salt FROM secret").fetchall()
        return cls(
            GroupCommit(connection, name="state writer", reason=Reason.STATE_UNAVAILABLE, place=str(path)),
            GroupCommit(reader, name="state reader", reason=Reason.STATE_UNAVAILABLE, begin="BEGIN", place=str(path)),
            rows[0][0],
            watch,
        )

    async def close(self) -> None:
        """Finish what was asked and close; whatever is asked later is `Unavailable`."""
        if self._watch is not None:
            self._watch.close()
        await self._readers.close()
        await self._commits.close()
