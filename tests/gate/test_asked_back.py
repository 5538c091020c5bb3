"""An honest retry of a letter that was paid for is told so, whatever the settings and keys say by then.

The stamp is asked about with what is wrong with it now: it can turn out to have paid, and can never be held anew.
"""

import asyncio
import functools

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.replacing import replace
from tests.support.stationery import DAY, ISSUER, LETTER

from pennyred.gate.letterbox import Due, Duplicate, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.recipients import Aliases, RecipientRule, RecipientRules
from pennyred.postage.encoding import encode_base64
from pennyred.postage.letter import STAMP_FIELD
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldAnswer, HoldOutcome
from pennyred.postage.taglist import fold_field

BOB, EVE, INFO = "bob@example.org", "eve@example.org", "info@example.net"
FOOTER = b"-- \r\nchecked by a gateway\r\n"


def scenario(test):
    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


async def a_desk(stamps: int = 10, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(**policy)
    await desk.office.open(stamps)
    return desk


def reread(desk: DeskUnderTest, **changes) -> None:
    desk.desk.policy = replace(desk.desk.policy, **changes)


def reasons(desk: DeskUnderTest) -> list[str]:
    return [one["reason"] for one in desk.log.lines[-1]["recipients"]]


ALIASES = Aliases([(INFO, BOB)])
CHANGES = {
    "the price went up": (Reason.UNDERPAID, {"price": 2}, BOB, b""),
    "Bob's own price went up": (
        Reason.UNDERPAID, {"recipients": RecipientRules({BOB: RecipientRule(price=5)})}, BOB, b"",
    ),
    "altered bodies count no more": (Reason.ALTERED_BODY, {"is_strict": True}, BOB, FOOTER),
    "the office's old key is gone": (Reason.BAD_LICENCE, {"issuers": {ISSUER: {}}}, BOB, b""),
    "the office has another key": (Reason.BAD_LICENCE, {"issuers": {ISSUER: {"s2": bytes(32)}}}, BOB, b""),
    "its stamps count no more": (Reason.ISSUER_NOT_ACCEPTED, {"issuers": {}, "retired": frozenset({ISSUER})}, BOB, b""),
    "the alias is gone": (Reason.WRONG_RECIPIENT, {"aliases": Aliases()}, INFO, b""),
    "the alias is gone, and the price went up": (Reason.UNDERPAID, {"aliases": Aliases(), "price": 2}, INFO, b""),
    "all of it": (
        Reason.ISSUER_NOT_ACCEPTED,
        {"issuers": {}, "retired": frozenset({ISSUER}), "price": 3, "is_strict": True, "aliases": Aliases()},
        INFO,
        FOOTER,
    ),
}  # fmt: skip
changed = pytest.mark.parametrize(("flaw", "changes", "made_out_to", "more"), CHANGES.values(), ids=CHANGES)


PROVEN = Authentication(author_domain="sender.example", is_author_signed=True)
"""The footers of these letters are their author's own."""


class TestWhateverChanged:
    @changed
    @scenario
    async def test_the_retry_of_a_paid_letter_is_a_duplicate(self, flaw, changes, made_out_to, more):
        desk = await a_desk(aliases=ALIASES)
        desk.witness.found = PROVEN
        letter = desk.stationery.stamped(LETTER, made_out_to) + more
        assert isinstance((await desk.present(letter, BOB))[0], Relay)
        reread(desk, **changes)
        assert (await desk.present(letter, BOB))[0] == Duplicate()
        assert desk.office.asked[-1].flaw is flaw
        assert await desk.balance() == (9, 0)

    @changed
    @scenario
    async def test_one_in_doubt_is_renewed_delivered_and_paid_once(self, flaw, changes, made_out_to, more):
        desk = await a_desk(aliases=ALIASES)
        desk.witness.found = PROVEN
        letter = desk.stationery.stamped(LETTER, made_out_to) + more
        desk.names.pairs = [(BOB, INFO)]
        await desk.present(letter, BOB, server=MailServer((), [Fate.IN_DOUBT]))
        reread(desk, **changes)
        assert (await desk.present(letter, BOB))[0] == Later(Reason.IN_PROGRESS)
        desk.office.now += desk.desk.policy.lease_seconds
        assert isinstance((await desk.present(letter, BOB))[0], Relay)
        assert await desk.balance() == (9, 0)
        assert (await desk.present(letter, BOB))[0] == Duplicate()

    @changed
    @scenario
    async def test_one_that_nobody_has_paid_for_is_refused_and_nothing_is_held(self, flaw, changes, made_out_to, more):
        desk = await a_desk(**{"aliases": ALIASES, **changes})
        desk.witness.found = PROVEN
        desk.names.pairs = [(BOB, INFO)]
        answer, server = await desk.present(desk.stationery.stamped(LETTER, made_out_to) + more, BOB)
        assert (answer.reason, server.sent) == (flaw, [])
        assert (desk.office.calls, await desk.balance()) == (["hold"], (10, 0))

    @changed
    @scenario
    async def test_so_is_another_letter_with_a_stamp_that_was_spent(self, flaw, changes, made_out_to, more):
        desk = await a_desk(aliases=ALIASES)
        desk.witness.found = PROVEN
        stamp = desk.stationery.stamp(LETTER, made_out_to)
        await desk.present(stamp.field() + LETTER + more, BOB)
        reread(desk, **changes)
        answer, server = await desk.present(stamp.field() + LETTER.replace(b"<1@", b"<2@") + more, BOB)
        assert (answer.reason, server.sent) == (flaw, [])
        assert await desk.balance() == (9, 0)

    @changed
    @scenario
    async def test_where_the_office_is_silent_it_is_later_and_never_no(self, flaw, changes, made_out_to, more):
        desk = await a_desk(aliases=ALIASES)
        desk.witness.found = PROVEN
        letter = desk.stationery.stamped(LETTER, made_out_to) + more
        await desk.present(letter, BOB)
        reread(desk, **changes)
        desk.office.down = {"hold"}
        assert (await desk.present(letter, BOB))[0] == Later(Reason.LEDGER_UNAVAILABLE)


class TestUnderAnotherSubject:
    """Which pays only where its author is proven; so the DNS is asked for what may have paid, too."""

    @pytest.mark.parametrize(
        "changes",
        [{"price": 2}, {"is_strict": True}, {"issuers": {ISSUER: {}}}, {"issuers": {}, "retired": frozenset({ISSUER})}],
        ids=["the price went up", "it counts no more", "the key is gone", "the office counts no more"],
    )
    @scenario
    async def test_the_retry_of_a_paid_letter_is_a_duplicate(self, changes):
        desk = await a_desk()
        desk.witness.found = PROVEN
        letter = desk.stationery.stamped(LETTER, BOB).replace(b"Tea", b"Tea, at last")
        assert isinstance((await desk.present(letter, BOB))[0], Relay)
        reread(desk, **changes)
        assert (await desk.present(letter, BOB))[0] == Duplicate()
        assert await desk.balance() == (9, 0)


class TestWhatIsNeverAskedAbout:
    """A stamp that was not made for this letter and recipient, or by nobody known, has paid for nothing."""

    @pytest.mark.parametrize(
        "make",
        [
            lambda desk: _spoilt(desk) + LETTER,
            lambda desk: desk.stationery.stamped(LETTER, BOB).replace(b"Tea", b"Pills"),
            lambda desk: desk.stationery.stamped(LETTER, EVE),
            lambda _: b"X-Postage-Stamp: nonsense\r\n" + LETTER,
        ],
        ids=["signature", "header", "recipient", "no stamp"],
    )
    @pytest.mark.parametrize("changes", [{}, {"price": 2}, {"issuers": {ISSUER: {}}}, {"is_strict": True}])
    @scenario
    async def test_no_office_hears_of_it(self, make, changes):
        desk = await a_desk(**changes)
        assert isinstance((await desk.present(make(desk), BOB))[0], Due)
        assert desk.office.calls == []

    @scenario
    async def test_nor_of_a_licence_that_a_known_key_did_not_sign(self):
        desk = await a_desk(issuers={ISSUER: {"s1": bytes(32)}})
        assert (await desk.present(desk.stationery.stamped(LETTER, BOB), BOB))[0] == Due(0, Reason.BAD_LICENCE)
        assert desk.office.calls == []

    @scenario
    async def test_nor_is_an_office_asked_that_there_is_no_way_to(self):
        desk = await a_desk(issuers={})
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert (answer, desk.office.calls) == (Due(0, Reason.ISSUER_NOT_ACCEPTED), [])

    @scenario
    async def test_a_letter_that_is_due_for_another_recipient_is_refused_before_anything_is_held(self):
        desk = await a_desk(recipients=RecipientRules({EVE: RecipientRule(price=2)}))
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB, EVE), BOB, EVE)
        assert answer == Due(1, Reason.UNDERPAID, 2)
        assert [one.flaw for one in desk.office.asked] == [Reason.UNDERPAID]


