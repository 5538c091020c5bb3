"""The SMTP server: listens, starts a session for each client, and stops without losing a letter."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import structlog

from pennyred.failures import place_name, what
from pennyred.gate.door.admission import Admission
from pennyred.gate.door.arrival import Arrival
from pennyred.gate.door.conversation import new_session
from pennyred.gate.door.gatehouse import Gatehouse, GateOptions, NameLookup
from pennyred.gate.door.one_policy import GivenUp
from pennyred.gate.door.tally import Tally, WorkerTally
from pennyred.gate.letterbox import GateDesk, MirrorDesk
from pennyred.gate.smtp.disk_budget import SpoolDisk
from pennyred.gate.smtp.memory_budget import LetterMemory
from pennyred.gate.upstream.choice import Upstreams

_BACKLOG = 1024


def require_free(addresses: Sequence[tuple[str, int]]) -> None:
    """Check that nobody else listens at these addresses; raises OSError if somebody does.

    Shared sockets (SO_REUSEPORT) do not notice it. The system would share them with another program of the same user,
    and every other letter would go past the gate.
    """
    for host, port in addresses:
        listening_socket(host, port).close()


def listening_socket(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket that listens on host and port (0: any free). `is_shared`: several workers may listen (SO_REUSEPORT).

    Raises OSError if the system refuses it.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{place_name(host, port)}: {_why_not(error, port)}") from error
    return listener


def _why_not(error: OSError, port: int) -> str:
    if error.errno == errno.EACCES and port < 1024:
        return "only root may listen there, or a service with CAP_NET_BIND_SERVICE, which config/pennyred.service gives"
    return what(error)


class GateServer:
    """The SMTP server of one worker, for one event loop. `stop` also closes its connections to the mail servers."""

    def __init__(
        self,
        options: GateOptions,
        desk: GateDesk,
        upstreams: Upstreams,
        tls: ssl.SSLContext | None = None,
        *,
        memory: LetterMemory,
        name_lookup: NameLookup | None = None,
        log: Any = None,
        tally: WorkerTally | None = None,
        mirror: MirrorDesk | None = None,
    ) -> None:
        log = structlog.get_logger("pennyred.smtp") if log is None else log
        tally = Tally(1, options.connections_max).of(0) if tally is None else tally
        admission = Admission(tally, log)
        disk = SpoolDisk(options.spool.directory)
        self._house = Gatehouse(
            options, desk, upstreams, tls, log, admission, memory, disk, GivenUp(log), name_lookup, mirror
        )
        self._servers: list[asyncio.Server] = []
        self._hurry = asyncio.Event()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on these listening sockets; `stop` closes them."""
        loop = asyncio.get_running_loop()
        for listener in sockets:
            server = await loop.create_server(self._arrival, sock=listener, backlog=_BACKLOG)
            self._servers.append(server)

    async def stop(self, finish_seconds: float) -> None:
        """Let nobody in, wait up to `finish_seconds` for letters in hand, hang up. What is not done is cancelled."""
        house = self._house
        house.is_stopping = True
        for server in self._servers:
            server.close()
        for session in tuple(house.sessions):
            session.wind_up()
        await self._finish(finish_seconds)
        for session in tuple(house.sessions):
            session.cut_off()
        tasks = self._tasks()
        for task in tasks:
            task.cancel()  # its letter is not done yet: else the session would have ended with its connection
        if tasks:
            await asyncio.wait(tasks)
        await house.upstreams.close()

    @property
    def upstreams(self) -> Upstreams:
        """The mail servers that letters go to."""
        return self._house.upstreams

    def hurry(self) -> None:
        """Make `stop` wait for no letter in hand, whether it is running or is called later."""
        self._hurry.set()

    @property
    def sessions(self) -> int:
        """How many clients are connected now."""
        return len(self._house.sessions)

    @property
    def letters(self) -> int:
        """How many letters are being judged and delivered now."""
        return self._house.letters

    def replace_rules(self, options: GateOptions) -> None:
        """Use new options from now on, as `Gatehouse.replace_rules` says."""
        self._house.replace_rules(options)

    def replace_names(self, name_lookup: NameLookup | None) -> None:
        """Look clients' host names up in this way from now on; None: not at all."""
        self._house.name_lookup = name_lookup

    def replace_tls(self, tls: ssl.SSLContext | None) -> None:
        """Use another certificate from now on (None: no TLS); sessions under way keep theirs."""
        self._house.tls = tls

    def _arrival(self) -> asyncio.Protocol:
        house = self._house
        if house.options.is_proxied:
            return Arrival(house, lambda peer: new_session(house, peer).wire)
        return new_session(house).wire

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {session.task for session in self._house.sessions if session.task is not None}

    async def _finish(self, seconds: float) -> None:
        """Wait for the letters in hand, for at most so many seconds, or until `hurry` is called."""
        tasks = self._tasks()
        if tasks:
            finished, hurry = asyncio.ensure_future(asyncio.wait(tasks)), asyncio.ensure_future(self._hurry.wait())
            await asyncio.wait({finished, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finished.cancel()
            hurry.cancel()
