"""Several offices behind one `Redeemer`: each stamp goes to the office that issued it. All are asked in parallel.

If an office does not answer, only letters with its stamps are answered "later".
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from pennyred.gate.ports import Redeemer
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class IssuerRouter:
    """Implements `ports.Redeemer` with one redeemer for each issuer."""

    def __init__(self, redeemers: Mapping[str, Redeemer]) -> None:
        self._redeemers = redeemers

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Hold stamps. If one office does not answer, what the others hold is given back; see `ports.Redeemer`."""
        issuers = [hold.stamp.issuer for hold in holds]
        if _are_one(issuers):
            return await self._of(issuers[0]).hold(holds, lease_seconds=lease_seconds)

        async def ask(redeemer: Redeemer, some: Sequence[Hold]) -> list[HoldAnswer]:
            return await redeemer.hold(some, lease_seconds=lease_seconds)

        answers, trouble = await self._ask_all(issuers, holds, ask)
        if trouble is not None:
            held = [
                hold.void() for hold, answer in zip(holds, answers, strict=True) if answer and answer.outcome.is_held
            ]
            if held:
                # If this fails too, the leases end these holds.
                await self._ask_all([one.issuer for one in held], held, _void)
            raise trouble
        return [answer for answer in answers if answer is not None]

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Settle held stamps. Every office is asked, whatever the others answer; see `ports.Redeemer`."""
        issuers = [one.issuer for one in settles]
        if _are_one(issuers):
            return await self._of(issuers[0]).settle(settles)
        return await self._all(issuers, settles, _settle)

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give held stamps back. Every office is asked, whatever the others answer; see `ports.Redeemer`."""
        issuers = [one.issuer for one in voids]
        if _are_one(issuers):
            return await self._of(issuers[0]).void(voids)
        return await self._all(issuers, voids, _void)

    async def _all(
        self,
        issuers: Sequence[str],
        items: Sequence[Item],
        ask: Callable[[Redeemer, Sequence[Item]], Awaitable[list[Answer]]],
    ) -> list[Answer]:
        answers, trouble = await self._ask_all(issuers, items, ask)
        if trouble is not None:
            raise trouble
        return [answer for answer in answers if answer is not None]

    async def _ask_all(
        self,
        issuers: Sequence[str],
        items: Sequence[Item],
        ask: Callable[[Redeemer, Sequence[Item]], Awaitable[list[Answer]]],
    ) -> tuple[list[Answer | None], BaseException | None]:
        """The answers in order, with None where there is none; and the error of one that failed, if any."""
        places: dict[str, list[int]] = {}
        for place, issuer in enumerate(issuers):
            places.setdefault(issuer, []).append(place)
        asked = (self._ask(issuer, [items[place] for place in some], ask) for issuer, some in places.items())
        results = await asyncio.gather(*map(_outcome, asked))
        answers: list[Answer | None] = [None] * len(items)
        trouble: BaseException | None = None
        for some, result in zip(places.values(), results, strict=True):
            if isinstance(result, BaseException):
                trouble = trouble or result
                continue
            for place, answer in zip(some, result, strict=True):
                answers[place] = answer
        return answers, trouble

    async def _ask(
        self,
        issuer: str,
        items: Sequence[Item],
        ask: Callable[[Redeemer, Sequence[Item]], Awaitable[list[Answer]]],
    ) -> list[Answer]:
        return await ask(self._of(issuer), items)

    def _of(self, issuer: str) -> Redeemer:
        redeemer = self._redeemers.get(issuer)
        if redeemer is None:  # a settlement waits for an office that the settings no longer name
            raise Unavailable(Reason.OFFICE_UNREACHABLE, f"no way to the post office {issuer}")
        return redeemer


def _are_one(issuers: Sequence[str]) -> bool:
    """Whether all stamps are of one office, as nearly always: then its answer, or its silence, is that of all."""
    return len(issuers) == 1 or len(set(issuers)) == 1


async def _outcome(asked: Awaitable[list[Answer]]) -> list[Answer] | BaseException:
    try:
        return await asked
    except Exception as error:  # noqa: BLE001 - told once all have answered, so that nothing stays held
        return error


async def _settle(redeemer: Redeemer, settles: Sequence[Settle]) -> list[SettleOutcome]:
    return await redeemer.settle(settles)


async def _void(redeemer: Redeemer, voids: Sequence[Void]) -> list[VoidOutcome]:
    return await redeemer.void(voids)
