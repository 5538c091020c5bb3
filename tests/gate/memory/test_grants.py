"""Correspondents, replies, permits and expected mail: what stands in the state of them, for how long, and for whom."""

import asyncio

import apsw
import pytest
from tests.support.state_file import NOW, time_passes

from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.permits import PERMITS_MAX, WINDOWS_MAX, Kind, Permit, TooMany
from pennyred.gate.memory.recipientrules import StoredRule, stored_rules
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import CORRESPONDENT_DAYS, EXPECTED_LETTERS_MAX, REPLIES_MAX, REPLY_DAYS, holds
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import Unavailable
from pennyred.postage.networks import parse_source
from pennyred.postage.reasons import Reason

SECONDS_PER_DAY = 86_400
DAY = NOW // SECONDS_PER_DAY
BOB, EVE = "bob@example.org", "eve@example.org"
ANN = canonical_recipient("ann@sender.example")
EVIL = canonical_recipient("x@evil.example")
FROM_ANN = Claims(author=ANN, sender=ANN)
PROVEN = Authentication(domains=frozenset({"sender.example"}), author_domain="sender.example")


def on(path, story):
    async def whole():
        state = GateState.open(path, now=NOW)
        try:
            return await story(state)
        finally:
            await state.close()

    return asyncio.run(whole())


async def found(state, user=BOB, claims=FROM_ANN, *, now=NOW, proven=PROVEN, source="198.51.100.7") -> list[Reason]:
    """The rules that let a letter in free for a user."""
    [grants] = await state.grant_book.grants([[user, "example.org", "*"]], claims, now=now)
    return [grant.reason for grant in grants if holds(grant, claims, proven, parse_source(source))]


async def learned(state, day=DAY, **more):
    await state.correspondents.learn([Learned(day, (BOB,), ("ann@sender.example",), **more)])


class TestCorrespondents:
    def test_whom_a_user_has_written_to_may_write_back_to_that_user_after_a_restart_too(self, path):
        on(path, learned)

        async def ask(state):
            return await found(state), await found(state, EVE), await found(state, proven=Authentication())

        assert on(path, ask) == ([Reason.CORRESPONDENT], [], [])

    def test_for_a_year_since_the_last_letter(self, path):
        async def story(state):
            await learned(state)
            last = NOW + CORRESPONDENT_DAYS * SECONDS_PER_DAY
            before, after = await found(state, now=last), await found(state, now=last + SECONDS_PER_DAY)
            await learned(state, DAY + 100)
            return before, after, await found(state, now=last + SECONDS_PER_DAY)

        assert on(path, story) == ([Reason.CORRESPONDENT], [], [Reason.CORRESPONDENT])

    def test_an_import_from_long_ago_does_not_make_a_friend_older(self, path):
        async def story(state):
            await learned(state)
            await learned(state, DAY - 300, origin="import")
            return await state.correspondents.of(BOB, "ann@sender.example")

        assert on(path, story) == (DAY, "outgoing")

    def test_nobody_can_read_who_writes_to_whom(self, file):
        on(file, lambda state: learned(state, message_ids=(b"secret-id@example.org",)))
        for one in file.parent.iterdir():
            octets = one.read_bytes()
            assert b"sender.example" not in octets
            assert b"secret-id" not in octets

    def test_the_hashes_of_two_gates_are_not_alike(self, tmp_path):
        hashes = set()
        for name in ("one.db", "other.db"):
            on(tmp_path / name, learned)
            [row] = apsw.Connection(str(tmp_path / name)).execute("SELECT other FROM correspondent").fetchall()
            hashes.add(row[0])
        assert len(hashes) == 2

    def test_what_is_too_old_is_forgotten_with_the_next_letter(self, path):
        async def story(state):
            await learned(state, DAY - CORRESPONDENT_DAYS - 1, message_ids=(b"old@x",))
            await time_passes(path, DAY * 86_400)
            await state.correspondents.learn([Learned(DAY, (EVE,), ("x@y.example",))])
            return await state.correspondents.totals(after="", limit=10)

        assert [one.user for one in on(path, story)] == [EVE]

    def test_they_are_counted_and_removed(self, path):
        async def story(state):
            await state.correspondents.learn([Learned(DAY, (BOB, EVE), ("a@x.example", "b@x.example", BOB))])
            counted = [(one.user, one.count) for one in await state.correspondents.totals(after="", limit=10)]
            one = await state.correspondents.remove(BOB, ["a@x.example", "unknown@x.example"])
            rest = await state.correspondents.remove(EVE, [])
            return counted, one, rest

        assert on(path, story) == ([(BOB, 2), (EVE, 3)], 1, 3)


