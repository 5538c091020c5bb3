"""One connection to the mail server behind the gate: commands out, replies in, in order, within limits.

Everything that can go wrong (refused, silent, closed, nonsense, more than it should say) is `Unavailable`, and the
connection is then broken for good. Nothing is ever sent twice here.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.services.letterbox import Reply
from pennyred.smtp import replies
from pennyred.smtp.answers import NotSmtp, ReplyReader
from pennyred.smtp.identity import ClientIdentity, proxy_header, xclient_command
from pennyred.smtp.patience import Patience
from pennyred.smtp.upstream import Capabilities, IdentityMode, UpstreamOptions, parse_capabilities


class Refused(Exception):  # noqa: N818 - the mail server's word, not a mistake
    """The mail server refuses this client as such; its reply goes to the client verbatim."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def unavailable(detail: str) -> Unavailable:
    """The mail server does not answer as it should."""
    return Unavailable(Reason.UPSTREAM_UNAVAILABLE, f"upstream: {detail}")


class Connection(asyncio.Protocol):
    """Speaks SMTP or LMTP as a client. Made by `connect`; used by one transaction at a time."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        self.capabilities = Capabilities(frozenset())
        self.opened_at = 0.0
        self.idle_since = 0.0
        self.refusals = 0
        """Refused commands since the last letter it accepted."""
        self.is_reused = False
        """Whether it has come from the pool: the mail server may have left it meanwhile."""
        self.unasked: Reply | None = None
        """What the mail server said without having been asked: a refusal in the middle of a letter, perhaps."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # Expected from the first moment: it may come before anybody has had time to ask.
        self._greeting: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting: deque[asyncio.Future[Reply]] = deque((self._greeting,))
        self._reader = ReplyReader()
        self._told = b""  # the last XCLIENT line
        self._failure: str | None = None
        self._writable: asyncio.Future[None] | None = None
        self._closed = self._loop.create_future()
        self._patience = Patience(self._loop, lambda seconds: self.abort(f"no answer within {seconds:.0f} s"))

    @property
    def is_broken(self) -> bool:
        """Whether it can be used no more."""
        return self._failure is not None

    @property
    def is_clean(self) -> bool:
        """Whether it owes no answer and has not begun one: fit to be kept."""
        return self._failure is None and not self._waiting and self._reader.is_empty

    @property
    def is_told(self) -> bool:
        """Whether the mail server takes this connection for somebody's already."""
        return bool(self._told)

    def is_told_of(self, client: ClientIdentity) -> bool:
        """Whether that is this client."""
        return bool(self._told) and xclient_command(client, self.capabilities.xclient) == self._told

    # What callers do

    async def open(self, client: ClientIdentity | None) -> None:
        """Hear the greeting and say EHLO; `client` is for the PROXY header, where that is the way.

        Such a connection is that client's alone, so EHLO goes out in its name: in the gate's own it would look like a
        stranger who pretends to be this host. Raises `Unavailable`, or `Refused` where the name is disliked.
        """
        if self.options.identity is IdentityMode.PROXY:
            self._write(proxy_header(client, self._destination()))
        reply = await self._reply(self._greeting, self.options.connect_timeout_seconds)
        if not replies.is_success(reply):
            raise unavailable(f"greeting: {reply.text}")
        is_the_clients = self.options.identity is IdentityMode.PROXY and client is not None
        [hello] = self._send(self._hello_line(self._hello_name(client if is_the_clients else None)))
        reply = await self._reply(hello, self.options.connect_timeout_seconds)
        if not replies.is_success(reply):
            # One that knows nothing of PROXY took the header for commands, and answers those with syntax errors.
            if is_the_clients and not replies.is_closing(reply) and not replies.is_about_syntax(reply):
                raise Refused(reply)
            raise unavailable(f"EHLO: {reply.text}")
        self.capabilities = parse_capabilities(reply)
        self.opened_at = self._loop.time()

    async def tell(self, client: ClientIdentity) -> None:
        """Say who the client is, unless it was the last one too. Raises `Refused` where the server will not have it.

        After XCLIENT the session is as new, so EHLO follows (XCLIENT_README), in the client's own name.
        """
        if self.options.identity is not IdentityMode.XCLIENT:
            return
        if "ADDR" not in self.capabilities.xclient:
            # Fail closed: without it the mail server would take everybody for a neighbour.
            raise unavailable("XCLIENT is not offered to the gate, but upstream_identity is xclient")
        line = xclient_command(client, self.capabilities.xclient)
        if line == self._told:
            return
        self._told = b""
        told, hello = await self.exchange([line, self._hello_line(self._hello_name(client))])
        if not replies.is_success(told):
            # What is refused here is the gate's right to speak for others, a fault in somebody's settings: later.
            raise unavailable(f"XCLIENT: {told.text}")
        if not replies.is_success(hello):
            if replies.is_closing(hello):
                raise unavailable(f"EHLO after XCLIENT: {hello.text}")
            raise Refused(hello)
        self.capabilities = parse_capabilities(hello)
        self._told = line

    async def exchange(self, lines: Sequence[bytes], *, is_first_needed: bool = True) -> list[Reply]:
        """Send commands, all at once where the server allows it, and wait for their replies.

        Without PIPELINING it stops when the first one is refused, if the others need it (MAIL before its RCPTs): they
        are then answered as that one was.
        """
        if len(lines) == 1 or "PIPELINING" in self.capabilities.keywords:
            return [await self._reply(future) for future in self._send(*lines)]
        answers: list[Reply] = []
        for line in lines:
            [future] = self._send(line)
            answers.append(await self._reply(future))
            if is_first_needed and not replies.is_success(answers[0]):
                return answers * len(lines)
        return answers

    async def write_letter(self, piece: bytes) -> None:
        """Send a part of a letter and wait until the kernel has it; raises `Unavailable` if the connection is gone."""
        self._write(piece)
        if self._writable is not None:
            timer = self._loop.call_later(self.options.command_timeout_seconds, self.abort, "takes no more of a letter")
            await self._writable
            timer.cancel()
        self._check()

    def end_letter(self, last: bytes, count: int) -> list[asyncio.Future[Reply]]:
        """Send the last piece, which ends with the final dot; the replies (LMTP: one a recipient) come later."""
        self._check()
        futures = [self._expect() for _ in range(count)]
        self._write(last)
        return futures

    async def final_reply(self, future: asyncio.Future[Reply], deadline: float) -> Reply:
        """Wait for an answer to the final dot, until `deadline` of the loop's clock."""
        reply = await self._reply(future, max(0.0, deadline - self._loop.time()))
        if replies.is_success(reply):
            self.refusals = 0
        return reply

    async def reset(self) -> bool:
        """RSET; whether the connection may be used again."""
        try:
            [reply] = await self.exchange([b"RSET"])
        except Unavailable:
            return False
        return replies.is_success(reply)

    def quit(self) -> None:
        """Take leave without waiting for the answer, and close."""
        if self._failure is None:
            self._write(b"QUIT\r\n")
        self.close("closed by the gate")

    def close(self, why: str) -> None:
        """Close; whoever still waits gets `Unavailable`."""
        self._fail(why, is_abort=False)

    def abort(self, why: str) -> None:
        """Close at once, throwing away what has not been sent: a letter without its dot is no letter."""
        self._fail(why, is_abort=True)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._closed)

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing buffered counts as sent, so the high-water mark is zero."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by descent
        self._transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._fail("connection lost" if exc is None else f"connection lost: {exc}", is_abort=False)
        if not self._closed.done():
            self._closed.set_result(None)

    def eof_received(self) -> bool:
        """It has hung up: close our side too."""
        self._fail("connection closed by the mail server", is_abort=False)
        return False

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The kernel has it all."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Give each reply to the first who waits for one."""
        self._reader.feed(data)
        try:
            while self._failure is None and (reply := self._reader.next()) is not None:
                self._take(reply)
        except NotSmtp as error:
            self._fail(str(error), is_abort=True)

    # Inside

    def _take(self, reply: Reply) -> None:
        if not self._waiting:
            self.unasked = reply
            self._fail(f"said without being asked: {reply.text[:200]}", is_abort=False)
            return
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(reply)

    def _hello_name(self, client: ClientIdentity | None) -> str:
        name = client.helo if client is not None and client.helo.isascii() else ""
        return name or self.options.hostname

    def _hello_line(self, name: str) -> bytes:
        return (b"LHLO " if self.options.endpoint.is_lmtp else b"EHLO ") + name.encode("ascii")

    def _expect(self) -> asyncio.Future[Reply]:
        self._check()
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append(future)
        return future

    def _send(self, *lines: bytes) -> list[asyncio.Future[Reply]]:
        futures = [self._expect() for _ in lines]
        self._write(b"\r\n".join(lines) + b"\r\n")
        return futures

    async def _reply(self, future: asyncio.Future[Reply], timeout_seconds: float | None = None) -> Reply:
        seconds = self.options.command_timeout_seconds if timeout_seconds is None else timeout_seconds
        self._patience.give(seconds)
        try:
            reply = await future
        finally:
            self._patience.end()
        if replies.is_refusal(reply):
            self.refusals += 1
            if replies.is_closing(reply):
                self.close("closed by the mail server's 421")
        return reply

    def _destination(self) -> tuple[str, int]:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        return (peer[0], peer[1]) if isinstance(peer, tuple) else ("127.0.0.1", 0)

    def _check(self) -> None:
        if self._failure is not None:
            raise unavailable(self._failure)

    def _write(self, data: bytes) -> None:
        self._check()
        assert self._transport is not None
        self._transport.write(data)

    def _fail(self, why: str, *, is_abort: bool) -> None:
        if self._failure is not None:
            return
        self._failure = why
        self._patience.cancel()
        for future in self._waiting:
            if not future.done():
                future.set_exception(unavailable(why))
                future.exception()  # whoever waits is told all the same; nobody may wait, and that is well too
        self._waiting.clear()
        self.resume_writing()
        if self._transport is not None:
            if is_abort:
                self._transport.abort()
            else:
                self._transport.close()


async def connect(options: UpstreamOptions) -> Connection:
    """Reach the mail server; raises `Unavailable`."""
    loop = asyncio.get_running_loop()
    endpoint = options.endpoint
    try:
        async with asyncio.timeout(options.connect_timeout_seconds):
            if endpoint.path:
                _, connection = await loop.create_unix_connection(lambda: Connection(options), endpoint.path)
            else:
                _, connection = await loop.create_connection(lambda: Connection(options), endpoint.host, endpoint.port)
    except (OSError, TimeoutError) as error:
        raise unavailable(f"cannot connect: {error or 'timeout'}") from error
    return connection
