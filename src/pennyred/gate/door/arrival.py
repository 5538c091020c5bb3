"""A new connection where fronts speak PROXY, until the header has said who the client is."""

import asyncio
from collections.abc import Callable
from typing import cast

from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.proxying import MalformedHeader, Peer, parse_header
from pennyred.gate.upstream.identity import plain_address

HEADER_SECONDS_MAX = 10.0
"""A front sends the header in its first packet, so whoever takes longer is no front."""

NewSession = Callable[[Peer | None], asyncio.Protocol]
"""Makes a session for the client that a front has named; with None, for whoever has connected."""


class Arrival(asyncio.Protocol):
    """Reads the header of a trusted front and hands the connection on. Anybody else is handed on at once.

    The greeting is sent after the header. A front that sends no header is cut off without a reply, as it does not
    speak SMTP.
    """

    def __init__(self, house: Gatehouse, new_session: NewSession) -> None:
        self._house = house
        self._new_session = new_session
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read the peer's address; start waiting for the header if it is a trusted front."""
        self._transport = cast("asyncio.Transport", transport)
        address, *_ = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - nobody listens there
        self._front = plain_address(address)
        self._timer = asyncio.get_running_loop().call_later(
            HEADER_SECONDS_MAX, self._give_up, "no PROXY header in time"
        )
        if not self._house.is_trusted(self._front):
            self._hand_on(None, b"")

    def data_received(self, data: bytes) -> None:
        """Take a piece of the header, cut anywhere; what follows the header goes to the session."""
        self._heard += data
        try:
            found = parse_header(self._heard)
        except MalformedHeader as error:
            self._give_up(str(error))
            return
        if found is not None:
            peer, octets = found
            self._hand_on(peer or Peer(self._front, 0), self._heard[octets:])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Stop waiting: the peer has gone before its header was complete."""
        self._timer.cancel()

    def _hand_on(self, peer: Peer | None, rest: bytes) -> None:
        self._timer.cancel()
        session = self._new_session(peer)
        self._transport.set_protocol(session)
        session.connection_made(self._transport)
        if rest:
            session.data_received(rest)

    def _give_up(self, why: str) -> None:
        self._timer.cancel()
        self._house.log.warning("smtp.front_unclear", front=self._front, detail=why)
        self._transport.abort()
