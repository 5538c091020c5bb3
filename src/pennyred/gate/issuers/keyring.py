"""The public keys of the post offices whose stamps count: pinned in the settings, or found in the DNS and kept.

An answer of the DNS is kept for its TTL, within bounds. Then it is asked for again in the background, so that no letter
waits. If the DNS does not answer, known keys count for `STALE_SECONDS` more, also after a restart, as the gate's state
keeps them. A missing record means "later" for `GRACE_SECONDS`, since an office may use a new key before all of the DNS
has it. After that it means "no". A record that withdraws a key counts at once (STAMP.md 7.4).

A stranger can invent selectors. So found and missing ones are kept apart: a selector that is not in the DNS never takes
the place of a real key. Questions about selectors that were not found are limited (`keyquestions`). Who brings one that
the DNS does not know is reported, so that it costs him as much as a forged stamp.

Time is measured by a monotonic clock, so that no key is lost when somebody sets the time of day.
"""

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pennyred.days import DAY_SECONDS
from pennyred.gate.issuers.keymemory import KeyMemory
from pennyred.gate.issuers.keyquestions import KeyQuestions
from pennyred.postage.errors import Unavailable
from pennyred.postage.stamp import Stamp

TTL_SECONDS_MIN = 60
TTL_SECONDS_MAX = DAY_SECONDS
GRACE_SECONDS = 3600
STALE_SECONDS = 7 * DAY_SECONDS
KEYS_MAX = 100
"""The most keys of one office: as many as an office itself keeps."""
MISSING_MAX = 1000
"""The most selectors without a key, of all offices. Beyond, those asked for longest ago are forgotten."""
PER_LETTER_MAX = 4
"""The most questions about new selectors for one letter. For others the letter has to come again."""
REMEMBER_SECONDS = 3600
"""How often the confirmation of a key is written to the state."""

Selector = tuple[str, str]
"""An office's domain, and the selector of one of its keys."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What the DNS says of one key."""

    key: bytes | None
    ttl_seconds: int
    is_authenticated: bool = False
    """Whether it was validated by DNSSEC on this machine."""
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of the search for the keys of one letter's stamps."""

    undecided: frozenset[Selector] = frozenset()
    """Selectors for which it cannot be decided now whether they count."""
    unpublished: frozenset[Selector] = frozenset()
    """Those of them that were looked up for this letter, and are not in the DNS: too new, or invented."""


ALL_DECIDED = Prepared()
FindKey = Callable[[str, str], Awaitable[FoundKey]]
"""Looks a key up in the DNS, by domain and selector; raises `Unavailable`."""
PrepareKeys = Callable[[Sequence[Stamp], str], Awaitable[Prepared]]
"""Finds the keys that stamps need. The second argument is the network that brings them, empty if not known."""


async def all_known(_: Sequence[Stamp], __: str) -> Prepared:
    """A `PrepareKeys` that looks for nothing: for a gate whose keys are all pinned."""
    return ALL_DECIDED


@dataclass(slots=True)
class _Known:
    """A key that the DNS has, or had."""

    key: bytes
    asked_again_at: float
    counts_until: float
    """Until when it counts: a week after its last confirmation, or an hour after its record was first missing."""
    is_missed: bool = False
    written_at: float = -math.inf


@dataclass(slots=True)
class _Missing:
    """A selector under which the DNS has no key, as far as it has answered."""

    asked_again_at: float = 0.0
    refused_from: float = math.inf
    """From when stamps under it are refused. Before, they are answered "later"; always, if the DNS is silent."""


