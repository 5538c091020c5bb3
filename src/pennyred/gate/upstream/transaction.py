"""One transaction with the mail server, from MAIL until the letter may be sent; `delivery` sends it.

A transaction may outlive its connection. The mail server may close it before the letter is ready, or somebody else may
need it while the client is silent. Then MAIL and RCPT are repeated on another connection, perhaps to another server. If
the replies differ then, nothing is sent ("later"). From the letter's first octet on nothing is repeated, so no letter
goes to two mail servers within one attempt.
"""

import asyncio
from collections.abc import Sequence

from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import path, replies
from pennyred.gate.smtp.sources import NOBODY, Source
from pennyred.gate.upstream import deadlines
from pennyred.gate.upstream.capabilities import NO_NEEDS, Needs, needs_of
from pennyred.gate.upstream.choice import Upstreams
from pennyred.gate.upstream.connection import Connection, NotTold, Refused
from pennyred.gate.upstream.dialogue import require_word_on_letter, unavailable
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.pool import UpstreamPool
from pennyred.postage.errors import Unavailable

_TOO_LONG = "no answer for as long as a client waits"
_TICK_SECONDS = 0.001
"""In which the loop's clock counts."""
_REPEATED_MAX = 5000
"""The most RCPTs that are repeated in one transaction: 100 recipients (RFC 5321 section 4.5.3.1.8) with a pause before
each need as many. With more, a client could make the gate ask a thousand times as much as it was asked.
"""


class TooSlow(Exception):  # noqa: N818 - a client's way, not a mistake
    """The client was slow so often that no more recipients are taken in this transaction."""


class _HadLeft(Exception):  # noqa: N818
    """The mail server had closed an idle connection before it was used again."""


