"""Keys of offices found in DNS: kept, asked for again, let go; with a DNS that is silent, wrong or slow."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.door.tally import Tally
from pennyred.gate.issuers import keyquestions, keyring
from pennyred.gate.issuers.keymemory import CLOCK_SKEW_SECONDS, KeyMemory
from pennyred.gate.issuers.keyquestions import KeyQuestions
from pennyred.gate.issuers.keyring import GRACE_SECONDS, STALE_SECONDS, TTL_SECONDS_MIN, FoundKey, KeyRing
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.programs.workers.tallies import SharedMinute

OFFICE = "post.example.net"
KEY, OTHER = b"k" * 32, b"o" * 32
MISSING = FoundKey(None, 300)
ONE = frozenset([(OFFICE, "s1")])


def stamp(selector="s1", issuer=OFFICE):
    return SimpleNamespace(issuer=issuer, licence=SimpleNamespace(selector=selector))


class Book:
    """What a gate's state remembers of keys."""

    def __init__(self):
        self.keys = {}
        self.is_down = False
        self.written = 0

    async def keep(self, issuer, selector, key, *, is_authenticated, now):
        self._answer()
        self.written += 1
        self.keys[issuer, selector] = key, now, is_authenticated

    async def kept(self, issuer, selector):
        self._answer()
        return self.keys.get((issuer, selector))

    async def forget(self, issuer, selector):
        self._answer()
        self.keys.pop((issuer, selector), None)

    def _answer(self):
        if self.is_down:
            raise Unavailable(Reason.INTERNAL, "down by script")


class World:
    """A DNS that says what it is told to say, and a clock that is set."""

    def __init__(self):
        self.now = 1_795_000_000
        self.says = {}
        self.asked = []
        self.book = Book()
        self.start()

    def start(self):
        """A worker that knows nothing but what the gate's state has."""
        clock = lambda: self.now  # noqa: E731
        questions = KeyQuestions(SharedMinute(Tally(1, 1, clock=clock).of(0)))
        self.ring = KeyRing(self.find, KeyMemory(clock, self.book), questions, clock=clock)
        self.ring.accept({}, [OFFICE])

    async def find(self, issuer, selector):
        self.asked.append((issuer, selector))
        await asyncio.sleep(0)
        found = self.says.get((issuer, selector), MISSING)
        if isinstance(found, Exception):
            raise found
        return found

    async def prepare(self, *stamps, source=""):
        return (await self.look(*stamps, source=source)).undecided

    async def look(self, *stamps, source=""):
        prepared = await self.ring.prepare(stamps or [stamp()], source)
        await asyncio.gather(*self.ring._asking.values())  # what is asked beside the mail
        await self.ring._memory.close()
        return prepared

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


def test_selectors_that_strangers_invent_push_out_no_key_that_was_found(monkeypatch):
    """253 letters did, when both stood in one memory."""
    monkeypatch.setattr(keyquestions, "PER_OFFICE_MAX", 1_000_000)

    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 86_400)
        await world.prepare()
        for number in range(500):
            await world.prepare(*[stamp(f"x{number}-{more}") for more in range(keyring.PER_LETTER_MAX)])
        assert len(world.ring._missing) == keyring.MISSING_MAX
        assert world.key == KEY
        world.says[OFFICE, "s1"] = SILENT
        for days in range(7):
            world.now += days and 86_400
            assert await world.prepare() == frozenset()
            assert world.key == KEY

    tell(story)


def test_a_zone_that_has_a_key_under_every_name_gives_strangers_no_room_either(monkeypatch):
    """A wildcard record: whatever is invented is found."""
    monkeypatch.setattr(keyquestions, "PER_OFFICE_MAX", 1_000_000)

    async def story(world):
        world.says = {(OFFICE, "s1"): FoundKey(KEY, 86_400), (OFFICE, "s2"): FoundKey(OTHER, 86_400)}
        await world.prepare(stamp("s1"), stamp("s2"))
        for number in range(2 * keyring.KEYS_MAX):
            world.says[OFFICE, f"x{number}"] = FoundKey(KEY, 86_400)
            await world.prepare(stamp(f"x{number}"))
        assert len(world.ring.keys[OFFICE]) == keyring.KEYS_MAX
        assert {selector: world.ring.keys[OFFICE][selector] for selector in ("s1", "s2")} == {"s1": KEY, "s2": OTHER}

    tell(story)