class KeyRing:
    """The keys of one worker. `keys` stays the same mapping; its content changes when keys are found."""

    def __init__(
        self, find: FindKey, memory: KeyMemory, questions: KeyQuestions, *, clock: Callable[[], float]
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._find = find
        self._memory = memory
        self._clock = clock
        self.keys: dict[str, dict[str, bytes]] = {}
        self._pinned: Mapping[str, Mapping[str, bytes]] = {}
        self._authenticated_only: Collection[str] = ()
        self._known: dict[str, dict[str, _Known]] = {}
        """The known keys by issuer and selector, in the order in which they were found."""
        self._missing: OrderedDict[Selector, _Missing] = OrderedDict()
        self._asking: dict[Selector, asyncio.Task[None]] = {}
        self._questions = questions
        self.look_for: Callable[[str, str], object] = lambda issuer, selector: None  # noqa: ARG005
        """Called with issuer and selector of a pinned office whose key is missing; may be replaced."""

    def accept(
        self,
        pinned: Mapping[str, Mapping[str, bytes]],
        by_dns: Collection[str],
        authenticated_only: Collection[str] = (),
    ) -> None:
        """Set whose stamps count from now on: offices with pinned keys, and offices whose keys are in the DNS.

        A key of an office in `authenticated_only` counts only if it was validated by DNSSEC.
        """
        begun_anew = set(authenticated_only).difference(self._authenticated_only).union(self._pinned)
        self._pinned, self._authenticated_only = pinned, authenticated_only
        for issuer in [issuer for issuer in self.keys if issuer not in by_dns or issuer in begun_anew]:
            del self.keys[issuer]
            self._known.pop(issuer, None)
        for selector in [one for one in self._missing if one[0] not in by_dns]:
            del self._missing[selector]
        for issuer in by_dns:
            self.keys.setdefault(issuer, {})
        self.keys.update({issuer: dict(keys) for issuer, keys in pinned.items()})

    async def prepare(self, stamps: Iterable[Stamp], source: str = "") -> Prepared:
        """Find the keys that these stamps need. Waits only for keys that are not known yet. Raises nothing."""
        needed = dict.fromkeys((stamp.issuer, stamp.licence.selector) for stamp in stamps)
        for issuer, selector in needed:
            if issuer in self._pinned and selector not in self._pinned[issuer]:
                self.look_for(issuer, selector)
        for issuer, keys in self._pinned.items():  # the keys of an office in this process change by themselves
            if self.keys.get(issuer) != keys:
                self.keys[issuer] = dict(keys)
        wanted = [one for one in needed if one[0] in self.keys and one[0] not in self._pinned]
        return await self._decide(wanted, source) if wanted else ALL_DECIDED

    async def _decide(self, wanted: Sequence[Selector], source: str) -> Prepared:
        asked: dict[Selector, asyncio.Task[None]] = {}
        for one in wanted:
            if not self._is_known(one) and len(asked) < PER_LETTER_MAX and (task := self._asked(one, source)):
                asked[one] = task
        if asked:
            await asyncio.wait(asked.values())
        for one in wanted:  # a key found before needs no question: invented selectors may have used them up
            if self._found(one) is None and one not in self._missing and one not in self._asking:
                await self._recall(one)
        return Prepared(
            frozenset(one for one in wanted if not self._is_decided(one)),
            frozenset(one for one in asked if one in self._missing and self._missing[one].refused_from < math.inf),
        )

    async def close(self) -> None:
        """End all questions, and wait until what was found is written."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._memory.close()

    def _is_known(self, one: Selector) -> bool:
        """Whether there is a key that counts. When its TTL is over, it is asked for again in the background."""
        known, now = self._found(one), self._clock()
        if known is None:
            return False
        if now >= known.asked_again_at and one not in self._asking:
            self._begin(one)
        if now < known.counts_until:
            return True
        if known.is_missed:
            self._miss(one, asked_again_at=known.asked_again_at, refused_from=now)
        else:
            self._drop(one)  # not confirmed for a week: it counts as a new one
        return False

    def _asked(self, one: Selector, source: str) -> asyncio.Task[None] | None:
        """The task to wait for, if any, for a selector without a known key."""
        if one in self._asking:
            return None if self._is_decided(one) else self._asking[one]
        missing = self._missing.get(one)
        if missing is not None:
            self._missing.move_to_end(one)
            if self._clock() < missing.asked_again_at:
                return None
        issuer = one[0]
        under_way = sum(asked[0] == issuer and self._found(asked) is None for asked in self._asking)
        if not self._questions.may_ask(issuer, source, under_way=under_way):
            return None
        task = self._begin(one)
        return None if self._is_decided(one) else task

    def _begin(self, one: Selector) -> asyncio.Task[None]:
        task = self._asking[one] = asyncio.ensure_future(self._ask(one))
        return task

    async def _ask(self, one: Selector) -> None:
        try:
            try:
                found = await self._find(*one)
            except Unavailable:
                found = None
            if found is not None and found.key and not self._is_proven(one, is_authenticated=found.is_authenticated):
                found = None
            if found is not None:
                self._note(one, found)
            elif self._postpone(one):
                await self._recall(one)
        finally:
            del self._asking[one]

    def _note(self, one: Selector, found: FoundKey) -> None:
        """Take over what the DNS has answered."""
        now, known = self._clock(), self._found(one)
        if not self._is_by_dns(one):
            return
        if found.key is not None:
            self._keep(one, found.key, min(max(found.ttl_seconds, TTL_SECONDS_MIN), TTL_SECONDS_MAX), STALE_SECONDS)
            self._remember(one, is_authenticated=found.is_authenticated)
        elif found.is_withdrawn:
            self._miss(one, asked_again_at=now + TTL_SECONDS_MIN, refused_from=now)
            self._memory.forget(*one)
        elif known is not None:
            known.asked_again_at = now + TTL_SECONDS_MIN
            known.counts_until, known.is_missed = min(known.counts_until, now + GRACE_SECONDS), True
        else:
            missing = self._missing.get(one, _Missing())
            refused_from = min(missing.refused_from, now + GRACE_SECONDS)
            self._miss(one, asked_again_at=now + TTL_SECONDS_MIN, refused_from=refused_from)

    def _postpone(self, one: Selector) -> bool:
        """Ask again later, as the DNS does not answer. True if it has never said anything of this selector."""
        again_at = self._clock() + TTL_SECONDS_MIN
        known, missing = self._found(one), self._missing.get(one)
        if known is not None:
            known.asked_again_at = again_at
        elif missing is not None:
            missing.asked_again_at = again_at
        elif self._is_by_dns(one):
            self._miss(one, asked_again_at=again_at, refused_from=math.inf)
        return known is None and (missing is None or missing.refused_from == math.inf)

    async def _recall(self, one: Selector) -> None:
        """Take over what the state has: found within a week by another worker, or before a restart."""
        found = await self._memory.recall(*one)
        if found is not None and self._is_by_dns(one) and self._is_proven(one, is_authenticated=found[2]):
            key, age_seconds, _ = found
            if age_seconds < STALE_SECONDS:
                self._keep(one, key, TTL_SECONDS_MIN, STALE_SECONDS - age_seconds)

    def _keep(self, one: Selector, key: bytes, ttl_seconds: int, counts_seconds: int) -> None:
        issuer, selector = one
        now, its_keys = self._clock(), self._known.setdefault(issuer, {})
        known = its_keys.setdefault(selector, _Known(key, now, now))
        if known.key != key:
            known.key, known.written_at = key, -math.inf
        known.asked_again_at, known.counts_until, known.is_missed = now + ttl_seconds, now + counts_seconds, False
        self._missing.pop(one, None)
        self.keys[issuer][selector] = key
        if len(its_keys) > KEYS_MAX:
            self._drop((issuer, _superfluous(its_keys)))

    def _miss(self, one: Selector, *, asked_again_at: float, refused_from: float) -> None:
        if self._drop(one):
            self._memory.forget(*one)
        self._missing[one] = _Missing(asked_again_at, refused_from)
        self._missing.move_to_end(one)
        if len(self._missing) > MISSING_MAX:
            self._missing.popitem(last=False)

    def _drop(self, one: Selector) -> bool:
        """Forget a key; returns whether there was one."""
        self.keys.get(one[0], {}).pop(one[1], None)
        return self._known.get(one[0], {}).pop(one[1], None) is not None

    def _remember(self, one: Selector, *, is_authenticated: bool) -> None:
        known, now = self._found(one), self._clock()
        if known is not None and now - known.written_at >= REMEMBER_SECONDS:
            known.written_at = now
            self._memory.note(*one, known.key, is_authenticated=is_authenticated)

    def _found(self, one: Selector) -> _Known | None:
        return self._known.get(one[0], {}).get(one[1])

    def _is_by_dns(self, one: Selector) -> bool:
        """Whether this office's keys still come from the DNS: the settings may have changed since the question."""
        return one[0] in self.keys and one[0] not in self._pinned

    def _is_proven(self, one: Selector, *, is_authenticated: bool) -> bool:
        return is_authenticated or one[0] not in self._authenticated_only

    def _is_decided(self, one: Selector) -> bool:
        missing = self._missing.get(one)
        return self._found(one) is not None or (missing is not None and self._clock() >= missing.refused_from)


def _superfluous(its_keys: Mapping[str, _Known]) -> str:
    """The selector to forget if an office has too many.

    A zone with a wildcard has the same key under every selector that a stranger invents: of equal keys the newest goes.
    If all differ, the oldest goes: no office needs so many.
    """
    times = Counter(known.key for known in its_keys.values())
    alike = [selector for selector, known in its_keys.items() if times[known.key] > 1]
    return alike[-1] if alike else next(iter(its_keys))
