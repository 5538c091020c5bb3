"""The gate's pages for whoever watches it."""

import asyncio
import socket

import aiohttp

from pennyred.gate.pages import Page, watching
from pennyred.http.server import WebServer


def test_a_monitor_may_ask_by_head_and_hears_the_same_status():
    """Uptime monitors do, by default; a gate that cannot work must not look well to them."""

    async def live() -> Page:
        return Page(b"ok\n")

    async def ready() -> Page:
        return Page(b"no mail server\n", status=503)

    async def story():
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = WebServer(watching({"/healthz": live, "/readyz": ready}), listener)
        await server.start()
        seen = []
        try:
            async with aiohttp.ClientSession() as session:
                for path in ("/healthz", "/readyz", "/nonsense"):
                    for method in ("GET", "HEAD", "POST"):
                        async with session.request(method, url + path) as answer:
                            length = answer.headers["Content-Length"]
                            seen.append((path, method, answer.status, length, await answer.read()))
        finally:
            await server.stop()
        return seen

    seen = asyncio.run(story())
    assert seen[:2] == [("/healthz", "GET", 200, "3", b"ok\n"), ("/healthz", "HEAD", 200, "3", b"")]
    assert seen[3:5] == [
        ("/readyz", "GET", 503, "15", b"no mail server\n"),
        ("/readyz", "HEAD", 503, "15", b""),
    ]
    assert [status for _, _, status, _, _ in seen] == [200, 200, 405, 503, 503, 405, 404, 404, 404]