def test_whoever_invents_selectors_is_asked_for_few_of_them_and_keeps_nobody_elses_key_from_being_found(monkeypatch):
    monkeypatch.setattr(keyquestions, "PER_OFFICE_MAX", 40)

    async def story(world):
        world.ring.accept({}, [OFFICE, "other.example"])
        for number in range(100):
            await world.prepare(stamp(f"x{number}"), source="192.0.2.0/24")
        assert len(world.asked) == keyquestions.PER_SOURCE_MAX
        for number in range(100):
            await world.prepare(stamp(f"y{number}"), source=f"198.51.{number}.0/24")
        assert len(world.asked) == 40
        world.says = {(OFFICE, "s1"): FoundKey(KEY, 60), ("other.example", "s1"): FoundKey(OTHER, 60)}
        assert await world.prepare(stamp(), source="203.0.113.0/24") == ONE  # later
        assert await world.prepare(stamp(issuer="other.example"), source="203.0.113.0/24") == frozenset()
        world.now += 60
        assert await world.prepare(stamp(), source="203.0.113.0/24") == frozenset()

    tell(story)


def test_keys_that_are_known_are_confirmed_however_many_are_invented(monkeypatch):
    monkeypatch.setattr(keyquestions, "PER_OFFICE_MAX", 3)

    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 60)
        await world.prepare()
        for _ in range(5):
            world.now += 60
            for number in range(10):
                await world.prepare(stamp(f"x{number}"))
            before = len(world.asked)
            await world.prepare()
            assert len(world.asked) == before + 1

    tell(story)


def test_a_silent_dns_is_asked_for_so_many_new_keys_of_an_office_at_once():
    async def story(world):
        silence = asyncio.Event()
        world.ring.accept({}, [OFFICE, "other.example"])

        async def find(issuer, selector):
            world.asked.append((issuer, selector))
            if issuer == OFFICE:
                await silence.wait()
            return FoundKey(KEY, 60)

        world.ring._find = find
        waiting = [asyncio.ensure_future(world.ring.prepare([stamp(f"x{number}")])) for number in range(50)]
        await asyncio.sleep(0.01)
        assert len(world.asked) == keyquestions.UNDER_WAY_MAX
        prepared = await world.ring.prepare([stamp(issuer="other.example")])
        assert not prepared.undecided
        silence.set()
        await asyncio.gather(*waiting)

    tell(story)


def test_offices_that_do_not_count_are_not_asked_about():
    async def story(world):
        assert await world.prepare(stamp(issuer="evil.example")) == frozenset()
        assert world.asked == []

    tell(story)


def test_a_letter_with_stamps_of_many_new_offices_is_let_through_after_some_attempts():
    """Each attempt finds some; those that are known do not count as questions."""

    async def story(world):
        offices = [f"post{number}.example" for number in range(10)]
        world.ring.accept({}, offices)
        world.says = {(office, "s1"): FoundKey(KEY, 86_400) for office in offices}
        stamps = [stamp(issuer=office) for office in offices]
        left = [len(await world.prepare(*stamps)) for _ in range(3)]
        assert left == [6, 2, 0]

    tell(story)


def test_who_brings_a_selector_that_is_nowhere_is_told_of_once_a_minute():
    async def story(world):
        assert (await world.look()).unpublished == ONE
        assert (await world.look()).unpublished == frozenset()  # known to be missing: it costs nobody anything
        world.now += TTL_SECONDS_MIN
        assert (await world.look()).unpublished == ONE
        world.says[OFFICE, "s2"] = SILENT  # it may well be there
        assert (await world.look(stamp("s2"))).unpublished == frozenset()
        world.says[OFFICE, "s3"] = FoundKey(KEY, 60)
        assert (await world.look(stamp("s3"))).unpublished == frozenset()

    tell(story)


