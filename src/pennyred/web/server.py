"""An application on a socket, inside an event loop that somebody else runs."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn


@dataclass(frozen=True, slots=True)
class Reach:
    """How an application is reached from other machines."""

    tls_certificate: Path | None = None
    """PEM, with `tls_key`; None: plain HTTP, behind a proxy or on this machine."""
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose X-Forwarded-For and -Proto are believed."""


CONNECTIONS_MAX = 500
KEEP_ALIVE_SECONDS = 15
SHUTDOWN_SECONDS = 5


class _Server(uvicorn.Server):
    """Leaves signals to the program: it stops the gate first, and this with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class WebServer:
    """An application on one listening socket, which it closes."""

    def __init__(self, app: Any, listener: socket.socket, reach: Reach = Reach()) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            h11_max_incomplete_event_size=64 * 1024,
            ws="none",
            proxy_headers=bool(reach.trusted_proxies),
            forwarded_allow_ips=list(reach.trusted_proxies),
            ssl_certfile=reach.tls_certificate,
            ssl_keyfile=reach.tls_key,
        )
        self._server = _Server(config)
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve from now on: the socket listens already, so nobody is turned away meanwhile."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))

    async def stop(self) -> None:
        """Finish the requests in hand, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])
        self._listener.close()
