"""A stand-in for the mail server behind the gate, for the demo and trials: it keeps every letter in memory.

It has only the commands that a gate needs: EHLO with XCLIENT, MAIL, RCPT, DATA, RSET, QUIT. It delivers nothing, and
checks only the order of commands.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from pennyred.gate.smtp import replies

HOSTNAME = "mailserver.example.org"
KEYWORDS = (
    "PIPELINING",
    "SIZE 52428800",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "XCLIENT NAME ADDR PORT PROTO HELO",
)

LETTERS_MAX = 10_000
"""The most letters that are kept; later ones are accepted and forgotten."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One letter as it arrived."""

    sender: bytes
    recipients: tuple[bytes, ...]
    letter: bytes
    """The letter, with CRLF as received, and without the doubled dots of the wire."""


@dataclass(slots=True)
class StandIn:
    """The server, an asynchronous context manager; it listens on a free port of 127.0.0.1."""

    letters: list[Delivered] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    """Replies to the next final dots, instead of 250; such a letter is not kept. Each is a whole reply line."""
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._session(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender: bytes | None = None
        recipients: list[bytes] = []
        writer.write(replies.greeting(HOSTNAME))
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"QUIT":
                writer.write(replies.GOODBYE)
                return
            if verb == b"EHLO":
                writer.write(replies.hello(HOSTNAME, KEYWORDS))
            elif verb == b"XCLI":
                writer.write(replies.greeting(HOSTNAME))
            elif verb == b"MAIL":
                sender, recipients = _mailbox(line), []
                writer.write(replies.OK)
            elif verb == b"RCPT" and sender is not None:
                recipients.append(_mailbox(line))
                writer.write(replies.OK)
            elif verb == b"DATA" and sender is not None and recipients:
                writer.write(replies.START_MAIL_INPUT)
                stuffed = await _read_data(reader)
                writer.write(self._keep(Delivered(sender, tuple(recipients), stuffed)))
                sender = None
            else:
                sender = None
                writer.write(replies.OK if verb in (b"RSET", b"NOOP") else replies.UNRECOGNISED)
            await writer.drain()

    def _keep(self, delivered: Delivered) -> bytes:
        if self.answers:
            return self.answers.pop(0)
        if len(self.letters) < LETTERS_MAX:
            self.letters.append(delivered)
        return replies.OK


async def _read_data(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    while (line := await reader.readuntil(b"\n")) != b".\r\n":
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


def _mailbox(line: bytes) -> bytes:
    return line.partition(b"<")[2].rpartition(b">")[0]
