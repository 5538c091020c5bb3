"""The office as a gate sees it: it believes what it has checked itself, and nothing else."""

import asyncio

import pytest
from tests.support.office_at_work import OfficeAtWork
from tests.support.replacing import replace
from tests.support.stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.office.checking import StampChecker
from pennyred.office.keys import add_key
from pennyred.office.ledger.callers import Receiver
from pennyred.office.redeeming import LEASE_SECONDS_MAX, LedgerRedeemer
from pennyred.postage.encoding import encode_base64
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.postage.taglist import format_tag_list

TX = b"t" * 16
BOB = "bob@example.org"
LETTER_HASH = b"l" * 32


@pytest.fixture
def work(tmp_path):
    """An office whose key is the stationery's, with an account of a hundred stamps."""
    work = OfficeAtWork(tmp_path)
    paper = Stationery()

    async def prepare() -> None:
        await work.office.ensure_local_receiver()
        await work.office.add_receiver("acme", ["example.org"])
        await work.ledger.open_account(paper.account, "ann@sender.example", paper.sender_key.public, 1000, now=NOW)
        await work.ledger.credit(paper.account, 100, "test", now=NOW)

    asyncio.run(prepare())
    return work


CHECKER = StampChecker(ISSUER, threads=1)


def redeemer(work: OfficeAtWork, receiver: str = "acme", *, is_verified: bool = False) -> LedgerRedeemer:
    office = work.office
    return LedgerRedeemer(
        office.ledger,
        receiver,
        office.keys.public_keys,
        clock=lambda: work.now,
        checker=CHECKER,
        is_gate_trusted=is_verified,
    )


def hold(stamp, domain="example.org", tx=TX) -> Hold:
    return Hold(tx=tx, group=TX, stamp=stamp, domain=domain, letter=LETTER_HASH)


def held(work: OfficeAtWork, stamp, domain="example.org", **options):
    return asyncio.run(redeemer(work, **options).hold([hold(stamp, domain)], lease_seconds=60))[0]


def settle(stamp) -> Settle:
    return Settle(stamp.issuer, *stamp.key, LETTER_HASH)


def test_a_stamp_is_held_and_settled(work):
    stamp = Stationery().stamp(LETTER, "bob@example.org")

    assert held(work, stamp).outcome is HoldOutcome.HELD
    assert asyncio.run(redeemer(work).settle([settle(stamp)])) == [SettleOutcome.SETTLED]
    assert asyncio.run(work.office.account(stamp.account)).balance == 99


def test_a_hold_is_given_back(work):
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    held(work, stamp)
    void = Void(stamp.issuer, *stamp.key, LETTER_HASH, TX)

    assert asyncio.run(redeemer(work).void([void])) == [VoidOutcome.VOIDED]
    assert asyncio.run(work.office.account(stamp.account)).available == 100


def test_a_licence_of_a_key_that_another_worker_has_read_already_holds(work):
    """An honest stamp must not be refused because not all have read their files anew."""
    rotated = Stationery(office_key=SigningKey.from_seed(b"\x03" * 32), selector="s2")
    add_key(work.folder / "office.key", b"\x03" * 32)

    asked = work.office.redeemer(Receiver("acme", ("example.org",)))
    [answer] = asyncio.run(asked.hold([hold(rotated.stamp(LETTER, BOB))], lease_seconds=60))

    assert answer.outcome is HoldOutcome.HELD
    assert work.office.keys.newest[0] == "s1", "who signs with it is another matter"


FORGER = Stationery(office_key=SigningKey.from_seed(b"\x07" * 32))
"""Somebody who plays the office with a key of his own."""


def forged(stamp: Stamp, tag: str, value: bytes) -> Stamp:
    """The stamp with one tag exchanged, as a gate could send it."""
    return parse_stamp(format_tag_list([(name, value if name == tag else was) for name, was in stamp.tags]))


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("b", encode_base64(bytes(64)), Reason.BAD_SIGNATURE),
        ("p", b"100", Reason.BAD_SIGNATURE),
        ("x", b"%d" % (NOW + 11 * DAY), Reason.BAD_SIGNATURE),
        ("d", encode_base64(bytes(96)), Reason.BAD_SIGNATURE),
        ("bh", encode_base64(bytes(32)), Reason.BAD_SIGNATURE),
        ("l", encode_base64(FORGER.licence().short_form), Reason.BAD_LICENCE),
        ("c", b"b" * 16, Reason.BAD_LICENCE),
        ("t", b"%d" % (NOW + DAY), Reason.NOT_YET_VALID),
        ("i", b"other.example", Reason.ISSUER_NOT_ACCEPTED),
        ("n", encode_base64(b"\xff" * 16), Reason.WRONG_RECEIVER),
        ("dh", encode_base64(bytes(32)), Reason.WRONG_RECEIVER),
    ],
)
def test_each_forgery_has_its_reason_and_holds_nothing(work, tag, value, reason):
    """A gate that lies, or has not looked, gains nothing by it."""
    answer = held(work, forged(Stationery().stamp(LETTER, "bob@example.org"), tag, value))

    assert reason.value in (answer.outcome.value, answer.reason)
    assert not answer.outcome.is_held
    assert asyncio.run(work.office.account(Stationery().account)).held == 0


