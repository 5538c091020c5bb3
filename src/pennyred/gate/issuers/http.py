"""An office on another machine: implements `ports.Redeemer` over HTTP (`/v1/redemptions/...`).

The questions of many letters are sent in one request. Every question may be repeated: a hold is known by its `tx`, a
settlement by its letter, a void by its `tx`. Where the office takes stamps for settlements, its holds need not last.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from pennyred.gate.issuers.abilities import Abilities
from pennyred.gate.issuers.asking import Asker, RequestRefused
from pennyred.gate.issuers.batching import Batcher, BatchLimits
from pennyred.gate.issuers.doubtful import DoubtfulHolds
from pennyred.http import redemptions
from pennyred.http.messages import FLAW, REVOKED_MAX, SETTLE_STAMP, RevocationsView
from pennyred.http.redemptions import (
    BODY_BYTES_MAX,
    ITEMS_MAX,
    HoldItem,
    HoldRequest,
    SettleItem,
    SettleRequest,
    SettleResult,
    VoidItem,
    VoidRequest,
)
from pennyred.postage.encoding import INTEGER_MAX, decode_base64
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.ledger_rules import LEASE_SECONDS_MAX
from pennyred.postage.licence import Revocations
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome

ITEM_BYTES = 400
"""The most bytes of an item, besides its stamp and domain: hashes in base64, names, punctuation."""
PATH = "/v1/redemptions/"

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Response = TypeVar("Response")


class HttpRedeemer:
    """Asks one office through `asker`, which it starts and closes. `note_receipts` is called with each receipt."""

    def __init__(
        self,
        asker: Asker,
        *,
        limits: BatchLimits | None = None,
        note_receipts: Callable[[Sequence[Settle], Sequence[str]], None] | None = None,
    ) -> None:
        limits = limits or BatchLimits()
        self.asker = asker
        self._note_receipts = note_receipts
        self._holds = Batcher[HoldItem, HoldAnswer](self._send_holds, limits)
        self._settles = Batcher[SettleItem, SettleResult](self._send_settles, limits)
        self._voids = Batcher[VoidItem, VoidOutcome](self._send_voids, limits)
        self._doubtful = DoubtfulHolds(self.void)
        self._abilities = Abilities(asker)
        self._giving_back: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Start the parts that ask; an event loop must be running."""
        self.asker.start()
        self._giving_back = asyncio.ensure_future(self._doubtful.run())

    async def close(self) -> None:
        """Close all; callers that wait get `Unavailable`."""
        if self._giving_back is not None:
            self._giving_back.cancel()
        self._abilities.close()
        for batcher in (self._holds, self._settles, self._voids):
            await batcher.close()
        await self.asker.close()

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Hold stamps, as `ports.Redeemer.hold` says. A letter with very many stamps needs several requests."""
        lease_seconds = min(lease_seconds, LEASE_SECONDS_MAX)
        answers: dict[int, HoldAnswer] = {}
        flawed = {place for place, hold in enumerate(holds) if hold.flaw is not None}
        if flawed and not await self._abilities.has(FLAW):
            # An older office would hold them, as it does not know the flaw. It is not asked, and they do not count.
            answers = {place: HoldAnswer(HoldOutcome.INVALID, reason=holds[place].flaw or "") for place in flawed}
        items = {place: redemptions.write_hold(hold) for place, hold in enumerate(holds) if place not in answers}
        is_lasting = not self._abilities.knows(SETTLE_STAMP)
        try:
            for places in _pieces(items):  # in order: first the group that the letter needs, then the spare stamps
                some = [items[place] for place in places]
                # What an office may not understand is sent alone, so that it makes no other letter's question fail.
                is_flawed = not flawed.isdisjoint(places)
                # With a flaw no stamp goes with the settlement (`Hold.settle`): its hold is all that pays.
                key = (lease_seconds, is_flawed, is_lasting or is_flawed)
                said = await self._holds.ask(some, _size(some), key)
                answers |= dict(zip(places, said, strict=True))
        except Unavailable as trouble:
            if (flawed or not is_lasting) and isinstance(trouble, RequestRefused):
                self._abilities.forget()
            self._doubtful.add(
                [hold for place, hold in enumerate(holds) if _may_be_held(answers.get(place))], lease_seconds
            )
            raise
        return [answers[place] for place in range(len(holds))]

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Settle stamps, as `ports.Redeemer.settle` says. Only those that the office does not hold are sent whole."""
        results = [
            result
            for some in _chunks(settles)
            for result in await self._settles.ask(
                [redemptions.write_settle(one.without_stamp()) for one in some], ITEM_BYTES * len(some)
            )
        ]
        unheld = [
            place
            for place, (one, result) in enumerate(zip(settles, results, strict=True))
            if result.outcome is SettleOutcome.NO_SUCH_HOLD and one.stamp is not None
        ]
        if unheld and await self._abilities.has(SETTLE_STAMP):
            again = await asyncio.gather(*(self._settle_stamp(settles[place], results[place]) for place in unheld))
            for place, result in zip(unheld, again, strict=True):
                results[place] = result
        receipts = [result.receipt for result in results]
        if self._note_receipts is not None and any(receipts):
            self._note_receipts(settles, receipts)
        return [result.outcome for result in results]

    async def _settle_stamp(self, settle: Settle, plain: SettleResult) -> SettleResult:
        """Settle by the stamp. If the office cannot read it, what it said without it (`plain`) stands."""
        item = redemptions.write_settle(settle)
        try:
            [result] = await self._settles.ask([item], _size([item]), SETTLE_STAMP)
        except RequestRefused:
            self._abilities.forget()
            return plain
        return result

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give held stamps back, as `ports.Redeemer.void` says."""
        return [
            outcome
            for some in _chunks(voids)
            for outcome in await self._voids.ask([redemptions.write_void(one) for one in some], ITEM_BYTES * len(some))
        ]

    async def revocations(self, after: int) -> Revocations:
        """A page of the revoked licences after this number; raises `Unavailable`."""
        return await self.asker.get(f"/v1/revocations?after={after}", read_revocations)

    async def _send_holds(
        self, key: tuple[int, bool, bool], questions: Sequence[Sequence[HoldItem]]
    ) -> list[list[HoldAnswer]]:
        lease_seconds, _, is_lasting = key
        request = HoldRequest(_regrouped(questions), lease_seconds, is_lasting)
        return await self._post("hold", request, questions, read_held)

    async def _send_settles(self, _: Any, questions: Sequence[Sequence[SettleItem]]) -> list[list[SettleResult]]:
        request = SettleRequest(list(itertools.chain.from_iterable(questions)))
        return await self._post("settle", request, questions, read_settled)

    async def _send_voids(self, _: Any, questions: Sequence[Sequence[VoidItem]]) -> list[list[VoidOutcome]]:
        request = VoidRequest(list(itertools.chain.from_iterable(questions)))
        return await self._post("void", request, questions, read_voided)

    async def _post(
        self,
        verb: str,
        request: msgspec.Struct,
        questions: Sequence[Sequence[Item]],
        read: Callable[[bytes], list[Answer]],
    ) -> list[list[Answer]]:
        """Send several questions in one request; returns the answers to each."""
        total = sum(len(items) for items in questions)

        def read_all(octets: bytes) -> list[Answer]:
            answers = read(octets)
            redemptions.require_length(answers, range(total))
            return answers

        answers = iter(await self.asker.post(PATH + verb, msgspec.json.encode(request), read_all))
        return [list(itertools.islice(answers, len(items))) for items in questions]


def _may_be_held(answer: HoldAnswer | None) -> bool:
    """Whether the stamp is held, or that is not known."""
    return answer is None or answer.outcome.is_held


def read_held(octets: bytes) -> list[HoldAnswer]:
    """An office's answer to holds; raises `Malformed`."""
    return [redemptions.read_hold_answer(one) for one in _decoded(octets, redemptions.HoldResponse).outcomes]


