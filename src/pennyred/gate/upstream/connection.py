"""One connection to the mail server, with the gate as the client. No command is ever repeated here."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any

from pennyred.failures import what
from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.addresses import Address
from pennyred.gate.upstream.dialogue import Dialogue, require_word_on_letter, unavailable
from pennyred.gate.upstream.endpoint import Capabilities, IdentityMode, Security, UpstreamOptions, parse_capabilities
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.slots import Slot
from pennyred.gate.upstream.xclient import hello_line, lines_about, proxy_header, says_helo, xforward_commands
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason


class Refused(Exception):  # noqa: N818 - the mail server's word, not a mistake
    """The mail server refuses this client itself. Its reply goes to the client word for word."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class NotTold(Unavailable):
    """The mail server does not understand who this client is; the mail of other clients may still pass."""

    def __init__(self, client: ClientIdentity, detail: str, where: str) -> None:
        family = "IPv6" if ":" in client.address else "IPv4"
        super().__init__(Reason.IDENTITY_REFUSED, f"upstream {where}: told of an {family} client: {detail}")


class Connection(Dialogue):
    """A connection that `connect` has made; one transaction at a time uses it."""

    def __init__(self, options: UpstreamOptions, address: Address) -> None:
        super().__init__(options, str(address))
        self.address = address
        self.offered: Capabilities | None = None
        """What the server offered when the connection was opened; None after HELO, to which nothing is offered."""
        self.capabilities = Capabilities(frozenset())
        """What the server offers now, to the client that it was told of."""
        self.is_greeted = False
        """Whether the mail server has greeted (220)."""
        self.refusal: Reply | None = None
        """The reply with which the server has refused instead; None if it has not."""
        self.opened_at = 0.0
        self.idle_since = 0.0
        self.slot: Slot | None = None
        """The right to use this connection; None while nobody uses it."""
        self.is_reused = False
        """Whether it was idle in the pool before: the mail server may have closed it meanwhile."""
        self.told: tuple[bytes, ...] = ()
        """Whom it was told of: the last XCLIENT lines, and the EHLO line after them; empty: nobody."""

    @property
    def is_for_good(self) -> bool:
        """Whether it was told of a client and cannot be told of another. Postfix takes XCLIENT from trusted hosts only,
        and after XCLIENT this connection is a stranger's.
        """
        return bool(self.told) and "ADDR" not in self.capabilities.xclient

    @property
    def takes_chunks(self) -> bool:
        """Whether a letter goes in chunks here (BDAT, RFC 3030): offered now, wished, and never found to be unknown."""
        return (
            "CHUNKING" in self.capabilities.keywords
            and self.options.is_chunking
            and self.address.knows_chunks is not False
        )

    # For callers

    @property
    def has_to_tell(self) -> bool:
        """Whether it must be told of each client before MAIL."""
        return self.options.identity is IdentityMode.XCLIENT

    def lines_about(self, client: ClientIdentity) -> tuple[bytes, ...]:
        """What it would be told of this client: XCLIENT in all attributes that this mail server takes, and EHLO."""
        assert self.offered is not None
        options = self.options
        return lines_about(client, self.offered.xclient, options.hostname, is_lmtp=options.endpoint.is_lmtp)

    async def open(self, client: ClientIdentity | None) -> None:
        """Wait for the greeting and say EHLO. `client` is for the PROXY header, if clients are told by PROXY.

        A connection by PROXY is for one client, so EHLO gives that client's name. With the gate's name it would look
        like a stranger who pretends to be this host. Raises `Unavailable`, or `Refused` if the name is refused.
        """
        if self.options.identity is IdentityMode.PROXY:
            self._write(proxy_header(client))
        security = self.options.endpoint.security
        if security is Security.IMPLICIT:
            await self._change_to_tls()
        reply = await self._reply(self._greeting, self.options.deadlines.greeting_seconds)
        if not replies.is_success(reply):
            self.refusal = reply
            raise self.trouble(f"greeting: {reply.text}")
        self.is_greeted = True
        if security is Security.STARTTLS:
            await self._start_tls()
        is_the_clients = self.options.identity is IdentityMode.PROXY and client is not None
        hello = self._hello_line(client if is_the_clients else None)
        reply = await self._said_to(hello, self.options.deadlines.greeting_seconds)
        if not replies.is_success(reply):
            # A server without PROXY has read the header as commands, and says "unknown" or "out of turn".
            if is_the_clients and not replies.is_closing(reply) and not replies.is_about_session(reply):
                raise Refused(reply)
            raise self.trouble(f"EHLO: {reply.text}")
        self.capabilities = parse_capabilities(reply)
        if not (client is not None and is_the_clients and says_helo(client, is_lmtp=self.options.endpoint.is_lmtp)):
            self.offered = self.capabilities
        self.opened_at = self._loop.time()

    async def _start_tls(self) -> None:
        """Change to TLS (RFC 3207), then say EHLO again. Nothing that came in plain text counts."""
        reply = await self._said_to(self._hello_line(None), self.options.deadlines.greeting_seconds)
        if not replies.is_success(reply) or "STARTTLS" not in parse_capabilities(reply).keywords:
            raise self.trouble("STARTTLS is not offered, and without TLS nothing is sent there")
        reply = await self._said_to(b"STARTTLS", self.options.deadlines.greeting_seconds)
        if not replies.is_success(reply) or not self.is_clean:
            raise self.trouble(f"STARTTLS: {reply.text}" if self.is_clean else "said more than its answer to STARTTLS")
        await self._change_to_tls()

    async def tell(self, client: ClientIdentity) -> None:
        """Tell who the client is, unless it is told already. Raises `Refused` if the server refuses the client.

        After XCLIENT the session is new, so EHLO follows, with the client's own name (XCLIENT_README). It is sent after
        the reply to XCLIENT. Sent together, Postfix would refuse the client for unauthorised pipelining
        (smtpd_forbid_unauth_pipelining, reject_unauth_pipelining).
        """
        if not self.has_to_tell:
            return
        if self.offered is None or "ADDR" not in self.offered.xclient:
            # Fail closed: without XCLIENT the mail server would trust every client as it trusts the gate.
            raise self.trouble("XCLIENT is not offered to the gate, but upstream_identity is xclient")
        *told, hello = lines = self.lines_about(client)
        if lines == self.told:
            return
        self.told = ()
        for line in told:
            [answer] = await self.exchange([line])
            if not replies.is_success(answer):
                if replies.is_about_client(answer):
                    raise Refused(answer)
                raise self._not_told(client, "XCLIENT", answer)
        [answer] = await self.exchange([hello])
        if not replies.is_success(answer):
            if replies.is_closing(answer) or replies.is_about_session(answer):
                raise self.trouble(f"EHLO after XCLIENT: {answer.text}")
            raise Refused(answer)
        self.capabilities = parse_capabilities(answer)
        self.told = lines

    async def begin(self, client: ClientIdentity, lines: Sequence[bytes], *, until: float = math.inf) -> list[Reply]:
        """Say MAIL and RCPTs. If clients are told by XFORWARD, that goes first: it holds for one transaction.

        The last reply must be there before `until`, in seconds of the loop's clock. Raises `Unavailable` if it is not,
        or if a reply is about the gate's own session.
        """
        told: list[bytes] = []
        if self.options.identity is IdentityMode.XFORWARD:
            told = xforward_commands(client, self.capabilities.xforward)
        if not told:
            answers = await self.exchange(lines, until=until)
        elif "PIPELINING" in self.capabilities.keywords:
            answers = await self.exchange([*told, *lines], until=until)
        else:
            answers = [*await self.exchange(told, until=until), *await self.exchange(lines, until=until)]
        for answer in answers[: len(told)]:
            if not replies.is_success(answer):
                raise self._not_told(client, "XFORWARD", answer)
        del answers[: len(told)]
        # RCPT after a refused MAIL is out of turn, and is answered so.
        require_word_on_letter("MAIL and RCPT", answers if replies.is_success(answers[0]) else answers[:1])
        return answers

    async def exchange(
        self, lines: Sequence[bytes], *, is_first_needed: bool = True, until: float = math.inf
    ) -> list[Reply]:
        """Send commands and wait for their replies; all at once if the server offers PIPELINING. The last one must be
        there before `until`, in seconds of the loop's clock.

        Without PIPELINING, if the first is refused and the others need it (MAIL before its RCPTs), the others are not
        sent, and get the same reply.
        """
        if len(lines) == 1:
            return [await self._said_to(lines[0], self._seconds_for(lines[0], until))]
        if "PIPELINING" in self.capabilities.keywords:
            return await self._replies(lines, until)
        answers: list[Reply] = []
        for line in lines:
            answers.append(await self._said_to(line, self._seconds_for(line, until)))
            if is_first_needed and not replies.is_success(answers[0]):
                return answers * len(lines)
        return answers

    async def _replies(self, lines: Sequence[bytes], until: float) -> list[Reply]:
        """Send commands together and wait for all replies; those that come with another cost no wait of their own."""
        answers = []
        for future, line in zip(self._send(*lines), lines, strict=True):
            if not future.done():
                await self._reply(future, self._seconds_for(line, until))
            elif not replies.is_success(future.result()):
                self._note(future.result())
            answers.append(future.result())
        return answers

    def say_data(self) -> Coroutine[Any, Any, Reply]:
        """Say DATA; to be awaited for the reply."""
        return self._said_to(b"DATA", self.options.deadlines.data_seconds)

    async def send_chunk(self, octets: bytes) -> None:
        """Send a chunk that is not the last (RFC 3030), and wait until the mail server has answered with yes.

        Raises `Refused` if it refuses the letter, or `Unavailable`.
        """
        address = self.address
        if address.knows_chunks is None:
            address.knows_chunks = False  # until it shows that it does; meanwhile other letters go by DATA
        [future] = self._ask(b"BDAT %d\r\n%b" % (len(octets), octets), 1)
        reply = await self._reply(future, self.options.deadlines.block_seconds)
        require_word_on_letter("BDAT", [reply])
        if replies.is_success(reply):
            address.knows_chunks = True
        elif replies.is_refusal(reply) and not replies.is_about_syntax(reply):
            address.knows_chunks = True
            raise Refused(reply)
        else:
            raise self.trouble(f"BDAT: {reply.text}")

    def end_letter(self, last: bytes, count: int) -> list[asyncio.Future[Reply]]:
        """Send the end: the last piece with the final dot, or the chunk that is LAST.

        Returns `count` futures of replies (LMTP: one a recipient).
        """
        return self._ask(last, count)

    async def final_reply(self, future: asyncio.Future[Reply], deadline: float) -> Reply:
        """Wait for a reply to the letter's end until `deadline`, in seconds of the loop's clock."""
        self._patience.give(max(0.0, deadline - self._loop.time()))
        reply = await future
        if replies.is_success(reply):
            self.refusals = 0
        else:
            self._note(reply)
        return reply

    async def reset(self) -> bool:
        """Say RSET; returns whether the connection may be used again."""
        try:
            reply = await self._said_to(b"RSET", self.options.deadlines.command_seconds)
        except Unavailable:
            return False
        return replies.is_success(reply)

    def quit(self) -> None:
        """Say QUIT and close without waiting for the reply."""
        if self._failure is None:
            self._write(b"QUIT\r\n")
        self.close("closed by the gate")

    # Internal steps

    def _seconds_for(self, line: bytes, until: float) -> float:
        """How long the reply to a command line may take, if it must be there before `until`."""
        return min(self.options.deadlines.of(line), until - self._loop.time())

    def _hello_line(self, client: ClientIdentity | None) -> bytes:
        """The greeting line for this mail server."""
        return hello_line(client, self.options.hostname, is_lmtp=self.options.endpoint.is_lmtp)

    def _not_told(self, client: ClientIdentity, command: str, answer: Reply) -> Unavailable:
        """A temporary error, whatever the code: the server refuses the gate's right to speak for others."""
        if replies.is_about_syntax(answer):
            return NotTold(client, f"{command}: {answer.text}", self.where)
        return self.trouble(f"{command}: {answer.text}")


async def connect(options: UpstreamOptions, address: Address) -> Connection:
    """Connect to the mail server at one of its addresses; raises `Unavailable`."""
    loop = asyncio.get_running_loop()

    def made() -> Connection:
        return Connection(options, address)

    try:
        async with asyncio.timeout(options.deadlines.connect_seconds):
            if options.endpoint.path:
                _, connection = await loop.create_unix_connection(made, address.host)
            else:
                _, connection = await loop.create_connection(made, address.host, address.port)
    except (OSError, TimeoutError) as error:
        raise unavailable(f"cannot connect: {what(error)}", str(address)) from error
    return connection
