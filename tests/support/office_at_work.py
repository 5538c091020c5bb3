"""An office over the in-memory ledger, with a clock that is set, keys in a folder and randomness that counts."""

import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from pennyred.http.server import WebServer
from pennyred.office.api.app import make_app
from pennyred.office.keys import OfficeKeys, add_key
from pennyred.office.office import Office
from pennyred.postage.signing import SigningKey
from pennyred.sender.client import OfficeClient
from tests.support.memory_ledger import MemoryLedger
from tests.support.stationery import ISSUER, NOW

ANN = SigningKey.from_seed(b"\x0a" * 32)
EVE = SigningKey.from_seed(b"\x0e" * 32)


@dataclass
class OfficeAtWork:
    """The office and what can be done to its surroundings."""

    folder: Path
    ledger: Any = field(default_factory=MemoryLedger)
    now: int = NOW
    log: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    dns: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.random_bytes = lambda count: (next(numbers) * 0x9E3779B97F4A7C15).to_bytes(32, "big")[-count:]
        if not (self.folder / "office.key").exists():
            add_key(self.folder / "office.key", b"\x01" * 32)
        self.office = Office(
            ISSUER,
            self.ledger,
            OfficeKeys(self.folder / "office.key"),
            price=1,
            daily_cap=1000,
            clock=lambda: self.now,
            random_bytes=self.random_bytes,
            find_texts=self.find_texts,
        )

    async def find_texts(self, name: str) -> list[str]:
        """The DNS, as the office sees it."""
        texts = self.dns.get(name, [])
        if isinstance(texts, Exception):
            raise texts
        return texts

    def error(self, event: str, **fields: Any) -> None:
        """The log of the API."""
        self.log.append((event, fields))

    @asynccontextmanager
    async def on_the_web(self) -> AsyncIterator["OfficeAtWork"]:
        """Its API on a free port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = WebServer(make_app(self.office, self), listener)
        await server.start()
        try:
            yield self
        finally:
            await server.stop()

    def client(self, key: SigningKey | None = ANN) -> OfficeClient:
        """A sender's client of it."""
        return OfficeClient(self.url, key, clock=lambda: self.now, random_bytes=self.random_bytes)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, str]:
        """A request as a stranger makes it: status, document, media type."""
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, **options) as response:
            media_type = response.headers.get("Content-Type", "")
            return (
                response.status,
                await (response.json(content_type=None) if "json" in media_type else response.text()),
                media_type,
            )