def read_settled(octets: bytes) -> list[SettleResult]:
    """An office's answer to settlements; raises `Malformed`."""
    return _decoded(octets, redemptions.SettleResponse).outcomes


def read_voided(octets: bytes) -> list[VoidOutcome]:
    """An office's answer to voids; raises `Malformed`."""
    return [one.outcome for one in _decoded(octets, redemptions.VoidResponse).outcomes]


def read_revocations(octets: bytes) -> Revocations:
    """An office's answer about revoked licences; raises `Malformed`."""
    said = _decoded(octets, RevocationsView)
    if len(said.revoked) > REVOKED_MAX or not 0 <= said.last <= INTEGER_MAX:
        raise Malformed("not a post office's answer")
    return Revocations(tuple(decode_base64(one.encode(), length=32) for one in said.revoked), said.last)


def _decoded(octets: bytes, kind: type[Response]) -> Response:
    try:
        return msgspec.json.decode(octets, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("not a post office's answer") from error


def _pieces(items: Mapping[int, HoldItem]) -> Iterator[list[int]]:
    """The items of each request, by their places; no group is divided.

    Raises `Unavailable` if a group is too large for a request.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for place, item in items.items():
        groups.setdefault((item.tx, item.group), []).append(place)
    piece, size = list[int](), 0
    for places in groups.values():
        more = _size([items[place] for place in places])
        if len(places) > ITEMS_MAX or more > BODY_BYTES_MAX:
            text = f"the {len(places)} stamps of one letter are more than an office takes at once"
            raise Unavailable(Reason.OFFICE_UNREACHABLE, text, is_silence=False)
        if piece and (len(piece) + len(places) > ITEMS_MAX or size + more > BODY_BYTES_MAX):
            yield piece
            piece, size = [], 0
        piece += places
        size += more
    if piece:
        yield piece


def _regrouped(questions: Sequence[Sequence[HoldItem]]) -> list[HoldItem]:
    """All items with new group numbers, so that groups of two letters are not mixed up."""
    numbers: dict[tuple[int, str, int], int] = {}
    return [
        msgspec.structs.replace(item, group=numbers.setdefault((place, item.tx, item.group), len(numbers)))
        for place, items in enumerate(questions)
        for item in items
    ]


def _size(items: Sequence[HoldItem | SettleItem]) -> int:
    return sum(len(item.stamp) + len(item.domain) + ITEM_BYTES for item in items)


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[begin : begin + ITEMS_MAX] for begin in range(0, len(items), ITEMS_MAX))
