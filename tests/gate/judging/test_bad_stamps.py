"""Who brings too many bad stamps has its stamps wait, and nothing else; nor has anybody else behind its address."""

import asyncio
import functools
from ipaddress import ip_network

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.stationery import LETTER, Stationery

from pennyred.gate.judging.bad_stamps import LUCKY_ONE_IN
from pennyred.gate.letterbox import Due, Later, Relay
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.postage import verification
from pennyred.postage.encoding import encode_base64
from pennyred.postage.letter import STAMP_FIELD
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import SigningKey
from pennyred.postage.taglist import fold_field

BOB, EVE = "bob@example.org", "eve@example.org"
WAIT = Later(Reason.TOO_MANY_BAD_STAMPS)
GARBLED = b"X-Postage-Stamp: nonsense\r\n" + LETTER


def scenario(test):
    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


async def a_desk(stamps: int = 100, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(**policy)
    await desk.office.open(stamps)
    return desk


def forged(paper: Stationery, to: str = BOB) -> bytes:
    """A stamp by a licence that holds, which the account has not signed."""
    stamp = paper.stamp(LETTER, to)
    spoilt = {"b": encode_base64(bytes(64))}
    return fold_field(STAMP_FIELD, [(name, spoilt.get(name, value)) for name, value in stamp.tags])


def unlicensed(number: int = 0) -> bytes:
    """A stamp whose licence the office has not signed: anybody can make those."""
    key = SigningKey.from_seed(bytes([7]) * 32)
    return Stationery(office_key=key, account=f"{'b' * 14}{'abcdefgh'[number % 8]}a").stamp(LETTER, BOB).field()


async def misbehave(desk: DeskUnderTest, make=lambda number: unlicensed(number) + LETTER, times: int = 5) -> list:
    return [(await desk.present(make(number), BOB))[0] for number in range(times)]


@pytest.fixture
def checks(monkeypatch):
    """How many signatures were checked."""
    counted = []
    verify = verification.verify
    monkeypatch.setattr(verification, "verify", lambda *arguments: counted.append(1) or verify(*arguments))
    return counted


class TestTheSourceItself:
    @pytest.mark.parametrize(
        ("make", "told"),
        [
            (lambda number: unlicensed(number) + LETTER, Reason.BAD_LICENCE),
            (lambda _: GARBLED, Reason.MALFORMED),
        ],
        ids=["unlicensed", "garbled"],
    )
    @scenario
    async def test_beyond_so_many_a_minute_it_is_later_whatever_they_are(self, make, told):
        desk = await a_desk()
        answers = await misbehave(desk, make, 8)
        assert answers == [Due(0, told)] * 5 + [WAIT] * 3
        assert (await desk.present(make(9), BOB, source="198.51.100.8"))[0] == Due(0, told)

    @scenario
    async def test_what_waits_costs_no_signature_and_asks_nobody(self, checks):
        desk = await a_desk()
        await misbehave(desk)
        checks.clear()
        for _ in range(3):
            assert (await desk.present(unlicensed() * 4 + LETTER, BOB))[0] == WAIT
        assert (checks, desk.office.calls, desk.kept.letters[5:]) == ([], [], [])

    @scenario
    async def test_one_letter_with_a_thousand_costs_no_more_than_a_few(self, checks):
        """Stamps of one letter are counted as they are looked at."""
        desk = await a_desk()
        many = [f"b{number}@example.org" for number in range(50)]
        paper = Stationery(office_key=SigningKey.from_seed(bytes([7]) * 32))
        stamps = b"".join(paper.stamp(LETTER, to).field() for to in many)
        answer, _ = await desk.present(stamps + LETTER, *many)
        assert answer == Due(0, Reason.BAD_LICENCE)
        assert len(checks) == 5

    @scenario
    async def test_so_it_is_where_nobody_knows_whose_letter_it_is(self, checks):
        """A front that does not tell is never barred from one letter to the next."""
        desk = await a_desk()
        for _ in range(3):
            checks.clear()
            answer, _ = await desk.present(unlicensed() * 2 + LETTER, *[BOB] * 6, source_known=False)
            assert isinstance(answer, Due)
            assert 0 < len(checks) <= 5
        assert desk.bad_stamps.counted.total() == 0

    @scenario
    async def test_by_chance_one_in_four_is_looked_at_and_what_does_not_hold_waits_all_the_same(self, checks):
        desk = await a_desk()
        await misbehave(desk)
        for luck, looked in ((LUCKY_ONE_IN, 1), (LUCKY_ONE_IN + 1, 0)):
            checks.clear()
            desk.luck = luck
            assert (await desk.present(unlicensed() * 4 + LETTER, BOB))[0] == WAIT
            assert (await desk.present(GARBLED, BOB))[0] == WAIT
            assert len(checks) == looked

    @scenario
    async def test_a_gate_that_watches_and_one_without_a_limit_bar_nobody(self):
        desk = await a_desk(bad_stamps_max=0)
        assert await misbehave(desk, times=9) == [Due(0, Reason.BAD_LICENCE)] * 9
        desk = await a_desk(mode=Mode.MONITOR, bad_stamps_max=0)
        assert all(isinstance(answer, Relay) for answer in await misbehave(desk, times=9))

    @pytest.mark.parametrize("changes", [{"price": 2}, {"issuers": {}, "retired": frozenset({"post.example.org"})}])
    @scenario
    async def test_what_is_looked_at_only_as_it_may_have_paid_is_counted_too(self, changes, checks):
        """Else a stamp that is worth too little would be a way to have signatures checked for nothing."""
        desk = await a_desk(**changes)
        answers = await misbehave(desk, lambda _: forged(desk.stationery) + LETTER, 8)
        assert answers[5:] == [WAIT] * 3
        assert len(checks) <= 6


class TestItsNeighbours:
    """Behind one address there may be many."""

    @pytest.mark.parametrize("make", [lambda number: unlicensed(number) + LETTER, lambda _: GARBLED])
    @scenario
    async def test_mail_that_needs_no_stamp_goes_on(self, make):
        desk = await a_desk(exemptions=Exemptions(recipients=frozenset({EVE})))
        await misbehave(desk, make, 8)
        assert isinstance((await desk.present(LETTER, "postmaster@example.org"))[0], Relay)
        assert isinstance((await desk.present(LETTER, EVE))[0], Relay)
        assert isinstance((await desk.present(make(0), EVE))[0], Relay)
        assert (await desk.present(LETTER, BOB))[0] == Due(0, Reason.NO_STAMP), "what to do is told as always"

    @scenario
    async def test_so_does_unstamped_mail_within_the_allowance_and_a_stamp_not_looked_at_is_no_stamp(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=7))
        answers = await misbehave(desk, times=7)
        assert all(isinstance(answer, Relay) for answer in answers)
        assert (await desk.present(unlicensed() + LETTER, BOB))[0] == WAIT
        assert (await desk.present(LETTER, BOB))[0] == Due(0, Reason.BULK)

    @scenario
    async def test_who_is_known_goes_on_paying(self):
        desk = await a_desk()
        assert isinstance((await desk.present(desk.stationery.stamped(LETTER, BOB), BOB))[0], Relay)
        await misbehave(desk, times=8)
        for text in (b"Gin", b"Rum"):
            letter = desk.stationery.stamped(LETTER.replace(b"Tea", text), BOB)
            assert isinstance((await desk.present(letter, BOB))[0], Relay)
        assert await desk.balance() == (97, 0)

    @scenario
    async def test_a_stranger_with_postage_waits_until_chance_lets_it_in_and_is_known_from_then_on(self):
        desk = await a_desk()
        await misbehave(desk)
        letter = desk.stationery.stamped(LETTER, BOB)
        assert (await desk.present(letter, BOB))[0] == WAIT
        desk.luck = 0
        assert isinstance((await desk.present(letter, BOB))[0], Relay)
        desk.luck = 1
        other = desk.stationery.stamped(LETTER.replace(b"Tea", b"Gin"), BOB)
        assert isinstance((await desk.present(other, BOB))[0], Relay)
        assert await desk.balance() == (98, 0)

    @scenario
    async def test_bad_stamps_by_one_accounts_licence_are_held_against_that_account_alone(self):
        """Everybody who has had a letter of Ann's has her licence."""
        desk = await a_desk()
        ann, carl = desk.stationery, Stationery(account="c" * 16, sender_key=SigningKey.from_seed(b"\x05" * 32))
        await desk.office.ledger.open_account(carl.account, "c@sender.example", carl.sender_key.public, 9, now=1)
        await desk.office.ledger.credit(carl.account, 9, "test", now=1)
        answers = await misbehave(desk, lambda _: forged(ann) + LETTER, 8)
        assert answers == [Due(0, Reason.BAD_SIGNATURE)] * 5 + [WAIT] * 3
        assert (await desk.present(ann.stamped(LETTER, BOB), BOB))[0] == WAIT
        assert isinstance((await desk.present(ann.stamped(LETTER, BOB), BOB, source="203.0.113.9"))[0], Relay)
        assert isinstance((await desk.present(carl.stamped(LETTER, BOB), BOB))[0], Relay)
        desk.luck = 0
        assert isinstance((await desk.present(ann.stamped(LETTER.replace(b"Tea", b"Gin"), BOB), BOB))[0], Relay)

    @scenario
    async def test_a_forwarders_letters_are_held_against_nobody_and_cost_no_more_than_a_few(self, checks):
        desk = await a_desk(forwarders={"old.example": (ip_network("198.51.100.0/24"),)})
        many = [f"b{number}@example.org" for number in range(20)]
        paper = Stationery(office_key=SigningKey.from_seed(bytes([7]) * 32))
        stamps = b"".join(paper.stamp(LETTER, to).field() for to in many)
        assert isinstance((await desk.present(stamps + LETTER, *many))[0], Relay)
        assert len(checks) <= 5
        assert desk.bad_stamps.counted.total() == 0

    @scenario
    async def test_the_stamp_passed_over_may_have_paid_so_no_other_one_is_taken(self):
        desk = await a_desk()
        first, other = desk.stationery.stamp(LETTER, BOB).field(), desk.stationery.stamp(LETTER, BOB).field()
        await misbehave(desk, lambda _: forged(desk.stationery) + LETTER, 5)
        assert (await desk.present(first + other + LETTER, BOB))[0] == WAIT
        assert desk.office.calls == []
