"""Keys of offices found in DNS: kept, asked for again, let go; with a DNS that is silent, wrong or slow."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.services import keyring
from pennyred.services.keyring import GRACE_SECONDS, STALE_SECONDS, FoundKey, KeyRing

OFFICE = "post.example.net"
KEY, OTHER = b"k" * 32, b"o" * 32
MISSING = FoundKey(None, 300)
ONE = frozenset([(OFFICE, "s1")])


def stamp(selector="s1", issuer=OFFICE):
    return SimpleNamespace(issuer=issuer, licence=SimpleNamespace(selector=selector))


class World:
    """A DNS that says what it is told to say, and a clock that is set."""

    def __init__(self):
        self.now = 1_795_000_000
        self.says = {}
        self.asked = []
        self.ring = KeyRing(self.find, clock=lambda: self.now)
        self.ring.accept({}, [OFFICE])

    async def find(self, issuer, selector):
        self.asked.append((issuer, selector))
        await asyncio.sleep(0)
        found = self.says.get((issuer, selector), MISSING)
        if isinstance(found, Exception):
            raise found
        return found

    async def prepare(self, *stamps):
        undecided = await self.ring.prepare(stamps or [stamp()])
        await asyncio.gather(*self.ring._asking.values())  # what is asked beside the mail
        return undecided

    @property
    def key(self):
        return self.ring.keys[OFFICE].get("s1")


def tell(story):
    async def run():
        world = World()
        await story(world)
        await world.ring.close()

    asyncio.run(run())


SILENT = Unavailable(Reason.OFFICE_UNREACHABLE, "silent")


def test_a_key_is_asked_for_once_and_again_when_its_time_is_over():
    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        assert await asyncio.gather(*(world.prepare() for _ in range(5))) == [frozenset()] * 5
        assert (world.key, len(world.asked)) == (KEY, 1)
        world.now += 599
        await world.prepare()
        assert len(world.asked) == 1
        world.now += 1
        world.says[OFFICE, "s1"] = FoundKey(OTHER, 600)
        await world.prepare()
        assert (world.key, len(world.asked)) == (OTHER, 2)

    tell(story)


def test_a_dns_that_is_silent_is_for_later_and_takes_no_key_away_for_a_week():
    async def story(world):
        world.says[OFFICE, "s1"] = SILENT
        assert await world.prepare() == ONE
        assert await world.prepare() == ONE
        assert len(world.asked) == 1  # not with every letter
        world.now += 60
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        assert await world.prepare() == frozenset()
        world.says[OFFICE, "s1"] = SILENT
        for days in (1, 6):
            world.now += days * 86_400 - 10
            assert await world.prepare() == frozenset()
            assert world.key == KEY
        world.now += 20
        assert world.now > 1_795_000_000 + STALE_SECONDS
        await world.prepare()
        assert world.key is None

    tell(story)


def test_a_record_that_is_missing_is_for_later_and_then_no():
    async def story(world):
        assert await world.prepare() == ONE
        world.now += GRACE_SECONDS - 1
        assert await world.prepare() == ONE
        world.now += 1
        assert await world.prepare() == frozenset()
        assert world.key is None
        world.now += 60
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        await world.prepare()
        assert world.key == KEY  # published after all

    tell(story)


def test_a_key_whose_record_goes_counts_for_an_hour_more_and_a_withdrawn_one_no_more():
    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 60)
        await world.prepare()
        world.says[OFFICE, "s1"] = MISSING
        world.now += 60
        await world.prepare()
        assert world.key == KEY
        world.now += GRACE_SECONDS
        await world.prepare()
        assert world.key is None
        world.says[OFFICE, "s1"] = FoundKey(KEY, 60)
        world.now += 60
        await world.prepare()
        assert world.key == KEY
        world.says[OFFICE, "s1"] = FoundKey(None, 60, is_withdrawn=True)
        world.now += 60
        assert await world.prepare() == frozenset()
        assert world.key is None

    tell(story)


def test_of_some_offices_a_key_counts_only_where_dnssec_vouches_for_it():
    async def story(world):
        world.ring.accept({}, [OFFICE], authenticated_only=[OFFICE])
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        assert await world.prepare() == ONE
        world.now += 60
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600, is_authenticated=True)
        assert await world.prepare() == frozenset()
        assert world.key == KEY

    tell(story)


def test_strangers_selectors_are_bounded_and_offices_that_do_not_count_are_not_asked(monkeypatch):
    monkeypatch.setattr(keyring, "SELECTORS_MAX", 5)

    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 86_400)
        for number in range(20):
            await world.prepare(stamp())
            await world.prepare(*[stamp(f"x{number}-{more}") for more in range(10)])
        assert len(world.ring._kept) <= 5
        assert len(world.asked) <= 20 * keyring.PER_LETTER_MAX + 1
        assert world.key == KEY
        assert await world.prepare(stamp(issuer="evil.example")) == frozenset()
        assert ("evil.example", "s1") not in world.asked

    tell(story)


def test_pinned_keys_are_not_asked_for_and_may_change_by_themselves():
    async def story(world):
        own = {"s1": KEY}
        world.ring.accept({"post.example.org": own}, [])
        assert OFFICE not in world.ring.keys
        own["s2"] = OTHER
        assert await world.prepare(stamp("s2", "post.example.org")) == frozenset()
        assert world.ring.keys == {"post.example.org": {"s1": KEY, "s2": OTHER}}
        assert world.asked == []

    tell(story)


@given(st.lists(st.tuples(st.sampled_from([FoundKey(KEY, 60), FoundKey(OTHER, 9_999_999), MISSING, SILENT,
    FoundKey(None, 60, is_withdrawn=True)]), st.integers(0, 2 * STALE_SECONDS)), max_size=12))  # fmt: skip
def test_whatever_dns_says_a_key_that_counts_was_published_within_a_week(answers):
    async def story(world):
        published = {}
        for found, seconds in answers:
            world.says[OFFICE, "s1"] = found
            world.now += seconds
            before = len(world.asked)
            undecided = await world.prepare()
            if len(world.asked) > before and isinstance(found, FoundKey) and found.key:
                published[found.key] = world.now
            key = world.key
            assert key is None or world.now - published[key] < STALE_SECONDS
            assert not (key and undecided)

    tell(story)


@pytest.mark.parametrize("ending", ["close", "accept"])
def test_what_is_asked_when_it_ends_or_the_office_goes_changes_nothing(ending):
    async def story(world):
        gate = asyncio.Event()

        async def find(*_):
            await gate.wait()
            return FoundKey(KEY, 60)

        world.ring._find = find
        asked = asyncio.ensure_future(world.ring.prepare([stamp()]))
        await asyncio.sleep(0)
        if ending == "close":
            await world.ring.close()
        else:
            world.ring.accept({}, [])
            gate.set()
        await asked
        assert world.ring.keys.get(OFFICE, {}) == {}

    tell(story)
