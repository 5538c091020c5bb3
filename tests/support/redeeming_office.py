"""A post office's redemption over real HTTP, with faults on order: the gate's side is tested against it.

It reads and writes with `http.redemptions`, over any `Redeemer`; what it was asked is remembered.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from pennyred.gate.ports import Redeemer
from pennyred.http import redemptions as wire
from pennyred.http.messages import ABILITIES, INTRODUCTION_PATH
from pennyred.office.checking import StampChecker
from pennyred.office.redeeming import LedgerRedeemer
from pennyred.postage.errors import Malformed
from tests.support.memory_ledger import MemoryLedger
from tests.support.stationery import NOW, Stationery

TOKEN = "a-token"
RECEIVER = "acme"


@dataclass
class RedeemingOffice:
    """Faults, one for each request: `500`, `429`, `404`, `cut`, `nonsense`, `short`, `hang`, `endless`, `redirect`; and, done before they
    strike: `cut-after`, `500-after`.
    """

    redeemer: Redeemer | None = None
    note_hanging: Callable[[], None] = lambda: None
    """Called where a request begins to hang."""
    receipts: bool = False
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    stationery: Stationery = field(default_factory=Stationery)
    now: int = NOW
    token: str = TOKEN
    faults: deque[str] = field(default_factory=deque)
    always: str = ""
    """The fault of every request that none was ordered for."""
    requests: list[tuple[str, int]] = field(default_factory=list)
    """Verb and number of items, of each."""
    leases: list[int] = field(default_factory=list)
    lastings: list[bool] = field(default_factory=list)
    """Of each request of holds, whether it asks that they last."""
    settled: list[wire.SettleItem] = field(default_factory=list)
    """All settlements that it was asked for."""
    connections: set[Any] = field(default_factory=set)
    abilities: list[str] | None = field(default_factory=lambda: list(ABILITIES))
    """What it says of itself; None: it is of a release that knew of none, and refuses what it does not know."""
    hides_introduction: bool = False
    """Whether something in front of it keeps that page from us."""
    introductions: int = 0
    """How often it was asked who it is."""
    refuses_serial: bytes = b""
    """A stamp that makes the whole request malformed."""
    url: str = ""

    async def open(self, stamps: int = 100) -> None:
        """The sender's account and the receiver."""
        paper = self.stationery
        await self.ledger.open_account(paper.account, "ann@sender.example", paper.sender_key.public, 1000, now=NOW)
        await self.ledger.add_receiver(RECEIVER, ["example.org"], b"\0" * 32, now=NOW)
        if stamps:
            await self.ledger.credit(paper.account, stamps, "test", now=NOW)
        keys = paper.issuers[paper.issuer]
        checker = StampChecker(paper.issuer, threads=1)
        self.redeemer = LedgerRedeemer(self.ledger, RECEIVER, keys, clock=lambda: self.now, checker=checker)

    async def balance(self) -> tuple[int, int]:
        account = await self.ledger.account(self.stationery.account)
        assert account is not None
        return account.balance, account.held

    @asynccontextmanager
    async def on_the_web(self, port: int = 0) -> AsyncIterator["RedeemingOffice"]:
        app = web.Application(client_max_size=wire.BODY_BYTES_MAX)
        for verb in ("hold", "settle", "void"):
            app.router.add_post(f"/v1/redemptions/{verb}", self._answer)
        app.router.add_get(INTRODUCTION_PATH, self._introduce)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def asked(self, verb: str) -> list[int]:
        """How many items each request of this verb had."""
        return [count for one, count in self.requests if one == verb]

    async def _introduce(self, request: web.Request) -> web.StreamResponse:
        self.introductions += 1
        if self.hides_introduction:
            return web.Response(status=403)
        if self.always == "500":
            return web.Response(status=500)
        said: dict[str, Any] = {"issuer": self.stationery.issuer, "keys": [], "price": 1}
        return web.json_response(said if self.abilities is None else said | {"abilities": self.abilities})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        verb = request.path.rpartition("/")[2]
        octets = await request.read()
        self.connections.add(request.transport)
        self.requests.append((verb, len(msgspec.json.decode(octets)[verb + "s"])))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"title": "who are you"}, status=401)
        fault = self.faults.popleft() if self.faults else self.always
        match fault:
            case "cut":
                return self._cut(request)
            case "hang":
                self.note_hanging()
                await asyncio.Event().wait()
            case "nonsense":
                return web.Response(body=b"<html>It works!</html>")
            case "endless":
                return web.Response(body=b" " * (9 * 2**20))
            case "redirect":
                return web.Response(status=307, headers={"Location": request.path})
            case "500" | "429" | "404":
                return web.Response(status=int(fault), body=b"{}")
        try:
            outcomes = await getattr(self, f"_{verb}")(octets)
        except Malformed as error:
            return web.json_response({"title": str(error)}, status=400)
        if fault == "cut-after":
            return self._cut(request)
        if fault == "500-after":
            return web.Response(status=500)
        if fault == "short":
            outcomes = outcomes[1:]
        return web.Response(body=msgspec.json.encode({"outcomes": outcomes}), content_type="application/json")

    def _cut(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _require_known(self, ability: str, is_used: bool) -> None:
        if is_used and ability not in (self.abilities or ()):
            raise Malformed(f"{ability}: unknown field")

    async def _hold(self, octets: bytes) -> list[Any]:
        asked = msgspec.json.decode(octets, type=wire.HoldRequest)
        self.leases.append(asked.lease_seconds)
        self.lastings.append(asked.lasting)
        self._require_known("flaw", any(item.flaw for item in asked.holds))
        self._require_known("settle-stamp", not asked.lasting)
        holds = [wire.read_hold(item) for item in asked.holds]
        if any(one.stamp.serial == self.refuses_serial for one in holds):
            raise Malformed("a stamp this office cannot read")
        assert self.redeemer is not None
        answers = await self.redeemer.hold(holds, lease_seconds=asked.lease_seconds)
        return [wire.write_hold_answer(answer) for answer in answers]

    async def _settle(self, octets: bytes) -> list[Any]:
        asked = msgspec.json.decode(octets, type=wire.SettleRequest)
        self.settled += asked.settles
        self._require_known("settle-stamp", any(item.stamp or item.domain for item in asked.settles))
        assert self.redeemer is not None
        settles = [wire.read_settle(item) for item in asked.settles]
        if any(one.stamp is not None and one.serial == self.refuses_serial for one in settles):
            raise Malformed("a stamp this office cannot read")
        outcomes = await self.redeemer.settle(settles)
        return [wire.SettleResult(outcome, "signed" if self.receipts else "") for outcome in outcomes]

    async def _void(self, octets: bytes) -> list[Any]:
        asked = msgspec.json.decode(octets, type=wire.VoidRequest)
        assert self.redeemer is not None
        outcomes = await self.redeemer.void([wire.read_void(item) for item in asked.voids])
        return [wire.VoidResult(outcome) for outcome in outcomes]
