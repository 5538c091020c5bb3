"""A mail server by script: says what it is told to say, when it is told to, and keeps every byte it hears."""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

KEYWORDS = (
    "PIPELINING",
    "SIZE 52428800",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "XCLIENT NAME ADDR PORT PROTO HELO",
)
CHUNKING = (*KEYWORDS, "CHUNKING")

CLOSE = object()
"""Instead of a reply: hang up."""
HANG = object()
"""Instead of a reply: say nothing, for ever."""
KEEP_AND_CLOSE = object()
"""Instead of a reply to the final dot: keep the letter and hang up (RFC 1047). To anything else: hang up."""


class KeptAll(ConnectionAbortedError):  # noqa: N818 - what is to happen
    """Hang up with the letter kept."""


@dataclass
class Taken:
    """One letter as heard: dots still doubled, the end left out. If it came by BDAT, they are doubled here."""

    mail: bytes
    recipients: list[bytes]
    stuffed: bytes
    accepted: list[bytes] = field(default_factory=list)
    """Those of the recipients for whom the final dot was answered with yes."""
    chunks: tuple[int, ...] = ()
    """The octets of each chunk; empty if it came by DATA."""

    @property
    def letter(self) -> bytes:
        lines = self.stuffed.split(b"\r\n")
        return b"\r\n".join(line.removeprefix(b".") for line in lines)