def test_one_forgery_among_the_stamps_of_a_letter_holds_none_of_them(work):
    paper = Stationery()
    good, other = (paper.stamp(LETTER, "bob@example.org") for _ in range(2))
    asked = [hold(good), hold(forged(other, "b", encode_base64(bytes(64))))]

    answers = asyncio.run(redeemer(work).hold(asked, lease_seconds=60))

    assert [answer.outcome for answer in answers] == [HoldOutcome.GROUP_FAILED, HoldOutcome.INVALID]
    assert asyncio.run(work.office.account(paper.account)).held == 0


def test_only_the_gate_in_this_process_is_spared_the_second_look(work):
    stamp = forged(Stationery().stamp(LETTER, "bob@example.org"), "b", encode_base64(bytes(64)))

    assert held(work, stamp, receiver="local", is_verified=False).outcome is HoldOutcome.INVALID
    assert held(work, stamp, receiver="local", is_verified=True).outcome is HoldOutcome.HELD


def test_only_the_holds_of_the_gate_in_this_process_may_be_forgotten_in_a_crash(work, monkeypatch):
    """It settles with its stamps; of a gate elsewhere that is not known."""
    asked = []
    hold_in_ledger = work.office.ledger.hold

    def spy(*order, is_lasting=True, now):
        asked.append(is_lasting)
        return hold_in_ledger(*order, is_lasting=is_lasting, now=now)

    monkeypatch.setattr(work.office.ledger, "hold", spy)
    stamp = Stationery().stamp(LETTER, BOB)
    for gate in (work.office.local_redeemer(), work.office.redeemer(Receiver("acme", ("example.org",)))):
        asyncio.run(gate.hold([hold(stamp)], lease_seconds=60))

    assert asked == [False, True]


def test_a_remote_gate_redeems_stamps_for_its_domains_only(work):
    """Neither another's domain, nor a stamp for another's domain said to be for its own."""
    stamp = Stationery().stamp(LETTER, "bob@elsewhere.example")

    assert held(work, stamp, "elsewhere.example").outcome is HoldOutcome.WRONG_RECEIVER
    assert held(work, stamp, "example.org").outcome is not HoldOutcome.HELD
    assert held(work, stamp, "elsewhere.example", receiver="local").outcome is HoldOutcome.HELD


def test_an_expired_stamp_is_expired_by_the_offices_own_clock(work):
    stamp = Stationery().stamp(LETTER, "bob@example.org", lifetime_seconds=DAY)
    work.now = NOW + DAY

    for is_verified in (False, True):
        answer = held(work, stamp, receiver="local", is_verified=is_verified)
        assert "expired" in (answer.outcome.value, answer.reason)


def test_a_stamp_that_was_settled_is_known_even_after_it_has_expired(work):
    """So that a retry after a lost answer is not a refusal."""
    stamp = Stationery().stamp(LETTER, "bob@example.org", lifetime_seconds=DAY)
    held(work, stamp)
    asyncio.run(redeemer(work).settle([settle(stamp)]))
    work.now = NOW + DAY

    assert held(work, stamp).outcome is HoldOutcome.ALREADY_SETTLED


def test_no_gate_may_hold_a_stamp_for_ever(work):
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    asyncio.run(redeemer(work).hold([hold(stamp)], lease_seconds=10**9))
    work.now = NOW + LEASE_SECONDS_MAX

    again = asyncio.run(redeemer(work).hold([hold(stamp, tx=b"u" * 16)], lease_seconds=60))[0]

    assert again.outcome is HoldOutcome.RENEWED


def test_a_gate_that_says_what_it_serves_redeems_for_nothing_else(work):
    """Whatever its mail server accepts, and though the ledger lets this receiver redeem for any domain."""
    stamp, office = Stationery().stamp(LETTER, "bob@example.org"), work.office
    for domains, outcome in ((["example.net"], HoldOutcome.WRONG_RECEIVER), (["example.org"], HoldOutcome.HELD)):
        own = LedgerRedeemer(
            office.ledger, "acme", office.keys.public_keys, clock=lambda: NOW, checker=CHECKER, domains=domains
        )
        [answer] = asyncio.run(own.hold([hold(stamp)], lease_seconds=60))
        assert answer.outcome is outcome


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_stamp_that_the_gate_finds_a_flaw_in_is_never_held(work, is_verified):
    """In one process nobody else looks at it: a stamp signed by another key was held once."""
    for stamp in (
        Stationery().stamp(LETTER, BOB),
        Stationery(sender_key=SigningKey.from_seed(b"\x07" * 32)).stamp(LETTER, BOB),
    ):
        way = redeemer(work, is_verified=is_verified)
        asked = replace(hold(stamp), flaw=Reason.BAD_LICENCE)
        [answer] = asyncio.run(way.hold([asked], lease_seconds=60))
        assert (answer.outcome, answer.reason) == (HoldOutcome.INVALID, "bad-licence")