def _spoilt(desk: DeskUnderTest) -> bytes:
    stamp = desk.stationery.stamp(LETTER, BOB)
    spoilt = {"b": encode_base64(bytes(64))}
    return fold_field(STAMP_FIELD, [(name, spoilt.get(name, value)) for name, value in stamp.tags])


class TestSeveralStampsAndRecipients:
    @scenario
    async def test_the_stamp_that_paid_goes_before_one_that_could_pay(self):
        """Else the retry would be delivered again, and charged again."""
        desk = await a_desk()
        cheap, dear = desk.stationery.stamp(LETTER, BOB), desk.stationery.stamp(LETTER, BOB, price=5)
        letter = cheap.field() + dear.field() + LETTER
        await desk.present(letter, BOB)
        assert await desk.balance() == (9, 0)
        reread(desk, price=3)
        assert (await desk.present(letter, BOB))[0] == Duplicate()
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_where_it_has_paid_nothing_the_other_one_pays(self):
        desk = await a_desk(price=3)
        cheap, dear = desk.stationery.stamp(LETTER, BOB), desk.stationery.stamp(LETTER, BOB, price=5)
        assert isinstance((await desk.present(cheap.field() + dear.field() + LETTER, BOB))[0], Relay)
        assert (await desk.balance(), reasons(desk)) == ((5, 0), ["stamped"])

    @scenario
    async def test_who_has_had_it_is_left_out_and_the_other_pays_todays_price(self):
        desk = await a_desk()
        paid = desk.stationery.stamp(LETTER, BOB)
        enough = desk.stationery.stamp(LETTER, EVE, price=2)
        letter = paid.field() + enough.field() + LETTER
        server = MailServer((), [Fate.ACCEPTED, Fate.REFUSED_TEMPORARY])
        await desk.present(letter, BOB, EVE, server=server)
        reread(desk, price=2)
        answer, server = await desk.present(letter, BOB, EVE)
        assert isinstance(answer, Relay)
        assert [sent[0] for sent in server.sent] == [(1,)]
        assert await desk.balance() == (7, 0)

    @scenario
    async def test_one_renewed_beside_one_held_anew_are_both_settled(self):
        desk = await a_desk()
        paid = desk.stationery.stamp(LETTER, BOB)
        letter = paid.field() + LETTER
        await desk.present(letter, BOB, server=MailServer((), [Fate.IN_DOUBT]))
        desk.office.now += desk.desk.policy.lease_seconds
        reread(desk, price=2)
        enough = desk.stationery.stamp(LETTER, EVE, price=2)
        answer, _ = await desk.present(enough.field() + letter, BOB, EVE)
        assert isinstance(answer, Relay)
        assert (await desk.balance(), reasons(desk)) == ((7, 0), ["stamped", "stamped"])

    @scenario
    async def test_the_same_mailbox_twice_needs_two_that_paid(self):
        desk = await a_desk(aliases=ALIASES)
        letter = desk.stationery.stamped(LETTER, INFO)
        await desk.present(letter, BOB)
        reread(desk, aliases=Aliases())
        assert (await desk.present(letter, BOB, BOB))[0] == Due(1, Reason.WRONG_RECIPIENT)


