"""Commands that carry no letter: courtesies, questions, TLS, and what a trusted front tells of its client."""

# ruff: noqa: N802 - the commands are named as aiosmtpd names them

from typing import Any, ClassVar

from pennyred.gate.door.conversation import Commands, Conversation
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.identity import MalformedIdentity, parse_attributes


class Formalities(Conversation):
    """What a session knows besides letters."""

    @property
    def is_in_transaction(self) -> bool:
        """Whether MAIL has been accepted and its letter not yet answered."""
        raise NotImplementedError

    # What brings no letter nearer

    async def smtp_NOOP(self, arg: Any) -> None:  # noqa: ARG002
        """Do nothing."""
        self.answer_idle(replies.OK)

    async def smtp_VRFY(self, arg: Any) -> None:
        """Neither confirm nor deny."""
        self.answer_idle(replies.CANNOT_VERIFY if argument_of(arg) else replies.ARGUMENT_MISSING)

    async def smtp_HELP(self, arg: Any) -> None:  # noqa: ARG002
        """Say where to read on."""
        self.answer_idle(replies.HELP)

    async def smtp_EXPN(self, arg: Any) -> None:  # noqa: ARG002
        """Lists are nobody's business. Nor does anybody authenticate here (AUTH), or fetch mail (ETRN)."""
        self.answer_idle(replies.NOT_IMPLEMENTED)

    async def smtp_QUIT(self, arg: Any) -> None:  # noqa: ARG002
        """Part."""
        self.leave_with(replies.GOODBYE)

    # Before it all

    async def smtp_STARTTLS(self, arg: Any) -> None:
        """Change to TLS; the session begins anew (RFC 3207 section 4.2)."""
        if argument_of(arg):
            self.answer(replies.NO_ARGUMENT_ALLOWED)
        elif self._is_tls:
            self.answer(replies.TLS_ACTIVE)
        elif self._house.tls is None:
            self.answer(replies.TLS_UNAVAILABLE)
        else:
            self.forget()
            self._client.begin_anew()
            self._is_leaving = not await self.start_tls(self._house.tls, replies.READY_FOR_TLS)

    async def smtp_XCLIENT(self, arg: Any) -> None:
        """A trusted front says who its client is; the session begins anew (XCLIENT_README)."""
        if (attributes := self._attributes(argument_of(arg))) is not None:
            self._client.tell_session(attributes)
            self.answer(replies.greeting(self._house.options.hostname))

    async def smtp_XFORWARD(self, arg: Any) -> None:
        """A trusted front says who its client is, for one transaction (XFORWARD_README)."""
        if (attributes := self._attributes(argument_of(arg))) is not None:
            self._client.tell_transaction(attributes)
            self.answer(replies.OK)

    def _attributes(self, argument: bytes) -> dict[str, str | None] | None:
        if not self._client.is_trusted:
            self.answer(replies.NOT_A_FRONT)
        elif self.is_in_transaction:
            self.answer(replies.IN_TRANSACTION)
        else:
            try:
                return parse_attributes(argument)
            except MalformedIdentity as error:
                self.answer(replies.bad_attributes(str(error)))
        return None

    commands: ClassVar[Commands] = {
        b"NOOP": smtp_NOOP, b"QUIT": smtp_QUIT, b"VRFY": smtp_VRFY, b"HELP": smtp_HELP, b"EXPN": smtp_EXPN,
        b"AUTH": smtp_EXPN, b"ETRN": smtp_EXPN, b"STARTTLS": smtp_STARTTLS, b"XCLIENT": smtp_XCLIENT,
        b"XFORWARD": smtp_XFORWARD,
    }  # fmt: skip


def argument_of(line: bytes) -> bytes:
    """What follows the verb."""
    return line.partition(b" ")[2].strip(b" ")
