"""A gate's desk with an office in memory behind it and a scripted mail server before it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pennyred.gate.desk import Desk
from pennyred.gate.judging.delivered_texts import DeliveredText, DeliveredTexts
from pennyred.gate.judging.former_aliases import FormerNames
from pennyred.gate.judging.judge import Judging
from pennyred.gate.letterbox import Answer, Delivered, Envelope, Fate, Reply
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.policy import GatePolicy
from pennyred.gate.ports import Redeemer, Refused
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.exemptions import AllowanceClaim
from pennyred.gate.rules.figures import Fact
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.postage.errors import Unavailable
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.verification import check_flawed, check_for_office
from tests.support.memory_ledger import MemoryLedger
from tests.support.stationery import NOW, ReceivedLetter, Stationery

QUEUED = Reply(250, (b"2.0.0 Ok: queued as ABC123",))


@dataclass
class OfficeInMemory:
    """A `Redeemer` over the in-memory ledger; `down` makes the named verbs unavailable."""

    stationery: Stationery
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now: int = NOW
    down: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    asked: list[Hold] = field(default_factory=list)
    """Every hold it was asked for."""

    async def open(self, stamps: int, daily_cap: int = 1000) -> None:
        """The sender's account with a balance, and the gate's own receiver."""
        await self.ledger.open_account(
            self.stationery.account, "ann@sender.example", self.stationery.sender_key.public, daily_cap, now=NOW
        )
        await self.ledger.add_receiver("local", ("*",), b"\0" * 32, now=NOW)
        if stamps:
            await self.ledger.credit(self.stationery.account, stamps, "test", now=NOW)

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        self._called("hold")
        orders = [self._order(hold, self.now + lease_seconds) for hold in holds]
        self.asked.extend(holds)
        return await self.ledger.hold("local", orders, now=self.now)

    def _order(self, hold: Hold, lease_until: int) -> HoldOrder:
        stamp = hold.stamp
        key, flaw = stamp.licence.public_key, self._flaw(hold)
        return HoldOrder(
            hold.tx, hold.group, stamp.account, stamp.serial, stamp.expiry_day, stamp.price, key, hold.domain,
            hold.letter, lease_until, flaw,
        )  # fmt: skip

    def _flaw(self, hold: Hold) -> Reason | None:
        if hold.flaw is not None:
            return check_flawed(hold.stamp, hold.flaw, issuer=hold.stamp.issuer, domain=hold.domain)
        keys = self.stationery.issuers[self.stationery.issuer]
        return check_for_office(hold.stamp, issuer=self.stationery.issuer, keys=keys, now=self.now, domain=hold.domain)

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        self._called("settle")
        outcomes = await self.ledger.settle("local", settles, now=self.now)
        for place, (one, outcome) in enumerate(zip(settles, outcomes, strict=True)):
            if outcome is SettleOutcome.NO_SUCH_HOLD and one.stamp is not None:
                order = self._order(Hold(bytes(16), 0, one.stamp, one.domain, one.letter), 0)
                [outcomes[place]] = await self.ledger.settle_stamps("local", [order], now=self.now)
        return outcomes

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        self._called("void")
        return await self.ledger.void("local", voids, now=self.now)

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.down:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "down by script")


@dataclass
class Counters:
    """An `AllowanceBook` in memory."""

    used: dict[tuple[int, str], int] = field(default_factory=dict)
    is_down: bool = False

    async def take(self, day: int, claims: Sequence[AllowanceClaim]) -> bool:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")
        if any(self.used.get((day, one.key), 0) + one.count > one.limit for one in claims):
            return False
        for one in claims:
            self.used[day, one.key] = self.used.get((day, one.key), 0) + one.count
        return True

    async def give_back(self, day: int, claims: Sequence[AllowanceClaim]) -> None:
        for one in claims:
            self.used[day, one.key] -= one.count


@dataclass
class OutboxInMemory:
    """A `SettlementOutbox` in memory."""

    entries: dict[int, Settle] = field(default_factory=dict)
    retry_at: dict[int, int] = field(default_factory=dict)

    async def add(self, settles: Sequence[Settle], *, now: int) -> None:
        self.entries |= dict(zip(itertools.count(len(self.entries)), settles))

    async def pending(self, limit: int, *, now: int, besides: Collection[str] = ()) -> list[Any]:
        waiting = [
            _Entry(number, settle)
            for number, settle in self.entries.items()
            if settle.issuer not in besides and self.retry_at.get(number, 0) <= now
        ]
        return waiting[:limit]

    async def postpone(self, ids: Sequence[int], *, until: int) -> None:
        self.retry_at |= dict.fromkeys(ids, until)

    async def done(self, ids: Sequence[int]) -> None:
        for number in ids:
            del self.entries[number]


@dataclass
class PartDeliveriesInMemory:
    """A `PartDeliveryBook` in memory."""

    letters: set[bytes] = field(default_factory=set)
    is_down: bool = False

    async def had(self, letters: Sequence[bytes]) -> frozenset[bytes]:
        self._called()
        return frozenset(letters) & self.letters

    async def add(self, day: int, letters: Sequence[bytes]) -> None:
        self._called()
        assert 20_000 < day < 30_000
        self.letters |= set(letters)

    def _called(self) -> None:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")


@dataclass(frozen=True)
class _Entry:
    id: int
    settle: Settle


@dataclass
class MailServer:
    """A `Delivery` that answers each recipient by script, and remembers what it was sent."""

    mailboxes: tuple[bytes, ...]
    fates: list[Fate] = field(default_factory=list)
    """One for each recipient sent to; those missing are accepted."""
    sent: list[tuple[tuple[int, ...], bytes, bytes]] = field(default_factory=list)
    answers_each: bool = False
    gate: asyncio.Event | None = None
    """Where set, the answer waits for it."""
    explode: Exception | None = None
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, recipients: Sequence[int], fields: bytes, header: bytes, *, dot_before: float) -> Delivered:
        self.sent.append((tuple(recipients), fields, header))
        self.is_asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.explode is not None:
            raise self.explode
        fates = (self.fates + [Fate.ACCEPTED] * len(recipients))[: len(recipients)]
        replies = {
            Fate.ACCEPTED: QUEUED,
            Fate.REFUSED_TEMPORARY: Reply(451, (b"4.2.0 later",)),
            Fate.REFUSED_PERMANENT: Reply(550, (b"5.1.1 no",)),
        }
        mailboxes = tuple(self.mailboxes[index] for index in recipients)
        return Delivered(tuple(fates), tuple(replies.get(fate) for fate in fates), mailboxes, 1)


@dataclass
class Witness:
    """An `Authenticator` that says what the script says, and counts how often it was asked."""

    found: Authentication = UNPROVEN
    asked: list[bool] = field(default_factory=list)
    """Of each time, whether the letter's fate hung on it."""

    async def authenticate(self, letter: Any, envelope: Envelope, *, is_vital: bool = True) -> Authentication:
        self.asked.append(is_vital)
        return self.found

    async def is_sender_proven(self, envelope: Envelope) -> bool | None:
        domain = envelope.sender.decode().rpartition("@")[2]
        is_proven = bool(domain) and domain == self.found.sender_domain
        return None if domain and not is_proven and self.found.is_unsure else is_proven


