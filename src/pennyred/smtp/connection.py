"""One connection to the mail server behind the gate, spoken to as a client. Nothing is ever said twice here."""

import asyncio
from collections.abc import Sequence

from pennyred.failures import what
from pennyred.postage.errors import Unavailable
from pennyred.services.letterbox import Reply
from pennyred.smtp import replies
from pennyred.smtp.dialogue import Dialogue, require_word_on_letter, unavailable
from pennyred.smtp.identity import ClientIdentity, proxy_header, xclient_command, xforward_commands
from pennyred.smtp.upstream import Capabilities, IdentityMode, Security, UpstreamOptions, parse_capabilities


class Refused(Exception):  # noqa: N818 - the mail server's word, not a mistake
    """The mail server refuses this client as such; its reply goes to the client verbatim."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Connection(Dialogue):
    """Made by `connect`; used by one transaction at a time."""

    def __init__(self, options: UpstreamOptions) -> None:
        super().__init__(options)
        self.capabilities = Capabilities(frozenset())
        self.opened_at = 0.0
        self.idle_since = 0.0
        self.is_reused = False
        """Whether it has come from the pool: the mail server may have left it meanwhile."""
        self._told = b""  # the last XCLIENT line

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
        security = self.options.endpoint.security
        if security is Security.IMPLICIT:
            await self._change_to_tls()
        reply = await self._reply(self._greeting, self.options.greeting_timeout_seconds)
        if not replies.is_success(reply):
            raise unavailable(f"greeting: {reply.text}")
        if security is Security.STARTTLS:
            await self._start_tls()
        is_the_clients = self.options.identity is IdentityMode.PROXY and client is not None
        [hello] = self._send(self._hello_line(self._hello_name(client if is_the_clients else None)))
        reply = await self._reply(hello, self.options.greeting_timeout_seconds)
        if not replies.is_success(reply):
            # One that knows nothing of PROXY took the header for commands, and answers those with syntax errors.
            is_ours = replies.is_about_syntax(reply) or replies.is_about_session(reply)
            if is_the_clients and not replies.is_closing(reply) and not is_ours:
                raise Refused(reply)
            raise unavailable(f"EHLO: {reply.text}")
        self.capabilities = parse_capabilities(reply)
        self.opened_at = self._loop.time()

    async def _start_tls(self) -> None:
        """RFC 3207; EHLO is said anew afterwards. Nothing that came in plain text is believed."""
        [hello] = self._send(self._hello_line(self.options.hostname))
        reply = await self._reply(hello, self.options.greeting_timeout_seconds)
        if not replies.is_success(reply) or "STARTTLS" not in parse_capabilities(reply).keywords:
            raise unavailable("STARTTLS is not offered, and without TLS nothing is sent there")
        [ready] = self._send(b"STARTTLS")
        reply = await self._reply(ready, self.options.greeting_timeout_seconds)
        if not replies.is_success(reply) or not self.is_clean:
            raise unavailable(f"STARTTLS: {reply.text}" if self.is_clean else "said more than its answer to STARTTLS")
        await self._change_to_tls()

    async def tell(self, client: ClientIdentity) -> None:
        """Say who the client is, unless it was the last one too. Raises `Refused` where the server will not have it.

        After XCLIENT the session is as new, so EHLO follows (XCLIENT_README), in the client's own name, once XCLIENT is
        answered: Postfix takes EHLO behind it in one go for unauthorised pipelining (smtpd_forbid_unauth_pipelining,
        reject_unauth_pipelining) and refuses the client for it.
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
        [told] = await self.exchange([line])
        if not replies.is_success(told):
            # What is refused here is the gate's right to speak for others, a fault in somebody's settings: later.
            raise unavailable(f"XCLIENT: {told.text}")
        [hello] = await self.exchange([self._hello_line(self._hello_name(client))])
        if not replies.is_success(hello):
            if replies.is_closing(hello) or replies.is_about_session(hello):
                raise unavailable(f"EHLO after XCLIENT: {hello.text}")
            raise Refused(hello)
        self.capabilities = parse_capabilities(hello)
        self._told = line

    async def begin(self, client: ClientIdentity, lines: Sequence[bytes]) -> list[Reply]:
        """Say MAIL and RCPTs, behind XFORWARD where the client is told of so: it holds for one transaction.

        Raises `Unavailable` where an answer is about the gate's own session.
        """
        told: list[bytes] = []
        if self.options.identity is IdentityMode.XFORWARD:
            told = xforward_commands(client, self.capabilities.xforward)
        if not told or "PIPELINING" in self.capabilities.keywords:
            answers = await self.exchange([*told, *lines])
        else:
            answers = [*await self.exchange(told), *await self.exchange(lines)]
        for answer in answers[: len(told)]:
            if not replies.is_success(answer):
                raise unavailable(f"XFORWARD: {answer.text}")
        del answers[: len(told)]
        # RCPTs behind a MAIL that was refused are out of turn, and told so.
        require_word_on_letter("MAIL and RCPT", answers if replies.is_success(answers[0]) else answers[:1])
        return answers

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

    # Inside

    def _hello_name(self, client: ClientIdentity | None) -> str:
        name = client.helo if client is not None and client.helo.isascii() else ""
        return name or self.options.hostname

    def _hello_line(self, name: str) -> bytes:
        return (b"LHLO " if self.options.endpoint.is_lmtp else b"EHLO ") + name.encode("ascii")


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
        raise unavailable(f"cannot connect: {what(error)}") from error
    return connection
