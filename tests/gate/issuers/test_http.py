"""The gate's way to an office elsewhere, over real HTTP: batched, repeated without charging twice, never more than "later"."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support.desk import Lines
from tests.support.passing_time import let_pass
from tests.support.redeeming_office import TOKEN, RedeemingOffice
from tests.support.replacing import replace
from tests.support.stationery import DAY, LETTER

from pennyred.gate.issuers.abilities import read_abilities
from pennyred.gate.issuers.asking import Asker, Patience, RequestRefused
from pennyred.gate.issuers.http import HttpRedeemer
from pennyred.http import redemptions
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.ledger_rules import LEASE_SECONDS_MAX
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldOutcome, SettleOutcome, VoidOutcome

BOB = "bob@example.org"
PATIENT = Patience(deadline_seconds=60, attempt_seconds=5, pause_seconds=0.001)
"""Else a slow machine would ask twice."""
HELD, SPENT = HoldOutcome.HELD, HoldOutcome.SPENT


@asynccontextmanager
async def way_to(office, *, token=TOKEN, patience=PATIENT, **options):
    log = Lines()
    asker = Asker(office.url, token, log, patience=patience)
    way = HttpRedeemer(asker, **options)
    way.log = log
    way.start()
    try:
        yield way
    finally:
        await way.close()


def tell(story, stamps=1000, **options):
    async def run():
        office = RedeemingOffice()
        await office.open(stamps)
        async with office.on_the_web(), way_to(office, **options) as way:
            await story(office, way)

    asyncio.run(run())


def hold(office, number, group=0, letter=None, **changes) -> Hold:
    """Of a new stamp, for the letter of this number."""
    stamp = office.stationery.stamp(LETTER, BOB, **changes)
    return Hold(number.to_bytes(16, "big"), group, stamp, "example.org", letter or number.to_bytes(32, "big"))


async def outcomes(way, holds):
    return [answer.outcome for answer in await way.hold(holds, lease_seconds=60)]


def test_held_settled_and_voided_as_inside_the_process():
    async def story(office, way):
        one, other = hold(office, 1), hold(office, 2)
        assert await outcomes(way, [one]) == [HELD]
        assert await outcomes(way, [other]) == [HELD]
        assert await way.settle([one.settle()]) == [SettleOutcome.SETTLED]
        assert await way.void([other.void(), one.void()]) == [VoidOutcome.VOIDED, VoidOutcome.NOT_HELD]
        assert await outcomes(way, [one]) == [HoldOutcome.ALREADY_SETTLED]
        assert await office.balance() == (999, 0)

    tell(story)


def test_evidence_of_the_first_use_comes_along():
    async def story(office, way):
        one = hold(office, 1)
        await outcomes(way, [one])
        await way.settle([one.settle()])
        thief = Hold(b"t" * 16, 0, one.stamp, one.domain, b"x" * 32)
        [answer] = await way.hold([thief], lease_seconds=60)
        assert answer.outcome is SPENT
        assert answer.first_use.letter == one.letter

    tell(story)


def test_letters_that_come_together_are_asked_for_together():
    """A hundred letters of three stamps each, with groups of the same numbers, in far fewer requests; each whole."""

    async def story(office, way):
        letters = [[hold(office, n, group) for group in (0, 0, 2)] for n in range(100)]
        answers = await asyncio.gather(*(outcomes(way, letter) for letter in letters))
        assert answers == [[HELD] * 3] * 100
        assert sum(office.asked("hold")) == 300
        assert len(office.asked("hold")) <= 5
        settled = await asyncio.gather(*(way.settle([letter[0].settle()]) for letter in letters))
        assert settled == [[SettleOutcome.SETTLED]] * 100
        assert len(office.asked("settle")) <= 5
        assert len(office.connections) <= PATIENT.connections_max
        assert await office.balance() == (900, 200)

    tell(story)


def test_groups_of_different_letters_have_nothing_to_do_with_each_other():
    """All have group 0 and even the same tx; one of them fails, and only that one."""

    async def story(office, way):
        good = [[hold(office, 7), hold(office, 7)] for _ in range(3)]
        bad = [hold(office, 7), hold(office, 7, now=office.now - 11 * DAY)]
        answers = await asyncio.gather(*(outcomes(way, letter) for letter in (good[0], bad, *good[1:])))
        assert len(office.requests) == 1
        assert [answers[0], *answers[2:]] == [[HELD, HELD]] * 3
        assert answers[1][0] is HoldOutcome.GROUP_FAILED
        assert not answers[1][1].is_held

    tell(story)


def test_holds_of_different_leases_are_asked_for_apart():
    async def story(office, way):
        await asyncio.gather(*(way.hold([hold(office, n)], lease_seconds=60 + n % 2) for n in range(8)))
        assert sorted(office.leases) == [60, 61]
        await way.hold([hold(office, 9)], lease_seconds=10**6)
        assert office.leases[-1] == LEASE_SECONDS_MAX

    tell(story)


def test_connections_are_kept():
    async def story(office, way):
        for n in range(10):
            await outcomes(way, [hold(office, n)])
        assert len(office.connections) <= 2  # the other one asked who the office is

    tell(story)


def test_a_letter_with_more_stamps_than_a_request_takes_needs_several(monkeypatch):
    """Its own group goes first and whole, so that spare stamps do not use up its balance."""
    monkeypatch.setattr("pennyred.gate.issuers.http.ITEMS_MAX", 5)

    async def story(office, way):
        letter = [hold(office, 1) for _ in range(4)] + [hold(office, 1, place) for place in range(1, 8)]
        assert await outcomes(way, letter) == [HELD] * 4 + [HoldOutcome.INSUFFICIENT_BALANCE] * 7
        assert office.asked("hold") == [5, 5, 1]
        with pytest.raises(Unavailable, match="6 stamps") as many:
            await way.hold([hold(office, 2) for _ in range(6)], lease_seconds=60)
        assert not many.value.is_silence

    tell(story, stamps=4)


def test_where_the_rest_of_a_letter_cannot_be_asked_for_what_is_held_is_given_back(monkeypatch):
    monkeypatch.setattr("pennyred.gate.issuers.http.ITEMS_MAX", 2)

    async def story(office, way):
        office.faults.extend(["", "404"])
        with pytest.raises(Unavailable):
            await way.hold([hold(office, 1, place) for place in range(4)], lease_seconds=60)
        async with asyncio.timeout(30):
            while await office.balance() != (1000, 0):  # noqa: ASYNC110 - beside the letter, which has its answer
                await asyncio.sleep(0.05)

    tell(story)


def test_nothing_is_asked_for_nothing():
    async def story(office, way):
        assert await way.hold([], lease_seconds=60) == []
        assert await way.settle([]) == []
        assert await way.void([]) == []
        assert office.requests == []

    tell(story)


@pytest.mark.parametrize("fault", ["500", "cut", "cut-after", "500-after", "hang"])
def test_what_was_not_answered_is_asked_again_and_charged_once(fault):
    """Whether the office did it before the answer was lost, or not."""

    async def story(office, way):
        office.note_hanging = lambda: let_pass(PATIENT.attempt_seconds)
        one = hold(office, 1)
        office.faults.extend([fault, fault])
        answers = await outcomes(way, [one])
        assert answers[0].is_held
        office.faults.extend([fault, fault])
        assert (await way.settle([one.settle()]))[0] in (SettleOutcome.SETTLED, SettleOutcome.ALREADY_SETTLED)
        office.faults.extend([fault, fault])
        assert await way.void([one.void()]) == [VoidOutcome.NOT_HELD]
        assert len(office.requests) == 9
        assert await office.balance() == (999, 0)
        report = await office.ledger.audit()
        assert (report.balanced, report.settled, report.held) == (True, 1, 0)

    tell(story)


@pytest.mark.parametrize("fault", ["nonsense", "short", "endless", "429", "404"])
def test_what_would_be_answered_the_same_way_is_not_asked_again(fault):
    async def story(office, way):
        office.always = fault
        with pytest.raises(Unavailable) as caught:
            await way.hold([hold(office, 1)], lease_seconds=60)
        assert caught.value.reason is Reason.OFFICE_UNREACHABLE
        assert caught.value.is_silence == (fault != "404")
        assert len(office.requests) == 1

    tell(story)


def test_a_wrong_token_is_trouble_of_ours_said_loudly_once_and_never_a_no():
    async def story(office, way):
        for n in range(3):
            with pytest.raises(Unavailable, match="refuses our token"):
                await way.hold([hold(office, n)], lease_seconds=60)
        lines = [line for line in way.log.lines if line["event"] == "office.refuses_token"]
        assert [line["status"] for line in lines] == [401]
        assert "wrong" not in str(way.log.lines)
        way.asker.replace_token(TOKEN)
        assert await outcomes(way, [hold(office, 9)]) == [HELD]

    tell(story, token="wrong")


def test_a_stamp_that_the_office_cannot_read_does_not_keep_other_letters_waiting():
    async def story(office, way):
        letters = [hold(office, n) for n in range(5)]
        office.refuses_serial = letters[2].stamp.serial
        answers = await asyncio.gather(*(outcomes(way, [one]) for one in letters), return_exceptions=True)
        assert isinstance(answers.pop(2), Unavailable)
        assert answers == [[HELD]] * 4

    tell(story)


def test_an_office_that_does_not_answer_is_left_alone_and_heard_again():
    async def story(office, way):
        office.always = "500"
        for n in range(20):
            with pytest.raises(Unavailable):
                await way.hold([hold(office, n)], lease_seconds=60)
        assert len(office.requests) <= 8
        office.always = ""
        one = hold(office, 30)
        async with asyncio.timeout(20):
            while True:
                try:
                    answers = await outcomes(way, [one])
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        assert answers == [HELD]
        assert [line["event"] for line in way.log.lines] == ["office.down", "office.up"]

    tell(story, patience=Patience(deadline_seconds=5, attempt_seconds=60, pause_seconds=0.001))


def test_a_deadline_is_kept():
    async def story(office, way):
        office.always = "hang"
        with pytest.raises(Unavailable, match="no answer within"):
            await way.hold([hold(office, 1)], lease_seconds=60)

    tell(story, patience=Patience(deadline_seconds=0.1, attempt_seconds=5))


def test_a_caller_that_goes_away_takes_nothing_from_the_others():
    async def story(office, way):
        asked = [asyncio.create_task(outcomes(way, [hold(office, n)])) for n in range(3)]
        await asyncio.sleep(0)
        asked[0].cancel()
        assert await asyncio.gather(*asked[1:]) == [[HELD], [HELD]]

    tell(story)


def test_receipts_are_handed_on():
    told = []

    async def story(office, way):
        office.receipts = True
        one = hold(office, 1)
        await outcomes(way, [one])
        await way.settle([one.settle()])
        assert told == [([one.settle()], ["signed"])]

    tell(story, note_receipts=lambda settles, receipts: told.append((settles, receipts)))


def test_the_salt_never_reaches_the_office():
    async def story(office, way):
        one = hold(office, 1)
        item = redemptions.write_hold(one)
        assert one.stamp.salt is not None
        assert b"salt" not in msgspec.json.encode(item)
        assert redemptions.read_hold(item).stamp.salt is None
        assert await outcomes(way, [one]) == [HELD]

    tell(story)


def test_an_address_where_nobody_is_means_later():
    async def story(office, way):
        way.asker._url = "http://127.0.0.1:9"
        with pytest.raises(Unavailable):
            await way.hold([hold(office, 1)], lease_seconds=60)

    tell(story, patience=Patience(deadline_seconds=0.2, attempt_seconds=0.1))


def test_a_redirection_is_not_followed():
    """The token goes nowhere else."""

    async def story(office, way):
        office.always = "redirect"
        with pytest.raises(Unavailable, match="307"):
            await way.hold([hold(office, 1)], lease_seconds=60)
        assert len(office.requests) == 1

    tell(story)


class TestFlaws:
    """A stamp that this gate would not take any more is asked about with what is wrong with it, and never held."""

    def test_the_flaw_travels_and_what_has_paid_is_told(self):
        async def story(office, way):
            paid, doubtful, new = (hold(office, n) for n in range(3))
            await outcomes(way, [paid, doubtful])
            await way.settle([paid.settle()])
            asked = [
                replace(one, group=place, flaw=Reason.UNDERPAID) for place, one in enumerate((paid, doubtful, new))
            ]
            answers = await way.hold(asked, lease_seconds=60)
            assert [one.outcome for one in answers] == [
                HoldOutcome.ALREADY_SETTLED,
                HoldOutcome.RENEWED,
                HoldOutcome.INVALID,
            ]
            assert answers[2].reason == "underpaid"
            assert await office.balance() == (999, 1)
            assert office.introductions == 1

        tell(story)

    def test_an_office_of_an_earlier_release_is_not_asked_it_would_hold_or_refuse_all(self):
        async def story(office, way):
            office.abilities = None
            flawed, good = replace(hold(office, 1), group=1, flaw=Reason.BAD_LICENCE), hold(office, 1)
            for _ in range(2):
                answers = await way.hold([flawed, good], lease_seconds=60)
                assert (answers[0].outcome, answers[0].reason) == (HoldOutcome.INVALID, "bad-licence")
                assert answers[1].outcome.is_held
            assert (office.asked("hold"), office.introductions) == ([1, 1], 1)

        tell(story)

    def test_one_that_was_set_back_means_later_once_and_is_not_asked_again(self):
        async def story(office, way):
            flawed = replace(hold(office, 1), flaw=Reason.UNDERPAID)
            await outcomes(way, [flawed])
            office.abilities = None
            with pytest.raises(Unavailable):
                await outcomes(way, [flawed])
            assert await outcomes(way, [flawed]) == [HoldOutcome.INVALID]
            office.abilities = ["flaw", "whatever comes next"]
            way._abilities.forget()
            assert await outcomes(way, [flawed]) == [HoldOutcome.INVALID]
            assert office.asked("hold") == [1, 1, 1]

        tell(story)

    def test_it_spoils_no_other_letters_question(self):
        async def story(office, way):
            flawed = replace(hold(office, 1), flaw=Reason.UNDERPAID)
            letters = [[flawed], *([hold(office, n)] for n in range(2, 6))]
            await outcomes(way, [flawed])
            answers = await asyncio.gather(*(outcomes(way, letter) for letter in letters))
            assert answers == [[HoldOutcome.INVALID], *[[HELD]] * 4]
            assert sorted(office.asked("hold")[1:]) == [1, 4]

        tell(story)

    def test_where_it_cannot_be_known_what_the_office_understands_it_is_later(self):
        async def story(office, way):
            office.always = "500"
            with pytest.raises(Unavailable):
                await outcomes(way, [replace(hold(office, 1), flaw=Reason.UNDERPAID)])
            assert office.asked("hold") == []

        tell(story, patience=Patience(deadline_seconds=0.3, attempt_seconds=0.1, pause_seconds=0.01))

    def test_one_without_even_that_page_understands_nothing(self):
        async def story(office, way):
            way._abilities._asker = Refusing()
            assert await outcomes(way, [replace(hold(office, 1), flaw=Reason.UNDERPAID)]) == [HoldOutcome.INVALID]

        tell(story)

    @pytest.mark.parametrize(
        "octets", [b"", b"{}", b"[]", b"\xff", b'{"issuer": 1}', b'{"issuer":"a","keys":[],"price":1,"abilities":3}']
    )
    def test_what_is_no_introduction_is_malformed(self, octets):
        with pytest.raises(Malformed):
            read_abilities(octets)


class Refusing:
    """An office that has no such page."""

    async def get(self, path, read):
        raise RequestRefused(Reason.OFFICE_UNREACHABLE, "404")
