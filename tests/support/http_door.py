"""An HTTP door with an application behind it that does as its path says; and clients that stop half-way."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pennyred.http.admission import GUEST, Counts, Room
from pennyred.http.exchange import Deadlines
from pennyred.http.server import Reach, WebServer
from tests.support.desk import Lines

WAIT_SECONDS = 30
PATIENT = Deadlines(600, 600, 600, 600)
BIG = 30_000_000
"""Octets of /big: more than the system keeps for a client that does not read."""


@dataclass
class Building:
    """The application, and what it has seen."""

    port: int = 0
    log: Lines = field(default_factory=Lines)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    asked_by: list[str] = field(default_factory=list)
    clients: "list[Client]" = field(default_factory=list)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked_by.append(scope["client"][0])
        if scope["path"] == "/wait":
            self.waiting += 1
            await self.go_on.wait()
        elif scope["path"] == "/known":
            scope["state"][GUEST].vouch(scope["client"][0])
        elif scope["path"] == "/body":
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
        body = b"x" * BIG if scope["path"] == "/big" else b"ok"
        fields = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    async def client(
        self, source: str = "127.0.0.1", octets: bytes = b"", tls: ssl.SSLContext | None = None
    ) -> "Client":
        """A connection from this address, that says something and then nothing more."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0), ssl=tls, server_hostname="localhost" if tls else None
        )
        self.clients.append(Client(reader, writer))
        return await self.clients[-1].says(octets)

    async def asks(self, path: str, *fields: str, source: str = "127.0.0.1") -> bytes:
        """A whole request, and the first line that comes back; empty where none does."""
        try:
            one = await self.client(source, get(path, "Connection: close", *fields))
            return (await one.hears()).split(b"\r\n")[0]
        except OSError:
            return b""

    async def until(self, wanted: Any) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not wanted():  # noqa: ASYNC110 - of what others do there is no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_door(
    *,
    room: Room | None = None,
    deadlines: Deadlines = PATIENT,
    strangers: Counts | None = None,
    known: Counts | None = None,
    **reach: Any,
) -> AsyncIterator[Building]:
    """A door on all of loopback, so that clients can come from several networks."""
    building = Building()
    listener = socket.create_server(("0.0.0.0", 0), backlog=1024)
    building.port = listener.getsockname()[1]
    server = WebServer(
        building.app,
        listener,
        Reach(room=room or Room(), deadlines=deadlines, **reach),
        log=building.log,
        strangers=strangers,
        known=known,
    )
    await server.start()
    try:
        yield building
    finally:
        building.go_on.set()
        await server.stop()
        for one in building.clients:
            one.writer.transport.abort()
        await asyncio.sleep(0)


@dataclass
class Client:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, octets: bytes) -> "Client":
        self.writer.write(octets)
        await self.writer.drain()
        return self

    async def hears(self) -> bytes:
        """All that comes until the connection ends; empty where it was reset."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return await self.reader.read()
            except OSError:
                return b""
            finally:
                self.writer.close()

    async def hears_an_answer(self) -> bytes:
        """The header of one answer, on a connection that stays; empty where it ended."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
                await self.reader.readexactly(2)
            except (OSError, asyncio.IncompleteReadError):
                return b""
            return head

    @property
    def is_there(self) -> bool:
        return not self.reader.at_eof() and self.reader.exception() is None


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: here", *fields, "", ""]).encode()
