"""One SMTP client connection of the load generator: says each line when the answer to the one before is there.

As smtp-source does, without pipelining, so that every contestant is asked the same. On bare sockets under epoll, because
what the generator costs is taken from the contestants: they share the machine.
"""

import select
import socket

RCPT = b"bob@example.org"
_EHLO = b"EHLO client.example\r\n"
_ENVELOPE = (b"MAIL FROM:<ann@sender.example>\r\n", b"RCPT TO:<%s>\r\n" % RCPT, b"DATA\r\n")
_QUIT = b"QUIT\r\n"
_REPLY_BYTES = 4096
_SEND_BUFFER_BYTES = 256 * 1024


class Refused(Exception):  # noqa: N818 - what the contestant did
    """The contestant said no, or hung up, where it must say yes."""


class Session:
    """A connection from connect to close. `give` it a letter whenever it `is_ready`; `hang_up` when there is none left."""

    __slots__ = (
        "_epoll",
        "_has_letter",
        "_heard",
        "_script",
        "_socket",
        "_unsent",
        "due",
        "fd",
        "is_closed",
        "is_ready",
    )

    def __init__(self, epoll: select.epoll, port: int) -> None:
        self._epoll = epoll
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._socket.connect_ex(("127.0.0.1", port))
        self.fd = self._socket.fileno()
        epoll.register(self.fd, select.EPOLLIN)
        self._script = [_EHLO]
        """What is yet to be said, the last first."""
        self._heard = b""
        self._unsent = memoryview(b"")
        self._has_letter = False
        self.is_ready = self.is_closed = False
        self.due = 0.0
        """When the letter in hand ought to have set out; for the caller's own use."""

    def give(self, letter: bytes) -> None:
        """Send this letter now. It ends in CRLF and needs no dot-stuffing."""
        self.is_ready, self._has_letter = False, True
        mail, rcpt, data = _ENVELOPE
        self._script = [letter + b".\r\n", data, rcpt]
        self._say(mail)

    def hang_up(self) -> None:
        """QUIT, and close at the answer."""
        self.is_ready = False
        self._script = []
        self._say(_QUIT)

    def attend(self, event: int) -> bool:
        """Do what the epoll event asks for; whether a letter has just been delivered. Raises Refused."""
        if event & select.EPOLLOUT and self._unsent:
            self._say(self._unsent)
            return False
        try:
            heard = self._heard + self._socket.recv(_REPLY_BYTES)
        except OSError as error:
            raise Refused(str(error)) from error
        if not heard.endswith(b"\n") or heard[heard.rfind(b"\n", 0, -1) + 4 :][:1] == b"-":
            if heard == self._heard:
                raise Refused("hung up")
            self._heard = heard  # more lines of this answer are on their way
            return False
        self._heard = b""
        return self._go_on(heard)

    def _go_on(self, answer: bytes) -> bool:
        if answer[:1] not in b"23":
            raise Refused(answer.decode(errors="replace").strip())
        if answer.startswith(b"221"):
            self.close()
        elif self._script:
            self._say(self._script.pop())
        else:
            delivered, self._has_letter, self.is_ready = self._has_letter, False, True
            return delivered
        return False

    def close(self) -> None:
        """Without a word."""
        self._epoll.unregister(self.fd)
        self._socket.close()
        self.is_closed = True

    def _say(self, line: bytes | memoryview) -> None:
        sent = self._socket.send(line)
        had_rest, self._unsent = bool(self._unsent), memoryview(line)[sent:]
        if bool(self._unsent) != had_rest:
            self._epoll.modify(self.fd, select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0))