def carrying(stamp, domain="example.org") -> Settle:
    """A settlement that carries its stamp."""
    return hold(stamp, domain).settle()


def settled(work: OfficeAtWork, one: Settle, **options) -> str:
    [outcome] = asyncio.run(redeemer(work, **options).settle([one]))
    return outcome.value


@pytest.mark.parametrize("is_verified", [True, False])
class TestSettlementsThatCarryTheirStamps:
    def test_what_no_ledger_remembers_is_paid_all_the_same_and_once(self, work, is_verified):
        stamp = Stationery().stamp(LETTER, BOB)

        assert settled(work, settle(stamp), is_verified=is_verified) == "no-such-hold"
        assert settled(work, carrying(stamp), is_verified=is_verified) == "settled"
        assert settled(work, carrying(stamp), is_verified=is_verified) == "already-settled"
        assert asyncio.run(work.office.account(stamp.account)).balance == 99

    @pytest.mark.parametrize(
        ("tag", "value"),
        [("b", encode_base64(bytes(64))), ("p", b"100"), ("l", encode_base64(FORGER.licence().short_form))],
        ids=["signature", "price", "licence"],
    )
    def test_both_signatures_are_verified_whoever_asks(self, work, is_verified, tag, value):
        """It may have waited in an outbox, or come from anywhere: nobody has just looked at it."""
        stamp = forged(Stationery().stamp(LETTER, BOB), tag, value)

        assert settled(work, carrying(stamp), is_verified=is_verified) == "invalid"
        assert asyncio.run(work.office.account(stamp.account)).balance == 100

    def test_no_other_key_takes_the_accounts_money(self, work, is_verified):
        thief = Stationery(sender_key=SigningKey.from_seed(b"\x07" * 32), account=Stationery().account)

        assert settled(work, carrying(thief.stamp(LETTER, BOB)), is_verified=is_verified) == "revoked"
        assert asyncio.run(work.office.account(thief.account)).balance == 100

    def test_the_domain_is_the_one_that_the_stamp_is_made_out_to(self, work, is_verified):
        stamp = Stationery().stamp(LETTER, BOB)

        assert settled(work, carrying(stamp, "example.net"), is_verified=is_verified) == "wrong-receiver"

    def test_a_stamp_may_be_over_for_a_day(self, work, is_verified):
        day, two_days = (Stationery(serials=iter([n])).stamp(LETTER, BOB, lifetime_seconds=DAY) for n in (1, 2))

        work.now = NOW + 2 * DAY - 1
        assert settled(work, carrying(day), is_verified=is_verified) == "settled"
        work.now = NOW + 2 * DAY
        assert settled(work, carrying(two_days), is_verified=is_verified) == "expired"


def test_the_stamp_of_a_settlement_is_looked_at_only_where_nothing_is_held(work, monkeypatch):
    """So that a gate which sends all its stamps twice costs the office no signature more."""
    held_one, unheld = (Stationery(serials=iter([n])).stamp(LETTER, BOB) for n in (1, 2))
    held(work, held_one)
    looked_at = []
    look = CHECKER.flaws

    async def spy(holds, keys, *, now):
        looked_at.extend(one.stamp for one in holds)
        return await look(holds, keys, now=now)

    monkeypatch.setattr(CHECKER, "flaws", spy)
    asyncio.run(redeemer(work).settle([carrying(held_one), carrying(unheld), settle(held_one)]))

    assert looked_at == [unheld]


def test_a_gate_settles_no_stamps_of_domains_that_it_does_not_serve(work):
    way = work.office.local_redeemer(["example.net"])

    assert asyncio.run(way.settle([carrying(Stationery().stamp(LETTER, BOB))])) == [SettleOutcome.WRONG_RECEIVER]


def test_a_stamp_with_a_flaw_pays_by_its_hold_alone():
    stamp = Stationery().stamp(LETTER, BOB)

    assert (carrying(stamp).stamp, carrying(stamp).domain) == (stamp, "example.org")
    assert replace(hold(stamp), flaw=Reason.UNDERPAID).settle().stamp is None


def test_where_a_hold_is_looked_for_the_settlement_goes_without_its_stamp():
    stamp = Stationery().stamp(LETTER, BOB)

    assert carrying(stamp).without_stamp() == settle(stamp)
    assert settle(stamp).without_stamp() == settle(stamp)


def test_a_gate_that_serves_a_domain_no_more_still_knows_what_was_paid_there(work):
    async def story():
        for domains, expected in (((), HoldOutcome.HELD), (("example.net",), HoldOutcome.ALREADY_SETTLED)):
            way = work.office.local_redeemer(domains)
            [answer] = await way.hold([hold(paid)], lease_seconds=60)
            assert answer.outcome is expected
            await way.settle([settle(paid)])
        [answer] = await way.hold([hold(Stationery(serials=iter([99])).stamp(LETTER, BOB))], lease_seconds=60)
        assert answer.outcome is HoldOutcome.WRONG_RECEIVER

    paid = Stationery().stamp(LETTER, BOB)
    asyncio.run(story())