def test_a_key_of_which_nothing_was_seen_for_long_is_looked_up_before_the_letter_is_judged():
    """An office whose letters come once in a fortnight: the first one must not be refused."""

    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        await world.prepare()
        world.now += 2 * STALE_SECONDS
        assert await world.prepare() == frozenset()
        assert world.key == KEY
        world.now += 2 * STALE_SECONDS
        world.says[OFFICE, "s1"] = SILENT
        assert await world.prepare() == ONE  # later, not no
        assert world.key is None

    tell(story)


def test_a_key_that_was_found_serves_after_a_restart_too_while_dns_is_silent():
    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        await world.prepare()
        world.says[OFFICE, "s1"] = SILENT
        world.now += STALE_SECONDS - 3600
        world.start()
        assert await world.prepare() == frozenset()
        assert world.key == KEY
        world.now += 3599
        assert await world.prepare() == frozenset()
        world.now += 2
        assert await world.prepare() == ONE  # the restart has not begun the week anew

    tell(story)


def test_so_it_does_where_invented_selectors_have_used_up_what_dns_may_be_asked(monkeypatch):
    monkeypatch.setattr(keyquestions, "PER_OFFICE_MAX", 5)

    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 600)
        await world.prepare()
        world.start()
        world.says = {(OFFICE, name): SILENT for name in ("s1", *(f"x{number}" for number in range(9)))}
        for number in range(9):
            await world.prepare(stamp(f"x{number}"))
        assert len(world.asked) == 1 + 5
        assert await world.prepare() == frozenset()
        assert world.key == KEY

    tell(story)


def test_a_key_that_was_withdrawn_or_whose_record_went_does_not_come_back_out_of_the_memory():
    async def story(world):
        for going in (FoundKey(None, 60, is_withdrawn=True), MISSING):
            world.says[OFFICE, "s1"] = FoundKey(KEY, 60)
            world.now += GRACE_SECONDS
            await world.prepare()
            assert world.key == KEY
            assert world.book.keys
            for _ in range(2):
                world.says[OFFICE, "s1"] = going
                world.now += GRACE_SECONDS
                await world.prepare()
            await world.prepare()
            assert world.book.keys == {}
            world.says[OFFICE, "s1"] = SILENT
            world.start()
            assert await world.prepare() == ONE

    tell(story)


def test_what_the_memory_has_of_another_time_or_without_dnssec_does_not_count():
    async def story(world):
        world.says[OFFICE, "s1"] = SILENT
        for at in (world.now - STALE_SECONDS, world.now + CLOCK_SKEW_SECONDS + 1):
            world.book.keys[OFFICE, "s1"] = KEY, at, True
            world.start()
            assert await world.prepare() == ONE
        world.book.keys[OFFICE, "s1"] = KEY, world.now, False
        world.start()
        world.ring.accept({}, [OFFICE], authenticated_only=[OFFICE])
        assert await world.prepare() == ONE
        world.book.keys[OFFICE, "s1"] = KEY, world.now, True
        world.now += TTL_SECONDS_MIN
        assert await world.prepare() == frozenset()

    tell(story)


def test_a_memory_that_does_not_answer_is_no_trouble_and_is_seldom_written_to():
    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 60)
        for _ in range(60):
            world.now += 60
            assert await world.prepare() == frozenset()
        assert world.book.written == 1
        world.book.is_down = True
        world.start()
        assert await world.prepare() == frozenset()
        world.says[OFFICE, "s2"] = SILENT
        assert await world.prepare(stamp("s2")) == {(OFFICE, "s2")}

    tell(story)


def test_an_office_that_must_be_proven_from_now_on_or_is_pinned_no_more_begins_anew():
    async def story(world):
        world.says[OFFICE, "s1"] = FoundKey(KEY, 86_400)
        await world.prepare()
        world.ring.accept({}, [OFFICE], authenticated_only=[OFFICE])
        assert await world.prepare() == ONE
        world.ring.accept({OFFICE: {"s1": OTHER}}, [])
        assert world.key == OTHER
        world.ring.accept({}, [OFFICE])
        assert world.key is None
        world.now += 60
        assert await world.prepare() == frozenset()
        assert world.key == KEY

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
