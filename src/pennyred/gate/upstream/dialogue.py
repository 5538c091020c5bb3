"""One connection to the mail server as lines out and replies in, in order and within limits; TLS.

If anything goes wrong (refused, silent, closed, nonsense, too long), `Unavailable` is raised, and the connection is
not used again.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import cast

from pennyred.failures import what
from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.deadlines import Patience
from pennyred.gate.upstream.endpoint import UpstreamOptions
from pennyred.gate.upstream.reply_reader import NotSmtp, ReplyReader
from pennyred.gate.upstream.tls import change_to_tls
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

OWN_SESSION = "does not like the gate's own session"


def unavailable(detail: str, where: str = "") -> Unavailable:
    """The error for a mail server that does not answer as it should; `where` names the address, for the log."""
    return Unavailable(Reason.UPSTREAM_UNAVAILABLE, f"upstream {where}: {detail}" if where else f"upstream: {detail}")


def require_word_on_letter(command: str, answers: Iterable[Reply]) -> None:
    """Raise `Unavailable` if a reply is about the gate's own session, and not about what was asked."""
    for answer in answers:
        if not replies.is_success(answer) and replies.is_about_session(answer):
            raise unavailable(f"{OWN_SESSION}: {command}: {answer.text}")


class Dialogue(asyncio.Protocol):
    """Sends lines and matches replies to them; it does not know what the lines mean."""

    def __init__(self, options: UpstreamOptions, where: str = "") -> None:
        """`where` names the address, for the log."""
        self.options = options
        self.where = where
        self.refusals = 0
        """How many commands were refused since the last letter was accepted."""
        self.unasked: Reply | None = None
        """A reply that no command asked for, such as a refusal in the middle of a letter; None if there was none."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # The greeting is expected from the first moment: it may come before anybody waits for it.
        self._greeting: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting: deque[asyncio.Future[Reply]] = deque((self._greeting,))
        self._reader = ReplyReader()
        self._failure: str | None = None
        self._writable: asyncio.Future[None] | None = None
        self._closed = self._loop.create_future()
        self._patience = Patience(self._loop, self._lose_patience)

    @property
    def is_broken(self) -> bool:
        """Whether the connection can no longer be used."""
        return self._failure is not None

    @property
    def is_clean(self) -> bool:
        """Whether no reply is owed or begun and nothing is left to be sent, so that the connection may be kept."""
        return self._failure is None and not self._waiting and self._reader.is_empty and self._writable is None

    def trouble(self, detail: str) -> Unavailable:
        """The error to raise when this mail server does not answer as it should."""
        return unavailable(detail, self.where)

    async def write_letter(self, piece: bytes) -> None:
        """Send a part of a letter, and wait until the kernel has it. Raises `Unavailable` if the connection is gone."""
        self._write(piece)
        if self._writable is not None:
            timer = self._loop.call_later(self.options.deadlines.block_seconds, self.abort, "takes no more of a letter")
            await self._writable
            timer.cancel()
        self._check()

    def close(self, why: str) -> None:
        """Close the connection; whoever waits for a reply gets `Unavailable` with `why`."""
        self._fail(why, is_abort=False)

    def abort(self, why: str) -> None:
        """Close at once and drop what is not sent, so that no end of a letter can still go out."""
        self._fail(why, is_abort=True)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._closed)

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. What is buffered does not count as sent, so the high-water mark is 0."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses
        self._transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Raise `Unavailable` in all who wait for a reply."""
        self._fail("connection lost" if exc is None else f"connection lost: {what(exc)}", is_abort=False)
        if not self._closed.done():
            self._closed.set_result(None)

    def eof_received(self) -> bool:
        """Close this side too: the mail server has hung up."""
        self._fail("connection closed by the mail server", is_abort=False)
        return False

    def pause_writing(self) -> None:
        """Make writers wait: the kernel takes no more for now."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let writers go on: the kernel has everything."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Give each reply to the one who has waited longest."""
        if self._failure is None and (whole := self._reader.whole(data)):
            for one in whole:
                self._take(one)
            return
        self._reader.feed(data)
        try:
            while self._failure is None and (reply := self._reader.next()) is not None:
                self._take(reply)
        except NotSmtp as error:
            self._fail(str(error), is_abort=True)

    # Internal steps

    def _take(self, reply: Reply) -> None:
        if self._failure is not None:
            return
        if not self._waiting:
            self.unasked = reply
            self._fail(f"said without being asked: {reply.text[:200]}", is_abort=False)
            return
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(reply)

    async def _change_to_tls(self) -> None:
        assert self._transport is not None
        try:
            self._transport = await change_to_tls(self._transport, self, self.options)
        except OSError as error:
            self._fail(f"TLS: {error}", is_abort=True)
            self.connection_lost(None)  # nobody else calls this: the transport belongs to the handshake now
        self._check()
        self._transport.set_write_buffer_limits(high=0)

    def _ask(self, octets: bytes, count: int) -> list[asyncio.Future[Reply]]:
        """Send what is answered by so many replies."""
        self._write(octets)
        create = self._loop.create_future
        futures: list[asyncio.Future[Reply]] = [create() for _ in range(count)]
        self._waiting += futures
        return futures

    def _send(self, *lines: bytes) -> list[asyncio.Future[Reply]]:
        return self._ask(b"\r\n".join(lines) + b"\r\n", len(lines))

    async def _said_to(self, line: bytes, timeout_seconds: float) -> Reply:
        """Send one command and wait for its reply."""
        self._write(line + b"\r\n")
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append(future)
        self._patience.give(timeout_seconds)
        reply = await future
        if not replies.is_success(reply):
            self._note(reply)
        return reply

    async def _reply(self, future: asyncio.Future[Reply], timeout_seconds: float) -> Reply:
        self._patience.give(timeout_seconds)
        reply = await future
        if not replies.is_success(reply):
            self._note(reply)
        return reply

    def _note(self, reply: Reply) -> None:
        if replies.is_refusal(reply):
            self.refusals += 1
            if replies.is_closing(reply):
                self.close("closed by the mail server's 421")

    def _lose_patience(self, seconds: float) -> None:
        if self._waiting:  # else the last wait ended well; nobody stops the timer for that
            self.abort(f"no answer within {seconds:.0f} s")

    def _check(self) -> None:
        if self._failure is not None:
            raise self.trouble(self._failure)

    def _write(self, data: bytes) -> None:
        if self._failure is not None:
            raise self.trouble(self._failure)
        assert self._transport is not None
        self._transport.write(data)

    def _fail(self, why: str, *, is_abort: bool) -> None:
        if self._failure is not None:
            return
        self._failure = why
        self._patience.cancel()
        for future in self._waiting:
            if not future.done():
                future.set_exception(self.trouble(why))
                future.exception()  # marks it as seen: whoever awaits it still gets it, and perhaps nobody does
        self._waiting.clear()
        self.resume_writing()
        if self._transport is not None:
            if is_abort:
                self._transport.abort()
            else:
                self._transport.close()