@dataclass
class Wants:
    """A `GrantBook` in memory: grants by the names of recipients, whatever the letter claims."""

    of: dict[str, list[Grant]] = field(default_factory=dict)
    left: dict[bytes, int] = field(default_factory=dict)
    """Uses left of each counter; those not named have one."""
    claims: list[Claims] = field(default_factory=list)
    is_down: bool = False

    @property
    def is_in_use(self) -> bool:
        return any(self.of.values())

    can_spare = False

    @property
    def is_empty(self) -> bool:
        return False

    async def grants(self, recipients: Sequence[Sequence[str]], claims: Claims, *, now: int) -> list[list[Grant]]:
        self._called()
        self.claims.append(claims)
        return [[grant for name in names for grant in self.of.get(name, [])] for names in recipients]

    async def use(self, counters: Sequence[bytes]) -> bool:
        self._called()
        if any(self.left.setdefault(one, 1) < 1 for one in counters):
            return False
        for one in counters:
            self.left[one] -= 1
        return True

    async def give_back(self, counters: Sequence[bytes]) -> None:
        for one in counters:
            self.left[one] += 1

    def _called(self) -> None:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")


@dataclass
class BadStampsInMemory:
    """`BadStamps` in memory."""

    counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, source: str, account: str) -> int:
        return self.counted[source, account]

    def add(self, source: str, account: str, stamps: int) -> None:
        self.counted[source, account] += stamps


