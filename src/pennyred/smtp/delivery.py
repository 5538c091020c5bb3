"""One transaction with the mail server, from MAIL to its answer to the letter.

The transaction survives the connection: where the mail server has left before the letter was ready, it is reached
again, or another one if there are several, and MAIL and RCPT are repeated; if the answers then differ, nothing is sent
("later"). From the letter's first octet on nothing is repeated, so no letter goes to two mail servers within one
attempt. Once the final dot is out, no answer means in doubt.
"""

import asyncio
import re
from collections.abc import Sequence
from itertools import chain

from pennyred.postage.errors import Unavailable
from pennyred.services.letterbox import Delivered, Fate, Reply
from pennyred.smtp import path, patience, replies
from pennyred.smtp.connection import Connection, NotTold, Refused
from pennyred.smtp.dialogue import require_word_on_letter, unavailable
from pennyred.smtp.identity import ClientIdentity
from pennyred.smtp.newlines import stuffed
from pennyred.smtp.offers import NO_NEEDS, Needs, needs_of
from pennyred.smtp.spool import ReceivedLetter
from pennyred.smtp.upstreams import Upstreams

_WRITE_BYTES = 128 * 1024
"""A letter up to this size goes out in one write, its dot included."""

_TOO_LONG = "no answer for as long as a client waits"

_MBOX_LINES = re.compile(rb"(?:>*From (?![ \t]*:)[^\r\n]*(?:\r\n|\Z))+")
"""One or several, as Postfix knows them. Not `From :`, which is the field in its obsolete form (RFC 5322 section 4.5)
and may go on in the next line."""