class TestReplies:
    ANSWER = Claims(author=canonical_recipient("other@elsewhere.example"), replied_to=(b"1@example.org",))

    async def sent(self, state):
        await learned(state, message_ids=(b"1@example.org",))

    def test_an_answer_comes_free_to_who_has_written_from_anybody_and_for_thirty_days(self, path):
        async def story(state):
            await self.sent(state)
            last = NOW + REPLY_DAYS * SECONDS_PER_DAY
            return [
                await found(state, claims=self.ANSWER),
                await found(state, EVE, claims=self.ANSWER),
                await found(state, claims=self.ANSWER, now=last),
                await found(state, claims=self.ANSWER, now=last + SECONDS_PER_DAY),
            ]

        assert on(path, story) == [[Reason.REPLY], [], [Reason.REPLY], []]

    def test_ten_times_whoever_counts_and_a_use_can_be_given_back(self, path):
        async def story(state):
            await self.sent(state)
            other = GateState.open(path, now=NOW)
            [[grant]] = await state.grant_book.grants([[BOB]], self.ANSWER, now=NOW)
            both = [state.grant_book, other.grant_book]
            used = [await both[number % 2].use([grant.counter]) for number in range(REPLIES_MAX + 2)]
            nothing_left = await found(state, claims=self.ANSWER)
            await state.grant_book.give_back([grant.counter])
            again = await found(state, claims=self.ANSWER), await state.grant_book.use([grant.counter])
            await other.close()
            return used, nothing_left, again

        used, nothing_left, again = on(path, story)
        assert used == [True] * REPLIES_MAX + [False] * 2
        assert nothing_left == []
        assert again == ([Reason.REPLY], True)

    def test_at_once_no_more_than_there_are(self, path):
        async def story(state):
            await self.sent(state)
            [[grant]] = await state.grant_book.grants([[BOB]], self.ANSWER, now=NOW)
            return await asyncio.gather(*(state.grant_book.use([grant.counter]) for _ in range(50)))

        assert sum(on(path, story)) == REPLIES_MAX

    def test_a_letter_sent_again_has_no_more_answers(self, path):
        async def story(state):
            await self.sent(state)
            [[grant]] = await state.grant_book.grants([[BOB]], self.ANSWER, now=NOW)
            for _ in range(REPLIES_MAX):
                await state.grant_book.use([grant.counter])
            await self.sent(state)
            return await found(state, claims=self.ANSWER)

        assert on(path, story) == []


class TestPermits:
    LIST = Claims(author=ANN, list_id="news.lists.example.net")

    @pytest.mark.parametrize(
        ("permit", "claims", "proven", "source", "expected"),
        [
            (Permit(BOB, Kind.LIST, "news.lists.example.net"), LIST, ("example.net",), "198.51.100.7", True),
            (Permit(BOB, Kind.LIST, "news.lists.example.net"), LIST, ("sender.example",), "198.51.100.7", False),
            (Permit(BOB, Kind.LIST, "news.lists.example.net", "esp.example"), LIST, ("esp.example",), "1.2.3.4", True),
            (Permit(BOB, Kind.LIST, "news.lists.example.net", "esp.example"), LIST, ("example.net",), "1.2.3.4", False),
            (Permit(BOB, Kind.LIST, "other.example.net"), LIST, ("example.net",), "198.51.100.7", False),
            (Permit(BOB, Kind.DOMAIN, "sender.example"), FROM_ANN, ("sender.example",), "1.2.3.4", True),
            (Permit(BOB, Kind.DOMAIN, "sender.example"), FROM_ANN, ("evil.example",), "1.2.3.4", False),
            (Permit(BOB, Kind.DOMAIN, "sender.example", "198.51.100.0/24"), FROM_ANN, (), "198.51.100.7", True),
            (Permit(BOB, Kind.DOMAIN, "sender.example", "198.51.100.0/24"), FROM_ANN, (), "1.2.3.4", False),
            (Permit(BOB, Kind.ADDRESS, "ann@sender.example"), FROM_ANN, ("sender.example",), "1.2.3.4", False),
            (Permit("example.org", Kind.DOMAIN, "sender.example"), FROM_ANN, ("sender.example",), "1.2.3.4", True),
            (Permit("*", Kind.DOMAIN, "sender.example"), FROM_ANN, ("sender.example",), "1.2.3.4", True),
            (Permit(EVE, Kind.DOMAIN, "sender.example"), FROM_ANN, ("sender.example",), "1.2.3.4", False),
        ],
    )
    def test_a_permit_opens_to_whom_it_names_by_the_proof_it_asks_for(
        self, path, permit, claims, proven, source, expected
    ):
        async def story(state):
            await state.permits.add(permit)
            authentication = Authentication(domains=frozenset(proven))
            return await found(state, claims=claims, proven=authentication, source=source)

        assert on(path, story) == ([Reason.LIST] if expected else [])

    @pytest.mark.parametrize(
        ("claims", "proven"),
        [
            (
                Claims(EVIL, EVIL, "ann@sender.example"),
                Authentication(domains=frozenset({"evil.example"}), sender_domain="evil.example"),
            ),
            (Claims(EVIL, ANN), Authentication(domains=frozenset({"sender.example"}), author_domain="sender.example")),
            (Claims(EVIL, ANN), Authentication(domains=frozenset({"mail.sender.example"}))),
        ],
        ids=["its name as a List-Id", "in MAIL FROM, by a signature", "by a domain below"],
    )
    def test_an_address_is_nobodys_who_only_writes_it_somewhere(self, path, claims, proven):
        async def story(state):
            await state.permits.add(Permit(BOB, Kind.ADDRESS, "ann@sender.example"))
            return await found(state, claims=claims, proven=proven)

        assert on(path, story) == []

    def test_in_mail_from_it_is_believed_where_spf_proves_it(self, path):
        async def story(state):
            await state.permits.add(Permit(BOB, Kind.ADDRESS, "ann@sender.example"))
            by_spf = Authentication(domains=frozenset({"sender.example"}), sender_domain="sender.example")
            return await found(state, claims=Claims(EVIL, ANN), proven=by_spf)

        assert on(path, story) == [Reason.LIST]

    def test_an_address_is_believed_where_from_is_aligned(self, path):
        async def story(state):
            await state.permits.add(Permit(BOB, Kind.ADDRESS, "ann@sender.example"))
            return await found(state)

        assert on(path, story) == [Reason.LIST]

    def test_it_ends_with_its_last_day(self, path):
        async def story(state):
            await state.permits.add(Permit(BOB, Kind.DOMAIN, "sender.example", last_day=DAY))
            listed = await state.permits.listed(day=DAY), await state.permits.listed(day=DAY + 1)
            return await found(state), await found(state, now=NOW + SECONDS_PER_DAY), [len(one) for one in listed]

        assert on(path, story) == ([Reason.LIST], [], [1, 0])

    def test_it_can_be_taken_back(self, path):
        async def story(state):
            await state.permits.add(Permit(BOB, Kind.DOMAIN, "sender.example"))
            return await state.permits.remove(BOB, "sender.example"), await found(state)

        assert on(path, story) == (1, [])

    def test_a_recipient_has_no_more_than_there_may_be(self, path):
        async def story(state):
            for number in range(PERMITS_MAX):
                await state.permits.add(Permit(BOB, Kind.DOMAIN, f"d{number}.example"))
            with pytest.raises(TooMany):
                await state.permits.add(Permit(BOB, Kind.DOMAIN, "one.too.many.example"))
            await state.permits.add(Permit(BOB, Kind.DOMAIN, "d7.example", last_day=DAY))

        on(path, story)