class TestModes:
    @scenario
    async def test_in_bulk_it_is_asked_about_before_the_allowance_and_else_it_is_no_stamp(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=1))
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB)
        reread(desk, price=2)
        assert (await desk.present(letter, BOB))[0] == Duplicate()
        await desk.present(desk.stationery.stamped(LETTER.replace(b"Tea", b"Gin"), BOB), BOB)
        assert reasons(desk) == ["allowance"]

    @scenario
    async def test_in_monitor_nobody_is_asked(self):
        desk = await a_desk(mode=Mode.MONITOR, price=2, allowances=Allowances(per_day=0))
        await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert (reasons(desk), desk.office.calls) == (["underpaid"], [])
        assert [fact.by_bulk for fact in desk.facts] == [True]

    @scenario
    async def test_a_letter_that_is_free_by_now_is_delivered_as_free(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        reread(desk, price=2, exemptions=Exemptions(recipients=frozenset({BOB})))
        await desk.present(letter, BOB)
        assert (reasons(desk), desk.office.calls) == (["recipient"], [])


class TestWhatIsHeldStill:
    @scenario
    async def test_a_stamp_that_would_not_be_taken_any_more_pays_by_its_hold_alone(self):
        """Else whoever forgets the hold would be asked to take what this gate does not take."""
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB, server=MailServer((), [Fate.IN_DOUBT]))
        reread(desk, price=2)
        desk.office.now += desk.desk.policy.lease_seconds + 1
        asked, settle = [], desk.office.settle

        async def listening(settles):
            asked.extend(settles)
            return await settle(settles)

        desk.office.settle = listening
        answer, _ = await desk.present(letter, BOB)
        assert isinstance(answer, Relay)
        assert [(one.stamp, one.domain) for one in asked] == [(None, "")]
        assert await desk.balance() == (9, 0)


