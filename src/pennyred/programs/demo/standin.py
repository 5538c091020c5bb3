"""A stand-in for the mail server behind the gate, for the demo: aiosmtpd, with the one command more that
a gate needs: XCLIENT, as Postfix has it. It counts letters, and delivers nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from pennyred.gate.smtp import replies

HOSTNAME = "mailserver.example.org"
KEYWORDS = ("PIPELINING", "SIZE 33554432", "8BITMIME", "SMTPUTF8", "XCLIENT NAME ADDR PORT PROTO HELO")


@dataclass  # no slots: before Python 3.11.3 those of a dataclass cannot be inspected, as aiosmtpd does with a handler
class StandIn:
    """The server, an asynchronous context manager; it listens on a free port of 127.0.0.1.

    It is the handler of its own sessions: `handle_EHLO` and `handle_DATA` are called by aiosmtpd.
    """

    letters: int = 0
    """How many it has taken."""
    answers: list[bytes] = field(default_factory=list)
    """Replies to the next final dots, instead of 250; such a letter is not taken. Each is a whole reply line."""
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        _WithXclient(self)  # if none can be made, asyncio closes each connection, and says nothing
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _WithXclient(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def handle_EHLO(  # noqa: N802 - named and called by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: Sequence[str]
    ) -> list[str]:
        """Say what is offered: what a gate may use."""
        del server, envelope, responses
        session.host_name = hostname
        return replies.hello(HOSTNAME, KEYWORDS).decode().splitlines()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the letter, or answer what the demo wants to be answered."""
        del server, session, envelope
        if self.answers:
            return _line(self.answers.pop(0))
        self.letters += 1
        return _line(replies.OK)


class _WithXclient(SMTP):
    def __init__(self, handler: StandIn) -> None:
        super().__init__(handler, hostname=HOSTNAME, ident="ESMTP", enable_SMTPUTF8=True)

    async def smtp_XCLIENT(self, arg: str | None) -> None:  # noqa: N802 - found by its name
        """Believe who the client is; the session begins anew."""
        del arg
        assert self.session is not None
        self._set_rset_state()  # type: ignore[no-untyped-call]
        self.session.host_name = None
        await self.push(_line(replies.greeting(HOSTNAME)))


def _line(reply: bytes) -> str:
    return reply.decode().rstrip()