class TestWindows:
    def test_what_is_expected_comes_free_until_the_window_closes(self, path):
        async def story(state):
            await state.permits.expect(BOB, "", until=NOW + 60, now=NOW)
            await state.permits.expect(EVE, "shop.example", until=NOW + 60, now=NOW)
            shop = Authentication(domains=frozenset({"shop.example"}))
            return [
                await found(state, proven=Authentication()),
                await found(state, proven=Authentication(), now=NOW + 61),
                await found(state, EVE),
                await found(state, EVE, proven=shop),
            ]

        assert on(path, story) == [[Reason.EXPECTED], [], [], [Reason.EXPECTED]]

    def test_twenty_letters_go_through_one(self, path):
        async def story(state):
            await state.permits.expect(BOB, "", until=NOW + 60, now=NOW)
            [[grant]] = await state.grant_book.grants([[BOB]], Claims(), now=NOW)
            return [await state.grant_book.use([grant.counter]) for _ in range(EXPECTED_LETTERS_MAX + 1)]

        assert on(path, story) == [True] * EXPECTED_LETTERS_MAX + [False]

    def test_nobody_has_more_of_them_than_there_may_be_and_old_ones_make_room(self, path):
        async def story(state):
            for _ in range(WINDOWS_MAX):
                await state.permits.expect(BOB, "", until=NOW + 60, now=NOW)
            with pytest.raises(TooMany):
                await state.permits.expect(BOB, "", until=NOW + 60, now=NOW)
            await state.permits.expect(BOB, "", until=NOW + 200, now=NOW + 100)

        on(path, story)


def test_rules_of_recipients_are_kept_and_read_at_once(path):
    async def story(state):
        await state.recipient_rules.set(StoredRule(BOB, 3, "require", is_free=False))
        await state.recipient_rules.set(StoredRule(BOB, 5))
        await state.recipient_rules.set(StoredRule("example.org", is_free=True))
        gone = await state.recipient_rules.remove("example.org"), await state.recipient_rules.remove("example.org")
        return gone, await state.recipient_rules.all()

    gone, rules = on(path, story)
    assert gone == (True, False)
    assert rules == stored_rules(path) == [StoredRule(BOB, 5)]


def test_without_a_state_there_are_no_rules_and_one_that_is_none_does_not_answer(tmp_path):
    assert stored_rules(tmp_path / "none.db") == []
    (tmp_path / "odd.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(Unavailable):
        stored_rules(tmp_path / "odd.db")


def test_who_asks_waits_for_nobody_who_writes(file):
    async def story(state):
        await learned(state)
        blocker = apsw.Connection(str(file))
        blocker.execute("BEGIN IMMEDIATE")
        answered = await found(state)
        blocker.execute("ROLLBACK")
        return answered

    assert on(file, story) == [Reason.CORRESPONDENT]
