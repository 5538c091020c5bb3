"""TLS with a client: a thin layer between transport and session, with OpenSSL's memory buffers.

The event loop's own TLS keeps a quarter of a megabyte for each connection that it was used on: some thousand idle
clients would fill the machine. Here nothing is kept between two records. Input is fed to OpenSSL in small pieces,
because its buffers never shrink.
"""

import asyncio
import contextlib
import ssl
from typing import Any

_PIECE_BYTES = 16 * 1024
"""The largest record (RFC 8446 section 5.1)."""


class LeftBefore(ConnectionAbortedError):  # noqa: N818 - no error: it has changed its mind
    """The client has gone before it sent anything of a handshake."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The transport of a session, and the protocol of the transport below. Made by `start_tls`."""

    def __init__(self, below: asyncio.Transport, session: asyncio.Protocol, context: ssl.SSLContext) -> None:
        super().__init__()
        self._below = below
        self._session = session
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken: asyncio.Future[None] | None = None
        self._has_eof = False
        self._error: ssl.SSLError | None = None
        self._has_begun = False

    async def shake_hands(self, timeout_seconds: float) -> None:
        """Wait for the handshake. If it fails, close and raise OSError (ssl.SSLError and TimeoutError are OSErrors)."""
        loop = asyncio.get_running_loop()
        self._shaken = loop.create_future()
        timer = loop.call_later(timeout_seconds, self._give_up, TimeoutError("no handshake in time"))
        self._below.set_protocol(self)
        try:
            await self._shaken
        finally:
            timer.cancel()
            if not self._shaken.done() or self._shaken.cancelled():
                self._below.abort()
            self._shaken = None

    # Called by the transport below

    def data_received(self, data: bytes) -> None:
        """Take TLS records, cut anywhere, and hand what they hold to the session."""
        self._has_begun = True
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            self._incoming.write(view[start : start + _PIECE_BYTES])
            if self._shaken is not None and not self._shaken.done():
                self._go_on_shaking()
            if self._shaken is None or self._is_shaken:
                self._read()

    def eof_received(self) -> bool:
        """End the input, whether TLS's close_notify came or not: a letter has its own end mark, so a cut is noticed."""
        if self._shaken is not None and not self._shaken.done():
            self._give_up(self._gone())
        else:
            self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the handshake, and the session."""
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(exc if isinstance(exc, OSError) and self._has_begun else self._gone())
        self._session.connection_lost(exc or self._error)

    def pause_writing(self) -> None:
        """Tell the session to pause: the client reads too slowly."""
        self._session.pause_writing()

    def resume_writing(self) -> None:
        """Tell the session to go on: the client has read."""
        self._session.resume_writing()

    # Called by the session

    def write(self, data: Any) -> None:
        """Encrypt these bytes and send them."""
        if not self._below.is_closing():
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        """Send TLS's close_notify and close, so that the client knows that nothing is missing."""
        if not self._below.is_closing():
            with contextlib.suppress(ssl.SSLError):  # nobody waits for the client's own close_notify
                self._tls.unwrap()
            self._flush()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read on after `pause_reading`."""
        self._below.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport below tells; "ssl_object" is the TLS object of this connection."""
        return self._tls if name == "ssl_object" else self._below.get_extra_info(name, default)

    # Internal steps

    @property
    def _is_shaken(self) -> bool:
        return self._shaken is not None and self._shaken.done() and self._shaken.exception() is None

    def _gone(self) -> OSError:
        return ConnectionAbortedError("the client hung up") if self._has_begun else LeftBefore()

    def _go_on_shaking(self) -> None:
        assert self._shaken is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except OSError as error:
            self._flush()  # OpenSSL has an alert ready that says why
            self._give_up(error)
        else:
            self._flush()
            self._shaken.set_result(None)

    def _read(self) -> None:
        try:
            while not self._below.is_closing():
                data = self._tls.read(_PIECE_BYTES)
                if not data:
                    self._end()
                    break
                self._session.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._end()
        except ssl.SSLError as error:
            self._error = error
            self._flush()
            self._below.abort()  # bytes that do not decrypt did not come from the client
            return
        self._flush()

    def _end(self) -> None:
        """The client sends no more; in TLS that means that it is gone."""
        if not self._has_eof:
            self._has_eof = True
            self._session.eof_received()
            self.close()

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and not self._below.is_closing():
            self._below.write(data)

    def _give_up(self, error: OSError) -> None:
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(error)
        self._below.close()


async def start_tls(
    below: asyncio.Transport, session: asyncio.Protocol, context: ssl.SSLContext, timeout_seconds: float
) -> TlsTransport:
    """Shake hands as the server; returns the transport to use from now on. Raises OSError if that fails."""
    transport = TlsTransport(below, session, context)
    await transport.shake_hands(timeout_seconds)
    return transport
