"""One transaction with the mail server, from MAIL to the go-ahead for the letter; `delivery` sends that.

The transaction survives the connection: where the mail server has left before the letter was ready, or somebody else
needed the connection while the client was silent, it is reached again, or another one if there are several, and MAIL
and RCPT are repeated; if the answers then differ, nothing is sent ("later"). From the letter's first octet on nothing
is repeated, so no letter goes to two mail servers within one attempt.
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
from pennyred.postage.errors import Unavailable

_TOO_LONG = "no answer for as long as a client waits"
_REPEATED_MAX = 5000
"""RCPTs said again of one transaction: 100 recipients (RFC 5321 section 4.5.3.1.8), a pause before each, are as many.
More would be a way to have the mail server asked a thousand times as much as the gate is.
"""


class TooSlow(Exception):  # noqa: N818 - a client's way, not a mistake
    """A client has made itself wait for so often that no more recipients are taken: they belong in another letter."""


class _HadLeft(Exception):  # noqa: N818
    """The mail server had left a kept connection while nobody was looking."""


class Transaction:
    """MAIL and RCPT lines as they came, and the connection they were said on while it lasts."""

    def __init__(self, upstreams: Upstreams, client: ClientIdentity, source: Source = NOBODY) -> None:
        """`source`: on whose account its connections go."""
        self.mailboxes: list[bytes] = []
        """Those the mail server has accepted."""
        self._upstreams = upstreams
        self._client = client
        self._source = source
        self._mail = b""
        self._recipients: list[bytes] = []
        self._connection: Connection | None = None
        self._asked: Connection | None = None
        self._repeated = 0

    @property
    def is_lmtp(self) -> bool:
        """Whether each recipient gets an answer of its own."""
        return self._upstreams.is_lmtp

    async def begin(self, mail: bytes, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say MAIL, and the RCPTs the client has sent along (line and mailbox of each); the replies, in that order.

        Raises `Unavailable`, or `Refused` where the client as such is not welcome; then there is no transaction.
        """
        try:
            async with asyncio.timeout(deadlines.CLIENTS_SECONDS):
                answers = await self._begin(mail, recipients)
        except TimeoutError as error:
            trouble = unavailable(_TOO_LONG)
            self._avoid(trouble)
            raise trouble from error
        self._rest()
        return answers

    async def _begin(self, mail: bytes, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        lines = [mail, *(line for line, _ in recipients)]
        needs = self._needs(lines)
        is_fresh = False
        while True:
            connection = await self._upstreams.acquire(self._client, self._source, is_fresh=is_fresh, needs=needs)
            self._asked = connection
            try:
                answers = await self._first_exchange(connection, lines)
            except Unavailable as trouble:
                # Kept too long, perhaps: the mail server may have left while nobody was looking. Once more, on a new
                # one; and where that is in trouble too, at another address, as long as there is one to try.
                is_late = connection.is_reused and not isinstance(trouble, NotTold)
                if not is_late and not self._upstreams.pass_over(connection, trouble):
                    raise
            else:
                if not self._is_goodbye(connection, answers[0]):
                    break
            is_fresh = True
        self._connection = connection
        self._mail = mail
        self._count(recipients, answers[1:])
        return answers

    async def add(self, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say more RCPTs; raises `Unavailable`, or `TooSlow`."""
        if self._connection is None and self._repeated + len(self._recipients) > _REPEATED_MAX:
            raise TooSlow
        try:
            async with asyncio.timeout(deadlines.CLIENTS_SECONDS):
                connection = await self._reopened()
                answers = await connection.exchange([line for line, _ in recipients], is_first_needed=False)
            require_word_on_letter("RCPT", answers)
        except BaseException as error:
            self._drop()  # on the next connection those only are named again of whom the client has heard a yes
            if isinstance(error, TimeoutError):
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
        """Give the connection back for now: the letter takes its time and must not pin the mail server's process."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstreams.reset(connection)

    end = let_go

    async def ready(self, indexes: Sequence[int]) -> Connection:
        """A connection on which exactly these recipients have been accepted and DATA was answered with the go-ahead.

        Raises `Unavailable`, or `Refused` where DATA was refused.
        """
        if len(indexes) != len(self._recipients) and (connection := self._connection) is not None:
            self._upstreams.resume(connection)
            if not await connection.reset():
                self._drop()
            else:
                await self._repeat(connection, indexes)
        was_open = self._connection is not None and not self._connection.is_broken
        connection = await self._reopened(indexes)
        try:
            return await self._say_data(connection)
        except Unavailable as trouble:
            if not was_open or not connection.is_broken:
                self._drop()
                self._avoid(trouble)
                raise
            self._drop()  # it had left while the letter came in
        connection = await self._reopened(indexes)
        try:
            return await self._say_data(connection)
        except Unavailable as trouble:
            self._drop()
            self._avoid(trouble)
            raise

    def finish(self, connection: Connection, *, is_clean: bool, trouble: Unavailable | None = None) -> None:
        """The letter has been answered, or never will be; `trouble`: as the mail server has not."""
        self._connection = None
        if trouble is not None:
            self._avoid(trouble)
        if is_clean:
            self._upstreams.release(connection)
        else:
            connection.abort("a letter was broken off")
            self._upstreams.discard(connection)

    async def _first_exchange(self, connection: Connection, lines: list[bytes]) -> list[Reply]:
        try:
            if "SIZE" not in connection.capabilities.keywords:
                lines = [path.without_size(lines[0]), *lines[1:]]
            answers = await connection.begin(self._client, lines)
        except BaseException:
            self._upstreams.discard(connection)
            raise
        return answers

    def _heed(self, connection: Connection, answer: Reply) -> None:
        """A goodbye to everybody is passed on, and the next one is taken elsewhere."""
        if replies.is_closing(answer) and replies.is_about_service(answer):
            self._avoid(connection.trouble(answer.text))

    def _avoid(self, trouble: BaseException) -> None:
        """What was asked last has come to nothing: the next one is taken elsewhere, if there is another address."""
        if self._asked is not None and isinstance(trouble, Unavailable):
            self._upstreams.pass_over(self._asked, trouble)

    def _is_goodbye(self, connection: Connection, answer: Reply) -> bool:
        """Whether MAIL was answered with a goodbye that is not this client's, and may be said elsewhere."""
        if not replies.is_closing(answer):
            return False
        is_over = connection.is_reused or (
            replies.is_about_service(answer)
            and self._upstreams.pass_over(connection, connection.trouble(f"MAIL: {answer.text}"))
        )
        if is_over:
            self._upstreams.discard(connection)
        return is_over

    async def _reopened(self, indexes: Sequence[int] | None = None) -> Connection:
        """The connection that there is, or another one on which MAIL and RCPT were said again."""
        if (connection := self._connection) is not None:
            if not connection.is_broken:
                self._upstreams.resume(connection)
                return connection
            self._drop()
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
        self._connection = self._asked = connection
        try:
            await self._repeat(connection, indexes)
        except Unavailable as trouble:
            if connection.is_reused and connection.is_broken:
                raise _HadLeft from trouble
            raise
        return connection

    async def _repeat(self, connection: Connection, indexes: Sequence[int]) -> None:
        mail = self._mail
        if "SIZE" not in connection.capabilities.keywords:
            mail = path.without_size(mail)
        try:
            lines = [mail, *(self._recipients[index] for index in indexes)]
            answers = await connection.begin(self._client, lines)
        except Unavailable:
            self._drop()
            raise
        for answer in answers:
            if not replies.is_success(answer):
                self.let_go()
                raise unavailable(f"MAIL and RCPT repeated, and answered otherwise: {answer.text}")

    async def _say_data(self, connection: Connection) -> Connection:
        [answer] = await connection.exchange([b"DATA"])
        if replies.is_data_wanted(answer):
            return connection
        require_word_on_letter("DATA", [answer])
        self._heed(connection, answer)
        if replies.is_refusal(answer):
            raise Refused(answer)
        raise unavailable(f"DATA: {answer.text}")

    def _needs(self, lines: Sequence[bytes]) -> Needs:
        # Who has said HELO has been offered nothing, and on its connection nothing is.
        return needs_of(lines) if self._upstreams.is_choice and self._client.protocol != "SMTP" else NO_NEEDS

    def _count(self, recipients: Sequence[tuple[bytes, bytes]], answers: Sequence[Reply]) -> None:
        for (line, mailbox), answer in zip(recipients, answers, strict=True):
            if replies.is_success(answer):
                self._recipients.append(line)
                self.mailboxes.append(mailbox)

    def _rest(self) -> None:
        """Between two commands, and while the letter comes in and is judged: whoever needs the connection may have it.

        MAIL and RCPT are said again on another one then.
        """
        if self._connection is not None:
            self._upstreams.rest(self._connection, self._taken)

    def _taken(self) -> None:
        self._connection = None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstreams.discard(connection)