class Transaction:
    """Keeps MAIL and RCPT lines as they came, and the connection on which they were said, as long as it lasts."""

    def __init__(self, upstreams: Upstreams, client: ClientIdentity, source: Source = NOBODY) -> None:
        """`source` is the network that its connections are counted for."""
        self.mailboxes: list[bytes] = []
        """The mailboxes that the mail server has accepted, in their order."""
        self._upstreams = upstreams
        self._client = client
        self._source = source
        self._mail = b""
        self._recipients: list[bytes] = []
        self._connection: Connection | None = None
        self._asked: Connection | None = None
        self._pool: UpstreamPool  # that `_asked` was lent from
        self._repeated = 0

    @property
    def is_lmtp(self) -> bool:
        """Whether each recipient gets its own reply to the letter (LMTP)."""
        return self._upstreams.is_lmtp

    async def begin(self, mail: bytes, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say MAIL and the RCPTs that came with it (line and mailbox of each); returns the replies in that order.

        Raises `Unavailable`, or `Refused` if the client itself is refused; then there is no transaction.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + deadlines.CLIENTS_SECONDS
        lines = [mail, *(line for line, _ in recipients)]
        try:
            connection, answers = await self._begun(lines, until)
        except (Unavailable, TimeoutError) as error:
            if isinstance(error, TimeoutError) or clock() + _TICK_SECONDS >= until:
                self._avoid(trouble := unavailable(_TOO_LONG))
                raise trouble from error
            raise
        self._connection = connection
        self._mail = mail
        if replies.is_success(answers[0]):  # else a yes to RCPT means nothing
            self._count(recipients, answers[1:])
        self._rest()
        return answers

    async def _begun(self, lines: Sequence[bytes], until: float) -> tuple[Connection, list[Reply]]:
        """A connection on which MAIL and RCPTs were said, and the replies."""
        clock = asyncio.get_running_loop().time
        connection = self._upstreams.at_hand(self._client, self._source)
        while True:
            if connection is None:
                connection = await self._acquired(lines, until, is_fresh=self._asked is not None)
            self._use(connection)
            try:
                answers = await connection.begin(self._client, _as_taken(lines, connection), until=until)
            except BaseException as trouble:
                self._pool.discard(connection)
                # The mail server may have closed the idle connection. Try once more on a new one; if that fails too,
                # at another address, as long as there is one to try.
                if not isinstance(trouble, Unavailable) or clock() + _TICK_SECONDS >= until:
                    raise
                is_late = connection.is_reused and not isinstance(trouble, NotTold)
                if not is_late and not self._pool.pass_over(connection, trouble):
                    raise
            else:
                if not self._is_goodbye(connection, answers[0]):
                    return connection, answers
            connection = None

    async def _acquired(self, lines: Sequence[bytes], until: float, *, is_fresh: bool) -> Connection:
        """A connection for an envelope of these lines; raises TimeoutError if there is none `until` then."""
        needs = self._needs(lines)
        async with asyncio.timeout_at(until):
            return await self._upstreams.acquire(self._client, self._source, is_fresh=is_fresh, needs=needs)

    async def add(self, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say more RCPTs (line and mailbox of each); returns their replies. Raises `Unavailable` or `TooSlow`."""
        if self._connection is None and self._repeated + len(self._recipients) > _REPEATED_MAX:
            raise TooSlow
        clock = asyncio.get_running_loop().time
        until = clock() + deadlines.CLIENTS_SECONDS
        try:
            if (connection := self._at_hand()) is None:
                async with asyncio.timeout_at(until):
                    connection = await self._reopened()
            lines = [line for line, _ in recipients]
            answers = await connection.exchange(lines, is_first_needed=False, until=until)
            require_word_on_letter("RCPT", answers)
        except BaseException as error:
            self._drop()  # the next connection is told only of recipients whose 250 the client has got
            is_over = isinstance(error, Unavailable) and clock() + _TICK_SECONDS >= until
            if is_over or isinstance(error, TimeoutError):
                self._avoid(trouble := unavailable(_TOO_LONG))
                raise trouble from error
            self._avoid(error)
            raise
        for answer in answers:
            self._heed(connection, answer)
        self._count(recipients, answers)
        self._rest()
        return answers

    def let_go(self) -> None:
        """Give the connection back for now: a slow letter must not hold a process of the mail server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.reset(connection)

    end = let_go

    async def ready(self, indexes: Sequence[int], *, in_chunks: bool) -> Connection:
        """A connection on which exactly these recipients are accepted, and the letter may follow: DATA is answered with
        354, or the letter may go `in_chunks` and the mail server takes some.

        Raises `Unavailable`, or `Refused` if DATA is refused.
        """
        connection = self._at_hand()
        if connection is not None and len(indexes) != len(self._recipients):
            if await connection.reset():
                await self._repeat(connection, indexes)
            else:
                self._drop()
            connection = self._at_hand()
        was_open = connection is not None
        if connection is None:
            connection = await self._reopened(indexes)
        try:
            return await self._may_send(connection, in_chunks=in_chunks)
        except Unavailable as trouble:
            if not was_open or not connection.is_broken:
                self._drop()
                self._avoid(trouble)
                raise
            self._drop()  # the server had closed it while the letter came in
        connection = await self._reopened(indexes)
        try:
            return await self._may_send(connection, in_chunks=in_chunks)
        except Unavailable as trouble:
            self._drop()
            self._avoid(trouble)
            raise

    def finish(
        self, connection: Connection, *, is_clean: bool, is_reset: bool = True, trouble: Unavailable | None = None
    ) -> None:
        """End the transaction after the letter's reply; `trouble` is why the mail server has not replied, if so.

        `is_reset` says whether the transaction has surely ended there, too; else RSET is said before the next one.
        """
        self._connection = None
        if trouble is not None:
            self._avoid(trouble)
        elif is_clean and connection.address.doubted_since is not None:
            self._pool.believe(connection)
        if is_clean and is_reset:
            self._pool.release(connection)
        elif is_clean:
            self._pool.reset(connection)
        else:
            connection.abort("a letter was broken off")
            self._pool.discard(connection)

    def _use(self, connection: Connection) -> None:
        self._asked = connection
        self._pool = self._upstreams.pool_of(connection)

    def _heed(self, connection: Connection, answer: Reply) -> None:
        """If a reply closes the service for everybody, use another address next time."""
        if replies.is_closing(answer) and replies.is_about_service(answer):
            self._avoid(connection.trouble(answer.text))

    def _avoid(self, trouble: BaseException) -> None:
        """Use another address next time, if there is one: the last command has failed."""
        if self._asked is not None and isinstance(trouble, Unavailable):
            self._pool.pass_over(self._asked, trouble)

    def _is_goodbye(self, connection: Connection, answer: Reply) -> bool:
        """Whether MAIL got a reply that closes the service to everybody, so that MAIL may go elsewhere."""
        if not replies.is_closing(answer):
            return False
        is_over = connection.is_reused or (
            replies.is_about_service(answer)
            and self._pool.pass_over(connection, connection.trouble(f"MAIL: {answer.text}"))
        )
        if is_over:
            self._pool.discard(connection)
        return is_over

    def _at_hand(self) -> Connection | None:
        """The present connection, which rests no more; None if there is none, or if it has broken."""
        connection = self._connection
        if connection is not None and connection.is_broken:
            self._drop()
        elif connection is not None:
            self._pool.resume(connection)
        return self._connection

    async def _reopened(self, indexes: Sequence[int] | None = None) -> Connection:
        """The present connection, or another one on which MAIL and RCPT are repeated."""
        if (connection := self._at_hand()) is not None:
            return connection
        asked = range(len(self._recipients)) if indexes is None else indexes
        self._repeated += len(asked)
        try:
            return await self._repeated_on(asked, is_fresh=False)
        except _HadLeft:
            return await self._repeated_on(asked, is_fresh=True)

    async def _repeated_on(self, indexes: Sequence[int], *, is_fresh: bool) -> Connection:
        needs = self._needs([self._mail, *self._recipients])
        try:
            connection = await self._upstreams.acquire(self._client, self._source, is_fresh=is_fresh, needs=needs)
        except Refused as refused:
            raise unavailable(f"the client was welcome and is no more: {refused.reply.text}") from refused
        self._use(connection)
        self._connection = connection
        try:
            await self._repeat(connection, indexes)
        except Unavailable as trouble:
            if connection.is_reused and connection.is_broken:
                raise _HadLeft from trouble
            raise
        return connection

    async def _repeat(self, connection: Connection, indexes: Sequence[int]) -> None:
        lines = [self._mail, *(self._recipients[index] for index in indexes)]
        try:
            answers = await connection.begin(self._client, _as_taken(lines, connection))
        except Unavailable:
            self._drop()
            raise
        for answer in answers:
            if not replies.is_success(answer):
                self.let_go()
                raise unavailable(f"MAIL and RCPT repeated, and answered otherwise: {answer.text}")

    async def _may_send(self, connection: Connection, *, in_chunks: bool) -> Connection:
        if in_chunks and connection.takes_chunks:
            return connection  # BDAT needs no go-ahead
        answer = await connection.say_data()
        if replies.is_data_wanted(answer):
            return connection
        require_word_on_letter("DATA", [answer])
        self._heed(connection, answer)
        if replies.is_refusal(answer):
            raise Refused(answer)
        raise unavailable(f"DATA: {answer.text}")

    def _needs(self, lines: Sequence[bytes]) -> Needs:
        # A client with HELO was offered nothing, and its connection (also by HELO) offers nothing.
        return needs_of(lines) if self._upstreams.is_choice and self._client.protocol != "SMTP" else NO_NEEDS

    def _count(self, recipients: Sequence[tuple[bytes, bytes]], answers: Sequence[Reply]) -> None:
        for (line, mailbox), answer in zip(recipients, answers, strict=True):
            if replies.is_success(answer):
                self._recipients.append(line)
                self.mailboxes.append(mailbox)

    def _rest(self) -> None:
        """Let others take the connection between two commands, and while the letter comes in and is judged.

        MAIL and RCPT are then repeated on another connection.
        """
        if self._connection is not None:
            self._pool.rest(self._connection, self._drop)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)


def _as_taken(lines: Sequence[bytes], connection: Connection) -> Sequence[bytes]:
    """MAIL and RCPTs as this mail server takes them."""
    if "SIZE" in connection.capabilities.keywords:
        return lines
    return [path.without_size(lines[0]), *lines[1:]]
