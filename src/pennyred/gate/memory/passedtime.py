"""How much time has really passed, for all that a gate's state forgets; see `storage.passing`."""

from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import Looker, Passed, look
from pennyred.storage.statements import Connection


class PassedTimes:
    """What the workers and sister gates of one state go by together. Raises Unavailable when it does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def look(self, looker: Looker) -> Passed:
        """Until when what is over may be forgotten; `looker` is this process's."""
        found, memory = await self._commits.run(lambda connection: look(connection, looker))
        looker.keep(memory)
        return found