@dataclass
class FakeUpstream:
    """An asynchronous context manager. `answers[verb]` are the next answers to a verb (`b"."` for the final dot and for
    BDAT with LAST, `b"BDAT"` for any other chunk, `b"220"` for the greeting): bytes, CLOSE, HANG, an event to wait for,
    or an event and what to answer then; else it says yes.
    """

    keywords: tuple[str, ...] = KEYWORDS
    is_lmtp: bool = False
    is_believing_once: bool = False
    """Hears XCLIENT from the gate only, as Postfix does: whom it has been told of may say it no more."""
    is_proxied: bool = False
    """Expects a PROXY v2 header on each connection."""
    is_hasty: bool = False
    """Answers a chunk before it has read it, and reads no more of it until `reading`."""
    path: Path | None = None
    host: str = "127.0.0.1"
    name: str = ""
    """What its address is called, where it is reached by a name."""
    answers: dict[bytes, deque[object]] = field(default_factory=lambda: defaultdict(deque))
    letters: list[Taken] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    heard: list[bytearray] = field(default_factory=list)
    """All bytes of each connection, in the order of the connections."""
    port: int = 0
    open_count: int = 0
    unanswered: int = 0
    """Letters whose final dot was heard, ever."""
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: it reads no more of letters."""

    async def __aenter__(self) -> Self:
        self.reading.set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        if self.path is not None:
            self._server: asyncio.Server = await asyncio.start_unix_server(self._accept, self.path, limit=2**22)
        else:
            self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=2**22)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def restart(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=2**22)

    def drop_all(self) -> None:
        """Hang up on everybody, without waiting for those that hang."""
        for writer in tuple(self._writers):
            writer.close()

    async def hang_up_on_all(self) -> None:
        self.drop_all()
        await self.until(lambda: self.open_count == 0)

    async def until(self, condition) -> None:
        """Wait until something has happened here."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    @property
    def url(self) -> str:
        if self.path is not None:
            return f"lmtp+unix://{self.path}"
        return f"{'lmtp' if self.is_lmtp else 'smtp'}://{self.name or self.host}:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_count += 1
        self._writers.add(writer)
        heard = bytearray()
        self.heard.append(heard)
        try:
            await self._session(reader, writer, heard)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            self.open_count -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _session(self, reader, writer, heard) -> None:
        mail, recipients = b"", []
        chunks: list[bytes] = []
        is_told = has_failed = False
        if self.is_proxied:
            heard += await reader.readexactly(16)
            heard += await reader.readexactly(heard[15])
        await self._answer(writer, b"220", b"220 upstream.example.org ESMTP\r\n")
        while line := await reader.readline():
            heard += line
            self.commands.append(line)
            await self._tell()
            verb = line.split()[0].upper() if line.split() else b""
            if has_failed and verb not in (b"RSET", b"QUIT"):  # as Dovecot does
                if verb == b"BDAT":
                    await reader.readexactly(int(line.split()[1]))
                await self._answer(writer, b"", b"503 5.5.0 A chunk has failed, say RSET first\r\n")
                continue
            if verb in (b"EHLO", b"LHLO"):
                lines = ["upstream.example.org", *self.keywords]
                if is_told:
                    lines = [line for line in lines if not line.startswith("XCLIENT")]
                hello = "".join(f"250-{text}\r\n" for text in lines[:-1]) + f"250 {lines[-1]}\r\n"
                await self._answer(writer, verb, hello.encode())
            elif verb == b"XCLIENT":
                usual = b"550 5.7.0 insufficient authorization" if is_told else b"220 upstream.example.org ESMTP"
                is_told = self.is_believing_once and b"ADDR=" in line
                await self._answer(writer, verb, usual + b"\r\n")
            elif verb == b"MAIL":
                if (await self._answer(writer, verb, b"250 2.1.0 Ok\r\n")).startswith(b"2"):
                    mail, recipients, chunks = line, [], []
            elif verb == b"RCPT":
                if (await self._answer(writer, verb, b"250 2.1.5 Ok\r\n")).startswith(b"2"):
                    recipients.append(line)
            elif verb == b"DATA":
                if (await self._answer(writer, verb, b"354 go on\r\n")).startswith(b"3"):
                    await self.reading.wait()
                    stuffed = await self._letter(reader, heard)
                    await self._take(writer, Taken(mail, recipients, stuffed))
                    mail, recipients = b"", []
            elif verb == b"BDAT" and "CHUNKING" in self.keywords:
                if self.is_hasty:
                    self.reading.clear()
                    await self._answer(writer, verb, b"250 2.0.0 Ok\r\n")
                await self.reading.wait()
                if self.is_hasty:
                    return
                chunks.append(await reader.readexactly(int(line.split()[1])))
                heard += chunks[-1]
                if not recipients:
                    has_failed = True
                    await self._answer(writer, b".", b"503 5.5.1 RCPT first\r\n")
                elif line.upper().rstrip().endswith(b" LAST"):
                    lines = (b"\r\n" + b"".join(chunks)).replace(b"\r\n.", b"\r\n..")[2:]
                    sizes, chunks = tuple(map(len, chunks)), []
                    has_failed = not await self._take(writer, Taken(mail, recipients, lines, chunks=sizes))
                    mail, recipients = b"", []
                else:
                    usual = b"250 2.0.0 Ok: %d octets\r\n" % len(chunks[-1])
                    has_failed = not (await self._answer(writer, verb, usual)).startswith(b"2")
            elif verb == b"RSET":
                has_failed, chunks = False, []
                await self._answer(writer, verb, b"250 2.0.0 Ok\r\n")
            elif verb == b"QUIT":
                await self._answer(writer, verb, b"221 2.0.0 Bye\r\n")
                return
            else:
                await self._answer(writer, verb, b"250 2.0.0 Ok\r\n")

    async def _letter(self, reader: asyncio.StreamReader, heard: bytearray) -> bytes:
        lines = bytearray()
        while True:
            line = await reader.readuntil(b"\r\n")
            heard += line
            if line == b".\r\n":
                return bytes(lines)
            lines += line

    async def _take(self, writer: asyncio.StreamWriter, taken: Taken) -> bool:
        count = len(taken.recipients) if self.is_lmtp else 1
        self.unanswered += 1
        await self._tell()
        for number in range(count):
            try:
                reply = await self._decided(b".", b"250 2.0.0 Ok: queued as %d\r\n" % (len(self.letters) + number))
            except KeptAll:
                self.letters.append(taken)
                taken.accepted += taken.recipients
                raise
            # Kept before it is answered, as a mail server does: whether the answer arrives is another matter.
            if reply.startswith(b"2") and (not self.letters or self.letters[-1] is not taken):
                self.letters.append(taken)
            if reply.startswith(b"2"):
                taken.accepted += [taken.recipients[number]] if self.is_lmtp else taken.recipients
            writer.write(reply)
            await writer.drain()
        await self._tell()
        return bool(taken.accepted)

    async def _answer(self, writer: asyncio.StreamWriter, verb: bytes, usual: bytes) -> bytes:
        answer = await self._decided(verb, usual)
        writer.write(answer)
        await writer.drain()
        return answer

    async def _decided(self, verb: bytes, usual: bytes) -> bytes:
        answer: object = self.answers[verb].popleft() if self.answers[verb] else usual
        if isinstance(answer, asyncio.Event):
            answer = answer, usual
        if isinstance(answer, tuple):
            await answer[0].wait()
            answer = answer[1]
        if answer is CLOSE:
            raise ConnectionAbortedError
        if answer is KEEP_AND_CLOSE:
            raise KeptAll
        if answer is HANG:
            await asyncio.Event().wait()
        assert isinstance(answer, bytes)
        return answer