@dataclass
class Names:
    """A `NameBook` in memory."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    is_down: bool = False

    async def of(self, recipients: Sequence[str]) -> list[list[str]]:
        self._called()
        return [[name for one, name in self.pairs if one == recipient] for recipient in recipients]

    async def add(self, day: int, pairs: Sequence[tuple[str, str]]) -> None:
        self._called()
        self.pairs.extend(pairs)

    def _called(self) -> None:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")


@dataclass
class TextsInMemory:
    """A `TextBook` in memory."""

    known: dict[Any, DeliveredText] = field(default_factory=dict)
    is_down: bool = False

    async def of(self, stamps: Sequence[Any]) -> list[DeliveredText | None]:
        self._called()
        return [self.known.get(name) for name in stamps]

    async def add(self, delivered: Mapping[Any, DeliveredText]) -> None:
        self._called()
        self.known = dict(delivered) | self.known

    def _called(self) -> None:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")


@dataclass
class Kept:
    """`Refusals` in memory."""

    letters: list[tuple[list[Refused], str]] = field(default_factory=list)
    is_down: bool = False

    async def keep(
        self, letter: Any, envelope: Envelope, refused: Sequence[Refused], *, authenticated: str = ""
    ) -> int:
        if self.is_down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down by script")
        self.letters.append((list(refused), authenticated))
        return 0


@dataclass
class Lines:
    """A logger that keeps its lines."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    warning = error = info


class DeskUnderTest:
    """The desk, its neighbours, and one call to present a letter."""

    def __init__(self, redeemer: Redeemer | None = None, **policy: Any) -> None:
        """`redeemer` takes the place of the office in memory."""
        self.stationery = Stationery()
        self.office = OfficeInMemory(self.stationery)
        self.counters = Counters()
        self.outbox = OutboxInMemory()
        self.part_deliveries = PartDeliveriesInMemory()
        self.wants = Wants()
        self.witness = Witness()
        self.kept = Kept()
        self.names = Names()
        self.text_book = TextsInMemory()
        self.texts = DeliveredTexts(self.text_book)
        self.facts: list[Fact] = []
        self.failures: list[tuple[Reason, int]] = []
        self.log = Lines()
        self.bad_stamps = BadStampsInMemory()
        self.attempts = itertools.count(1)
        self.luck = 1
        self.judging = Judging(
            random_bytes=lambda count: bytes([self.luck] * count),
            grant_book=self.wants,
            former=FormerNames(self.names),
            texts=self.texts,
            bad_stamps=self.bad_stamps,
        )
        defaults: dict[str, Any] = {"hostname": "mx.example.org", "issuers": self.stationery.issuers}
        self.desk = Desk(
            GatePolicy(**(defaults | policy)),
            redeemer or self.office,
            self.counters,
            self.outbox,
            self.part_deliveries,
            clock=lambda: self.office.now,
            random_bytes=lambda count: next(self.attempts).to_bytes(count, "big"),
            log=LetterLog(self.log),
            judging=self.judging,
            authenticator=self.witness,
            refusals=self.kept,
            note_facts=self.facts.extend,
            note_failure=lambda reason, recipients: self.failures.append((reason, recipients)),
        )

    async def present(
        self,
        letter: bytes,
        *to: str,
        sender: str = "ann@sender.example",
        source: str = "198.51.100.7",
        server: MailServer | None = None,
        source_known: bool = True,
    ) -> tuple[Answer, MailServer]:
        """Hand a letter over the desk; the answer and the mail server that stood behind."""
        mailboxes = tuple(one.encode() for one in to)
        server = server or MailServer(mailboxes)
        server.mailboxes = mailboxes
        envelope = Envelope(sender.encode(), mailboxes, source, source_known)
        return await self.desk.take(ReceivedLetter(letter), envelope, server), server

    async def balance(self) -> tuple[int, int]:
        """The sender's balance and what of it is held."""
        account = await self.office.ledger.account(self.stationery.account)
        assert account is not None
        return account.balance, account.held
