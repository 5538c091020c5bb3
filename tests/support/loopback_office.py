"""A post office as its program runs it, on a free port of loopback, in a thread of its own: for commands and clients."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pennyred.config import OfficeSettings
from pennyred.gate.door.server import listening_socket
from pennyred.http.server import WebServer
from pennyred.office.api.app import make_app
from pennyred.office.keys import add_key
from pennyred.office.ledger.remote.server import LedgerServer
from pennyred.office.office import Office
from pennyred.programs.ledger.ownership import Ownership
from pennyred.programs.log import make_log
from pennyred.programs.office import open_office

ISSUER = "post.example.org"
WAIT_SECONDS = 30


@dataclass
class LoopbackOffice:
    """Use as a context manager; `do` runs a coroutine in its loop."""

    folder: Path
    url: str = ""
    issuer: str = ISSUER
    ledger: Path | str | None = None
    """None: a file in the folder."""
    office: Office = field(init=False)

    @property
    def settings(self) -> OfficeSettings:
        ledger = self.ledger or self.folder / "ledger.db"
        return OfficeSettings(self.issuer, ledger=ledger, signing_key=self.folder / "office.key")

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.settings.signing_key.exists():
            add_key(self.settings.signing_key, os.urandom(32))
        self._loop = asyncio.new_event_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.do(self._until_started())
        return self

    def __exit__(self, *_: object) -> None:
        if not self._thread.is_alive():
            return  # a test has ended it before
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_SECONDS)
        self._loop.close()

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the office's loop; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_SECONDS)

    async def _until_started(self) -> None:
        await self._started

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with AsyncExitStack() as parts:
            ownership = Ownership.take(self.settings)
            lock = None if ownership is None else ownership.lock
            self.office = await parts.enter_async_context(open_office(self.settings, lock=lock))
            if ownership is not None:
                server = LedgerServer(self.office.ledger, ownership.listener.socket, make_log())
                server.start()
                parts.callback(ownership.listener.remove)
                parts.push_async_callback(server.stop)
            listener = listening_socket("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            api = WebServer(make_app(self.office), listener)
            await api.start()
            self._started.set_result(None)
            await self._stop.wait()
            await api.stop()
