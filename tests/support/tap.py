"""Stands between a client and a server: hands on what they say to each other, and keeps what the client has said."""

import asyncio
import contextlib
import threading
from typing import Self


class Tap:
    """A context manager; listens on a free `port`, on an event loop of its own, for the server at `to`."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._started = threading.Event()
        self.said: list[bytearray] = []
        """What each connection's client has said."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def has_heard(self, octets: bytes) -> bool:
        """Whether a client has said this on one connection."""
        return any(octets in one for one in self.said)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._between(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        self.said.append(kept)
        with contextlib.suppress(OSError):
            its_reader, its_writer = await asyncio.open_connection("127.0.0.1", self._to)
            try:
                await asyncio.gather(
                    self._pass_on(reader, its_writer, kept), self._pass_on(its_reader, writer, bytearray())
                )
            finally:
                its_writer.close()
                writer.close()

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        try:
            while octets := await reader.read(65536):
                kept += octets
                writer.write(octets)
                await writer.drain()
        finally:
            writer.close()  # whoever hangs up hangs up on the other
