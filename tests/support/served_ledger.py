"""A ledger behind its socket, in this process: server and asker share an event loop."""

import contextlib
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.ledger import RemoteLedger
from pennyred.office.ledger.remote.server import LedgerServer


class Log:
    """What the server has written down."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))


class ServedLedger(RemoteLedger):
    """Closing it closes all of it."""

    _behind: Ledger
    _server: LedgerServer
    _folder: contextlib.ExitStack

    @classmethod
    async def over(cls, behind: Ledger) -> "ServedLedger":
        with contextlib.ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            listener = place.listen(folder / "socket")
            opened.callback(listener.close)
            server = LedgerServer(behind, listener.socket, Log())
            server.start()
            served = await cls.open(folder / "socket")
            served._behind, served._server, served._folder = behind, server, opened.pop_all()
        return served

    async def close(self) -> None:
        await super().close()
        if self._server._listener.fileno() >= 0:
            await self._server.stop()
        await self._behind.close()
        self._folder.close()


class Owner:
    """The process that has a ledger, as far as a test can have it in its own: it dies and comes back on one socket."""

    def __init__(self, behind: Ledger, folder: Path) -> None:
        self.behind = behind
        self.socket = folder / "ledger.socket"
        self.listener = place.listen(self.socket)
        self.log = Log()
        self.server: LedgerServer | None = None

    def start(self, *, awaited: Collection[int] = ()) -> None:
        self.server = LedgerServer(self.behind, self.listener.socket, self.log, awaited=awaited)
        self.server.start()

    def die(self) -> None:
        """As after SIGKILL: connections are cut, nothing is answered; only what was begun is done."""
        assert self.server is not None
        self.server._loop.remove_reader(self.listener.socket.fileno())
        for caller in self.server._callers.copy():
            caller._transport.abort()
        self.server = None

    def close(self) -> None:
        if self.server is not None:
            self.die()
        self.listener.close()
