"""Accept HTTP connections one by one, before TLS, and let in only those that get a place.

This replaces the event loop's own server, which accepts all connections, with a descriptor and memory for each, before
anybody can refuse. Also, uvicorn lets a client be silent in a TLS handshake for a minute.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from pennyred.http.admission import GUEST, Guest, Guests
from pennyred.http.turnedaway import CROWDED, CROWDED_REASON, TOO_CROWDED, problem

ACCEPTS_PER_TURN = 64
"""How many connections are accepted before others get the event loop."""
CLOSING_MAX = 32
"""How many connections may be closing but not yet closed, besides those that have a place."""
PAUSE_SECONDS = 1.0
"""How long to wait if the system has no descriptor or no memory for another connection."""
GOODBYE_SECONDS = 2.0
"""How long a client has for its part in the end of TLS."""
_SHORT_OF = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

Connect = Callable[[Guest, float], asyncio.Protocol]
"""Makes the protocol for a guest; the second argument is when it was accepted, by the loop's clock."""


class Door:
    """Accepts connections on one listening socket. It does not close that socket."""

    def __init__(
        self,
        listener: socket.socket,
        guests: Guests,
        connect: Connect,
        tls: ssl.SSLContext | None,
        *,
        handshake_seconds: float,
        places: int,
    ) -> None:
        """`places` is how many connections may have a place at the same time."""
        self._listener = listener
        self._guests = guests
        self._connect = connect
        self._tls = tls
        self._handshake_seconds = handshake_seconds
        self._loop = asyncio.get_running_loop()
        self._introductions: set[asyncio.Task[None]] = set()
        """Connections in their TLS handshake, or just before it."""
        self._held: set[Guest] = set()
        """All guests whose descriptors are open."""
        self._held_max = places + CLOSING_MAX
        self._is_waiting = False
        """Whether it has stopped accepting until a held connection is closed."""
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Accept connections from now on."""
        self._pause = None
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more connections, and break off handshakes."""
        self._is_waiting = False
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        for task in self._introductions:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until no handshake is under way."""
        if self._introductions:
            await asyncio.wait(self._introductions)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if len(self._held) >= self._held_max:
                self._loop.remove_reader(self._listener)
                self._is_waiting = True
                return
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _SHORT_OF:
                    self._loop.remove_reader(self._listener)
                    self._pause = self._loop.call_later(PAUSE_SECONDS, self.open)
                    return
                continue  # the client hung up before it was accepted
            guest = self._guests.admit(str(peer[0]))
            if guest is None:
                self._turn_away(connection)
            else:
                self._receive(connection, guest)

    def _turn_away(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with connection, contextlib.suppress(OSError):
            if self._tls is None:
                connection.send(TOO_CROWDED)

    def _receive(self, connection: socket.socket, guest: Guest) -> None:
        """Begin the TLS handshake and make the protocol, which then sets its own `guest.end`."""
        connection.setblocking(False)
        self._held.add(guest)
        guest.closed = lambda: self._release(guest)
        task = self._loop.create_task(self._introduce(connection, guest, self._loop.time()))
        self._introductions.add(task)
        guest.end = task.cancel
        task.add_done_callback(lambda task: self._introduced(connection, guest, task))

    async def _introduce(self, connection: socket.socket, guest: Guest, accepted_at: float) -> None:
        limits = {"ssl_handshake_timeout": self._handshake_seconds, "ssl_shutdown_timeout": GOODBYE_SECONDS}
        await self._loop.connect_accepted_socket(
            lambda: self._connect(guest, accepted_at), connection, ssl=self._tls, **(limits if self._tls else {})
        )

    def _introduced(self, connection: socket.socket, guest: Guest, task: "asyncio.Task[None]") -> None:
        self._introductions.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            connection.close()
            guest.leave()
            self._release(guest)
        if error is not None and not isinstance(error, OSError):  # OSError: a handshake that failed or took too long
            self._loop.call_exception_handler({"message": "a connection could not be made", "exception": error})

    def _release(self, guest: Guest) -> None:
        """Note that a guest's descriptor is closed; accept again if that was awaited."""
        self._held.discard(guest)
        if self._is_waiting and len(self._held) < self._held_max:
            self._is_waiting = False
            self.open()


def speaking(app: Any) -> Any:
    """Wrap an application: a request through a proxy counts as one of the client that the proxy names."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        guest: Guest | None = scope.get("state", {}).get(GUEST)
        client = scope.get("client")
        if guest is None or not client or client[0] == guest.address or guest.speaks_for(client[0]):
            await app(scope, receive, send)
            return
        status = HTTPStatus.SERVICE_UNAVAILABLE
        fields, body = problem(status, CROWDED_REASON, CROWDED)
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return serve
