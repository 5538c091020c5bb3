"""The public keys of the post offices whose stamps count: pinned by the settings, or found in DNS and kept for a while.

What DNS says is kept for its TTL, within bounds, and asked for again beside the mail, not before it. A DNS that does
not answer changes nothing about keys that are known: they count for `STALE_SECONDS` more. A record that is missing
means "later" for `GRACE_SECONDS`, since an office may sign with a new key before all of DNS has it, then "no". A record
that says that a key was withdrawn is believed at once (STAMP.md 7.4).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pennyred.postage.errors import Unavailable
from pennyred.postage.stamp import Stamp

TTL_SECONDS_MIN = 60
TTL_SECONDS_MAX = 86_400
GRACE_SECONDS = 3600
STALE_SECONDS = 7 * 86_400
SELECTORS_MAX = 1000
"""Kept of all offices; beyond, those that were asked for longest ago go first."""
LOOK_UPS_MAX = 16
"""Under way at once; what a stranger invents beyond is for later."""
PER_LETTER_MAX = 4

Selector = tuple[str, str]
"""An office's domain, and the selector of one of its keys."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What DNS says of one key."""

    key: bytes | None
    ttl_seconds: int
    is_authenticated: bool = False
    """By DNSSEC, validated on this machine."""
    is_withdrawn: bool = False


FindKey = Callable[[str, str], Awaitable[FoundKey]]
"""By domain and selector; raises `Unavailable`."""
PrepareKeys = Callable[[Sequence[Stamp]], Awaitable[Collection[Selector]]]
"""Finds the keys that stamps need; answers those of which nobody can say just now whether they count."""


async def all_known(_: Sequence[Stamp]) -> Collection[Selector]:
    """For a gate whose keys are all pinned."""
    return ()


@dataclass(slots=True)
class _Kept:
    key: bytes | None = None
    asked_again_at: int = 0
    counts_until: int = 0
    """A key that cannot be confirmed, or a refusal that is put off."""
    is_refused: bool = False


class KeyRing:
    """One worker's. `keys` is one mapping, whose content changes with what is found."""

    def __init__(self, find: FindKey, *, clock: Callable[[], int]) -> None:
        self._find = find
        self._clock = clock
        self.keys: dict[str, dict[str, bytes]] = {}
        self._pinned: Mapping[str, Mapping[str, bytes]] = {}
        self._authenticated_only: Collection[str] = ()
        self._kept: OrderedDict[Selector, _Kept] = OrderedDict()
        self._asking: dict[Selector, asyncio.Task[None]] = {}

    def accept(
        self,
        pinned: Mapping[str, Mapping[str, bytes]],
        by_dns: Collection[str],
        authenticated_only: Collection[str] = (),
    ) -> None:
        """Whose stamps count from now on: offices whose keys are known, and those whose keys DNS has.

        Of `authenticated_only` a key counts only where DNSSEC vouches for it.
        """
        self._pinned, self._authenticated_only = pinned, authenticated_only
        for issuer in [issuer for issuer in self.keys if issuer not in by_dns]:
            del self.keys[issuer]
        for selector in [one for one in self._kept if one[0] not in by_dns]:
            del self._kept[selector]
        for issuer in by_dns:
            self.keys.setdefault(issuer, {})
        self.keys.update({issuer: dict(keys) for issuer, keys in pinned.items()})

    async def prepare(self, stamps: Iterable[Stamp]) -> frozenset[Selector]:
        """Find the keys that these stamps need; those of which nobody can say just now whether they count.

        Waits only for keys that are not known yet, raises nothing.
        """
        for issuer, keys in self._pinned.items():  # those of an office in this process change by themselves
            if self.keys.get(issuer) != keys:
                self.keys[issuer] = dict(keys)
        needed = dict.fromkeys((stamp.issuer, stamp.licence.selector) for stamp in stamps)
        wanted = [one for one in needed if one[0] in self.keys and one[0] not in self._pinned]
        tasks = [task for one in wanted[:PER_LETTER_MAX] if (task := self._asked(one)) is not None]
        if tasks:
            await asyncio.wait(tasks)
        return frozenset(one for one in wanted if not self._is_decided(one))

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _asked(self, one: Selector) -> asyncio.Task[None] | None:
        """The question that has to be answered first, if any."""
        kept, now = self._kept.get(one), self._clock()
        if kept is not None:
            self._kept.move_to_end(one)
            self._drop_stale(one, kept, now)
        if kept is None or now >= kept.asked_again_at:
            task = self._asking.get(one)
            if task is None and len(self._asking) < LOOK_UPS_MAX:
                task = self._asking[one] = asyncio.ensure_future(self._ask(one))
            if kept is None or (kept.key is None and not kept.is_refused):
                return task
        return None

    async def _ask(self, one: Selector) -> None:
        try:
            try:
                found = await self._find(*one)
            except Unavailable:
                found = None
            self._note(one, found)
        finally:
            del self._asking[one]

    def _note(self, one: Selector, found: FoundKey | None) -> None:
        issuer, selector = one
        if issuer not in self.keys or issuer in self._pinned:
            return  # no longer by DNS
        now = self._clock()
        is_new = one not in self._kept
        kept = self._kept.setdefault(one, _Kept())
        self._kept.move_to_end(one)
        if found is not None and found.key and issuer in self._authenticated_only and not found.is_authenticated:
            found = None
        if found is None:
            kept.asked_again_at = now + TTL_SECONDS_MIN
        elif found.key is not None:
            ttl_seconds = min(max(found.ttl_seconds, TTL_SECONDS_MIN), TTL_SECONDS_MAX)
            kept.key, kept.asked_again_at, kept.counts_until = found.key, now + ttl_seconds, now + STALE_SECONDS
            kept.is_refused = False
            self.keys[issuer][selector] = found.key
        else:
            kept.asked_again_at = now + TTL_SECONDS_MIN
            if is_new or (kept.key is None and kept.counts_until == 0):
                kept.counts_until = now + GRACE_SECONDS
            elif kept.key is not None:
                kept.counts_until = min(kept.counts_until, now + GRACE_SECONDS)
            if found.is_withdrawn:
                kept.counts_until = now
            self._drop_stale(one, kept, now)
        while len(self._kept) > SELECTORS_MAX:
            (old_issuer, old_selector), _ = self._kept.popitem(last=False)
            self.keys.get(old_issuer, {}).pop(old_selector, None)

    def _drop_stale(self, one: Selector, kept: _Kept, now: int) -> None:
        if kept.counts_until and now >= kept.counts_until:
            kept.key, kept.is_refused = None, True
            self.keys.get(one[0], {}).pop(one[1], None)

    def _is_decided(self, one: Selector) -> bool:
        kept = self._kept.get(one)
        return kept is not None and (kept.key is not None or kept.is_refused)