class TestOddOffices:
    @scenario
    async def test_one_that_holds_what_it_was_asked_about_with_a_flaw_is_given_it_back(self):
        desk = await a_desk(price=2)

        async def generous(holds, *, lease_seconds):
            return [HoldAnswer(HoldOutcome.HELD)] * len(holds)

        given_back = []

        async def void(voids):
            given_back.extend(voids)
            return []

        desk.office.hold, desk.office.void = generous, void
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert (answer, server.sent) == (Due(0, Reason.UNDERPAID, 2), [])
        assert len(given_back) == 1

    @pytest.mark.parametrize("outcome", [one for one in HoldOutcome if not one.is_held])
    @scenario
    async def test_whatever_it_says_the_sender_is_told_what_is_wrong_here(self, outcome):
        desk = await a_desk(price=2)

        async def hold(holds, *, lease_seconds):
            return [HoldAnswer(outcome, reason="postmaster")] * len(holds)

        desk.office.hold = hold
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        expected = {
            HoldOutcome.ALREADY_SETTLED: Duplicate(),
            HoldOutcome.IN_PROGRESS: Later(Reason.IN_PROGRESS),
        }
        assert answer == expected.get(outcome, Due(0, Reason.UNDERPAID, 2))
        assert server.sent == []


class TestFormerNames:
    @scenario
    async def test_a_name_is_noted_once_a_day_and_only_where_a_stamp_was_made_out_to_it(self):
        desk = await a_desk(aliases=ALIASES)
        await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert desk.names.pairs == []
        for text in (b"Gin", b"Rum"):
            await desk.present(desk.stationery.stamped(LETTER.replace(b"Tea", text), INFO), BOB)
        assert desk.names.pairs == [(BOB, INFO)]
        desk.office.now += DAY
        await desk.present(desk.stationery.stamped(LETTER, INFO, now=desk.office.now), BOB)
        assert desk.names.pairs == [(BOB, INFO)] * 2

    @scenario
    async def test_a_state_that_does_not_answer_means_later_for_who_has_only_stamps_for_nobody_known(self):
        desk = await a_desk()
        desk.names.is_down = True
        assert (await desk.present(desk.stationery.stamped(LETTER, INFO), BOB))[0] == Later(Reason.STATE_UNAVAILABLE)
        assert (await desk.present(LETTER, BOB))[0] == Due(0, Reason.NO_STAMP)

    @scenario
    async def test_where_it_cannot_be_noted_the_letter_is_delivered_and_noted_next_time(self):
        desk = await a_desk(aliases=ALIASES)
        desk.names.is_down = True
        assert isinstance((await desk.present(desk.stationery.stamped(LETTER, INFO), BOB))[0], Relay)
        desk.names.is_down = False
        await desk.present(desk.stationery.stamped(LETTER.replace(b"Tea", b"Gin"), INFO), BOB)
        assert desk.names.pairs == [(BOB, INFO)]
