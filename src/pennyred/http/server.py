"""Serve an application on a socket, inside an event loop that somebody else runs."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import uvicorn

from pennyred.http.admission import CROWDS, Counts, Guest, Guests, LocalCounts, Room
from pennyred.http.exchange import Deadlines, Exchange, quiet_logger
from pennyred.http.listener import Door, speaking


@dataclass(frozen=True, slots=True)
class Reach:
    """How an application is reached from other machines: TLS, proxies, how many connections, how long they may take."""

    tls_certificate: Path | None = None
    """A PEM file, used with `tls_key`. None means plain HTTP, behind a proxy or on this machine."""
    tls_key: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    receivers: tuple[IPv4Network | IPv6Network, ...] = ()
    """The networks of gates, which strangers can never shut out."""
    room: Room = field(default_factory=Room)
    deadlines: Deadlines = field(default_factory=Deadlines)


SHUTDOWN_SECONDS = 5


class _Server(uvicorn.Server):
    """uvicorn's server with our own `Door`. Signals are left to the program, which stops this server in its turn."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, guests: Guests, reach: Reach, log: Any) -> None:
        super().__init__(config)
        self._listener = listener
        self._guests = guests
        self._deadlines = reach.deadlines
        self._places = CROWDS * reach.room.connections_max
        self._logger = quiet_logger(log)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's shape
        """Begin to accept connections."""
        tls = self.config.ssl
        if tls is not None:
            tls.options |= ssl.OP_NO_RENEGOTIATION  # it would cost us more than the client
        door = Door(
            self._listener,
            self._guests,
            self._connect,
            tls,
            handshake_seconds=self._deadlines.request_seconds,
            places=self._places,
        )
        door.open()
        self.servers = [door]  # type: ignore[list-item]  # it has the methods of asyncio's servers
        self.started = True

    def _connect(self, guest: Guest, accepted_at: float) -> Exchange:
        return Exchange(
            guest,
            self._deadlines,
            self._logger,
            accepted_at,
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )


class WebServer:
    """Serves an application on one listening socket, and closes that in the end.

    `strangers` and `known` count the connections of all workers together; without them, only of this one.
    """

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        reach: Reach = Reach(),
        *,
        log: Any = None,
        strangers: Counts | None = None,
        known: Counts | None = None,
    ) -> None:
        config = uvicorn.Config(
            speaking(app),
            http=Exchange,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(reach.deadlines.keep_alive_seconds) + SHUTDOWN_SECONDS,  # ours comes earlier
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            ws="none",
            proxy_headers=bool(reach.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in reach.trusted_proxies],
            ssl_certfile=reach.tls_certificate,
            ssl_keyfile=reach.tls_key,
        )
        self._guests = Guests(
            reach.room,
            strangers or LocalCounts(),
            known or LocalCounts(),
            proxies=reach.trusted_proxies,
            receivers=reach.receivers,
            log=log,
        )
        self._server = _Server(config, listener, self._guests, reach, log)
        self._listener = listener
        self._reach = reach
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve from now on. The socket listens already, so no client is refused in the meantime."""
        self._task = asyncio.create_task(self._server.serve())

    def renew_certificate(self) -> None:
        """Read the certificate files again, for new connections; raises OSError if they cannot be used."""
        tls, certificate = self._server.config.ssl, self._reach.tls_certificate
        if tls is not None and certificate is not None:
            # First into a separate context: a key that does not fit would leave the used one half changed.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, self._reach.tls_key)
            tls.load_cert_chain(certificate, self._reach.tls_key)

    async def stop(self) -> None:
        """Finish the requests under way, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])
        for connection in tuple(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._listener.close()