class Transaction:
    """MAIL and RCPT lines as they came, and the connection they were said on while it lasts."""

    def __init__(self, upstreams: Upstreams, client: ClientIdentity) -> None:
        self.mailboxes: list[bytes] = []
        """Those the mail server has accepted."""
        self._upstreams = upstreams
        self._client = client
        self._mail = b""
        self._recipients: list[bytes] = []
        self._connection: Connection | None = None

    @property
    def is_lmtp(self) -> bool:
        """Whether each recipient gets an answer of its own."""
        return self._upstreams.is_lmtp

    async def begin(self, mail: bytes, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say MAIL, and the RCPTs the client has sent along (line and mailbox of each); the replies, in that order.

        Raises `Unavailable`, or `Refused` where the client as such is not welcome; then there is no transaction.
        """
        try:
            async with asyncio.timeout(patience.CLIENTS_SECONDS):
                return await self._begin(mail, recipients)
        except TimeoutError as error:
            raise unavailable(_TOO_LONG) from error

    async def _begin(self, mail: bytes, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        lines = [mail, *(line for line, _ in recipients)]
        needs = self._needs(lines)
        connection = await self._upstreams.acquire(self._client, needs=needs)
        try:
            answers = await self._first_exchange(connection, lines)
        except Unavailable as trouble:
            if isinstance(trouble, NotTold) or not connection.is_reused:
                raise
            # Kept too long, perhaps: the mail server may have left while nobody was looking. Once more, on a new one.
            connection = await self._upstreams.acquire(self._client, is_fresh=True, needs=needs)
            answers = await self._first_exchange(connection, lines)
        self._connection = connection
        self._mail = mail
        self._count(recipients, answers[1:])
        return answers

    async def add(self, recipients: Sequence[tuple[bytes, bytes]]) -> list[Reply]:
        """Say more RCPTs; raises `Unavailable`."""
        try:
            async with asyncio.timeout(patience.CLIENTS_SECONDS):
                connection = await self._reopened()
                answers = await connection.exchange([line for line, _ in recipients], is_first_needed=False)
            require_word_on_letter("RCPT", answers)
        except BaseException as error:
            self._drop()  # on the next connection those only are named again of whom the client has heard a yes
            if isinstance(error, TimeoutError):
                raise unavailable(_TOO_LONG) from error
            raise
        self._count(recipients, answers)
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
            if not await connection.reset():
                self._drop()
            else:
                await self._repeat(connection, indexes)
        was_open = self._connection is not None and not self._connection.is_broken
        connection = await self._reopened(indexes)
        try:
            return await self._say_data(connection)
        except Unavailable:
            if not was_open or not connection.is_broken:
                self._drop()
                raise
            self._drop()  # it had left while the letter came in
            return await self._say_data(await self._reopened(indexes))

    def finish(self, connection: Connection, *, is_clean: bool) -> None:
        """The letter has been answered, or never will be."""
        self._connection = None
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
        if replies.is_closing(answers[0]) and connection.is_reused:
            self._upstreams.discard(connection)
            raise unavailable("said goodbye to a kept connection")
        return answers

    async def _reopened(self, indexes: Sequence[int] | None = None) -> Connection:
        if self._connection is not None:
            if not self._connection.is_broken:
                return self._connection
            self._drop()
        needs = self._needs([self._mail, *self._recipients])
        try:
            connection = await self._upstreams.acquire(self._client, is_fresh=True, needs=needs)
        except Refused as refused:
            raise unavailable(f"the client was welcome and is no more: {refused.reply.text}") from refused
        self._connection = connection
        await self._repeat(connection, range(len(self._recipients)) if indexes is None else indexes)
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

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstreams.discard(connection)


class LetterDelivery:
    """Implements `letterbox.Delivery` for one letter and the transaction it came with."""

    def __init__(self, transaction: Transaction, letter: ReceivedLetter, trace: bytes = b"") -> None:
        self._transaction = transaction
        self._letter = letter
        self._trace = trace
        self.answers_each = transaction.is_lmtp

    async def send(self, recipients: Sequence[int], fields: bytes, header: bytes, *, dot_before: float) -> Delivered:
        """Send the letter; see `letterbox.Delivery`."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        count = len(recipients)
        mailboxes = tuple(self._transaction.mailboxes[index] for index in recipients)

        def delivered(fates: Sequence[Fate], answers: Sequence[Reply | None], detail: str = "") -> Delivered:
            return Delivered(tuple(fates), tuple(answers), mailboxes, round((loop.time() - begun) * 1000), detail)

        try:
            connection = await self._transaction.ready(recipients)
        except Refused as refused:
            self._transaction.end()
            return delivered([replies.fate_of(refused.reply)] * count, [refused.reply] * count)
        except Unavailable as error:
            return delivered([Fate.NOT_SENT] * count, [None] * count, str(error))
        is_clean = False
        try:
            last = await self._send_all_but_the_end(connection, fields, header)
            if loop.time() >= dot_before:
                return delivered([Fate.NOT_SENT] * count, [None] * count, "no time left before the final dot")
            futures = connection.end_letter(last, count if self.answers_each else 1)
        except Unavailable as error:
            return delivered(*self._broken_off(connection, count), str(error))
        else:
            answers, detail = await self._answers(connection, futures)
            fates = [Fate.IN_DOUBT if answer is None else replies.fate_of(answer) for answer in answers]
            is_clean = Fate.IN_DOUBT not in fates
            repeated = 1 if self.answers_each else count
            return delivered(fates * repeated, answers * repeated, detail)
        finally:
            self._transaction.finish(connection, is_clean=is_clean)

    async def _send_all_but_the_end(self, connection: Connection, fields: bytes, header: bytes) -> bytes:
        """Send the letter but for what ends it; the rest goes out in one write with the dot."""
        first, header = _split_off_mbox_lines(header)
        fields += self._trace
        if fields and header[:1] in (b" ", b"\t"):
            # A letter that begins with a folded line would continue the gate's own field in the sender's words.
            fields += b"\r\n"
        pending = bytearray()
        for piece in stuffed(chain((first + fields, header), self._letter.body())):
            if len(pending) > _WRITE_BYTES:
                await connection.write_letter(bytes(pending))
                pending.clear()
            pending += piece
        if len(pending) > _WRITE_BYTES:
            # All but the dot, until the kernel has it: the time is looked at when the dot can really go out.
            cut = len(pending) - 3
            await connection.write_letter(bytes(pending[:cut]))
            return bytes(pending[cut:])
        return bytes(pending)

    def _broken_off(self, connection: Connection, count: int) -> tuple[list[Fate], list[Reply | None]]:
        said = connection.unasked
        if said is not None and replies.is_refusal(said):
            return [replies.fate_of(said)] * count, [said] * count
        return [Fate.NOT_SENT] * count, [None] * count

    async def _answers(
        self, connection: Connection, futures: Sequence[asyncio.Future[Reply]]
    ) -> tuple[list[Reply | None], str]:
        answers: list[Reply | None] = []
        detail = ""
        deadline = asyncio.get_running_loop().time() + connection.options.answer_timeout_seconds
        for future in futures:
            try:
                answers.append(await connection.final_reply(future, deadline))
            except Unavailable as error:
                answers.append(None)
                detail = str(error)
        return answers, detail


def _split_off_mbox_lines(header: bytes) -> tuple[bytes, bytes]:
    """What some programs leave at the top of a letter, which mail servers pass over there and nowhere else."""
    found = _MBOX_LINES.match(header)
    end = found.end() if found else 0
    return header[:end], header[end:]
