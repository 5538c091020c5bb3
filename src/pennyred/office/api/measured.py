"""Measure each request to the office's API, and show the metrics to those who may see them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import Network, parse_source

_FORWARDED = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"))
"""Fields that a proxy adds: then the address we see is the proxy's, not that of the one who asks."""


@dataclass(slots=True)
class ApiMetrics:
    """The metrics' page, who may see it, and the callback for each request."""

    page: Callable[[], bytes]
    media_type: str
    networks: tuple[Network, ...]
    """The networks that may see the page; others get 404. It may be replaced at any time."""
    note_request: Callable[[str, int, float], None]
    """Called for each request with its path, its status and how many seconds it took."""


def measured(app: ASGIApp, metrics: ApiMetrics) -> ASGIApp:
    """Wrap an application: `/metrics` is answered here, everything else by `app`, and all of it is measured."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["path"] == "/metrics" and scope["method"] == "GET" and _may_see(scope, metrics):
                await _send_page(sending, metrics)
            else:
                await app(scope, receive, sending)
        finally:
            metrics.note_request(scope["path"], status, time.perf_counter() - begun)

    return serve


def _may_see(scope: HTTPScope, metrics: ApiMetrics) -> bool:
    client = scope.get("client")
    if client is None or any(name.lower() in _FORWARDED for name, _ in scope["headers"]):
        return False
    try:
        address = parse_source(client[0])
    except MalformedAddress:
        return False
    return any(address in network for network in metrics.networks)


async def _send_page(send: Send, metrics: ApiMetrics) -> None:
    body = metrics.page()
    headers = [(b"content-type", metrics.media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
