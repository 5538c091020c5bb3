"""`on_office_down = "accept"`: what a silent office costs the sender nothing, and the receiver little."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.replacing import replace
from tests.support.smtp_gate import eventually
from tests.support.stationery import DAY, ISSUER, LETTER, NOW

from pennyred.config import GateSettings
from pennyred.gate.issuers.trusting import NOTE_SECONDS, POSTPONE_SECONDS, TrustingRedeemer, TrustLimits
from pennyred.gate.letterbox import Due, Duplicate, Fate, Later, Relay
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.memory.store import GateState
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldAnswer, HoldOutcome

BOB = "bob@example.org"


class TrustingDesk(DeskUnderTest):
    """A gate whose office may be down, with a state of its own."""

    def trust(self, state, **limits):
        self.trusting = TrustingRedeemer(
            ISSUER,
            self.office,
            state.accepted,
            LetterLog(self.log),
            limits=TrustLimits(**{"per_account": 20, "total": 1000, **limits}),
            clock=lambda: self.office.now,
        )
        self.desk._redeemer = self.trusting

    async def send(self, letter=None, to=BOB, **options):
        answer, server = await self.present(letter or self.letter(), to, **options)
        return answer, len(server.sent)

    def letter(self, text=b"Tea") -> bytes:
        return self.stationery.stamped(LETTER.replace(b"Tea", text), BOB)

    def events(self) -> list[str]:
        return [line["event"] for line in self.log.lines if line["event"] != "letter"]

    async def audited(self) -> tuple[bool, int, int]:
        audit = await self.office.ledger.audit()
        return audit.balanced, audit.settled, audit.held


def altered(letter: bytes, message_id: bytes = b"<2@") -> bytes:
    """Another letter with the same text, for which the stamp counts as well."""
    return letter.replace(b"<1@", message_id)


@asynccontextmanager
async def outage(desk):
    desk.office.down = {"hold", "settle", "void"}
    yield
    desk.office.down = set()


@pytest.fixture
def tell(tmp_path):
    """A story of a desk that has delivered one letter of Ann's, whose account has so many stamps."""

    def run(story, stamps=100, is_known=True, **limits):
        async def whole():
            state = GateState.open(tmp_path / "gate.db", now=NOW)
            try:
                desk = TrustingDesk()
                await desk.office.open(stamps)
                desk.trust(state, **limits)
                if is_known:
                    assert (await desk.send())[1] == 1
                await story(desk)
            finally:
                await state.close()

        asyncio.run(whole())

    return run


def test_the_letter_of_a_known_sender_is_delivered_and_paid_when_the_office_answers(tell):
    async def story(desk):
        async with outage(desk):
            answer, sent = await desk.send()
            assert isinstance(answer, Relay)
            assert sent == 1
            with pytest.raises(Unavailable):
                await desk.trusting.redeem()
        assert await desk.audited() == (True, 1, 0)
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 2, 0)
        assert desk.events() == ["trust.accepted", "trust.redeemed"]
        assert desk.outbox.entries == {}
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 2, 0)

    tell(story)


def test_a_stranger_waits(tell):
    async def story(desk):
        async with outage(desk):
            answer, sent = await desk.send()
            assert (answer, sent) == (Later(Reason.LEDGER_UNAVAILABLE), 0)
        assert desk.events() == []

    tell(story, is_known=False)


def test_what_a_sender_can_bring_about_himself_is_no_silence(tell):
    """An office that refuses his question, or a queue that he has filled: else he would choose to be trusted."""

    async def story(desk):
        async def refuse(*_, **__):
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "no such question", is_silence=False)

        desk.office.hold = refuse
        answer, sent = await desk.send()
        assert (answer, sent) == (Later(Reason.OFFICE_UNREACHABLE), 0)
        assert desk.events() == []

    tell(story)


def test_beyond_the_limit_of_an_account_its_letters_wait(tell):
    async def story(desk):
        async with outage(desk):
            answers = [(await desk.send())[1] for _ in range(5)]
            assert answers == [1, 1, 1, 0, 0]
        await desk.trusting.redeem()
        async with outage(desk):
            assert (await desk.send())[1] == 1

    tell(story, per_account=3)


def test_twenty_stamps_an_account_and_a_thousand_in_all():
    usual = GateSettings()
    assert (usual.accept_per_account, usual.accept_total) == (20, 1000)


def test_the_same_letter_again_is_a_duplicate_and_another_by_its_stamp_is_refused(tell):
    """Also once the office answers, and has not yet been paid."""

    async def story(desk):
        letter = desk.letter()
        stamp, _, _ = letter.partition(b"From:")
        thief = stamp + LETTER.replace(b"From:", b"Received: x\r\nFrom:").replace(b"<1@", b"<2@")
        async with outage(desk):
            assert (await desk.send(letter))[1] == 1
            assert (await desk.send(letter)) == (Duplicate(), 0)
            answer, sent = await desk.send(thief)
            assert isinstance(answer, Due)
            assert (answer.reason, sent) == (Reason.RESENT, 0)
        assert (await desk.send(letter)) == (Duplicate(), 0)
        answer, sent = await desk.send(thief)
        assert (answer.reason, sent) == (Reason.RESENT, 0)
        assert await desk.audited() == (True, 2, 0)

    tell(story)


def test_in_the_next_outage_a_stamp_that_was_redeemed_is_still_spent(tell):
    async def story(desk):
        letter = desk.letter()
        async with outage(desk):
            await desk.send(letter)
        await desk.trusting.redeem()
        async with outage(desk):
            assert (await desk.send(letter)) == (Duplicate(), 0)

    tell(story)


def test_what_the_mail_server_refuses_is_not_owed(tell):
    async def story(desk):
        letter = desk.letter()
        async with outage(desk):
            answer, _ = await desk.send(letter, server=MailServer((), [Fate.REFUSED_TEMPORARY]))
            assert isinstance(answer, Relay)
            assert (await desk.send(letter))[1] == 1
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 2, 0)

    tell(story)


def test_a_letter_in_doubt_is_in_progress_until_its_lease_is_over(tell):
    async def story(desk):
        letter = desk.letter()
        async with outage(desk):
            await desk.send(letter, server=MailServer((), [Fate.IN_DOUBT]))
            assert (await desk.send(letter)) == (Later(Reason.IN_PROGRESS), 0)
        assert (await desk.send(letter)) == (Later(Reason.IN_PROGRESS), 0)
        desk.office.now += desk.desk.policy.lease_seconds
        assert (await desk.send(letter))[1] == 1

    tell(story)


def test_a_hold_whose_answer_was_lost_is_charged_once(tell):
    """The office has it under the tx that the gate accepted it under."""

    async def story(desk):
        hold = desk.office.hold

        async def lost(holds, *, lease_seconds):
            await hold(holds, lease_seconds=lease_seconds)
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "cut")

        desk.office.hold = lost
        assert (await desk.send())[1] == 1
        desk.office.hold = hold
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 2, 0)

    tell(story)


def test_what_the_office_will_not_pay_is_written_down_and_its_account_not_trusted_again(tell):
    async def story(desk):
        async with outage(desk):
            await desk.send()
            await desk.send()
        await desk.trusting.redeem()
        [line] = [line for line in desk.log.lines if line["event"] == "stamp.not_redeemed"]
        assert (line["account"], line["why"]) == (desk.stationery.account, "insufficient-balance")
        async with outage(desk):
            answer, sent = await desk.send()
            assert (answer, sent) == (Later(Reason.LEDGER_UNAVAILABLE), 0)
        assert await desk.audited() == (True, 2, 0)

    tell(story, stamps=2)


def test_a_sender_is_not_blamed_for_an_office_that_was_silent_too_long(tell):
    async def story(desk):
        async with outage(desk):
            await desk.send()
        desk.office.now += 11 * DAY
        await desk.trusting.redeem()
        [line] = [line for line in desk.log.lines if line["event"] == "stamp.not_redeemed"]
        assert line["why"] == "expired"
        async with outage(desk):
            letter = desk.stationery.stamped(LETTER, BOB, now=desk.office.now)
            assert (await desk.send(letter))[1] == 1

    tell(story)


def test_what_time_cures_is_presented_again_later(tell):
    async def story(desk):
        hold = desk.office.hold
        async with outage(desk):
            await desk.send()

        async def over_cap(holds, *, lease_seconds):
            return [HoldAnswer(HoldOutcome.OVER_CAP)] * len(holds)

        desk.office.hold = over_cap
        await desk.trusting.redeem()
        desk.office.hold = hold
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 1, 0)
        desk.office.now += POSTPONE_SECONDS
        await desk.trusting.redeem()
        assert await desk.audited() == (True, 2, 0)

    tell(story)


def test_it_goes_on_presenting_by_itself(tell):
    async def story(desk):
        async with outage(desk):
            await desk.send()
            running = asyncio.create_task(desk.trusting.run(0.001))
            await eventually(lambda: desk.office.calls.count("hold") > 5)
        await eventually(lambda: "trust.redeemed" in desk.events())
        await eventually(lambda: not desk.trusting._is_owing)
        running.cancel()
        assert await desk.audited() == (True, 2, 0)
        calls = len(desk.office.calls)
        assert (await desk.send())[1] == 1
        assert desk.office.calls[calls:] == ["hold", "settle"]

    tell(story)


def test_two_gates_that_redeem_at_once_charge_once(tell):
    async def story(desk):
        async with outage(desk):
            for _ in range(5):
                await desk.send()
        await asyncio.gather(*(desk.trusting.redeem() for _ in range(3)))
        assert await desk.audited() == (True, 6, 0)

    tell(story)


def test_an_account_is_noted_once_a_day(tell):
    async def story(desk):
        noted = []
        book = desk.trusting._book
        note = book.note_settled

        async def noting(accounts, *, now):
            noted.append(now)
            await note(accounts, now=now)

        book.note_settled = noting
        await desk.send()
        assert noted == []
        desk.office.now += NOTE_SECONDS
        await desk.send()
        await desk.send()
        assert noted == [desk.office.now]

    tell(story)


def test_where_the_state_is_silent_too_it_is_later(tell):
    async def story(desk):
        async def down(*_, **__):
            raise Unavailable(Reason.INTERNAL, "the disk is full")

        desk.trusting._book.take = down
        async with outage(desk):
            answer, sent = await desk.send()
            assert (answer, sent) == (Later(Reason.INTERNAL), 0)

    tell(story)


def test_an_expired_stamp_is_not_accepted(tell):
    """Whether it was still good is for the office to say."""

    async def story(desk):
        letter = desk.stationery.stamped(LETTER, BOB, lifetime_seconds=60)
        desk.office.now += 60
        async with outage(desk):
            answer, sent = await desk.send(letter)
            assert sent == 0
            assert not isinstance(answer, Relay)

    tell(story)


class TestWhatWasSpentHereBefore:
    """The office knows it, and is silent: so the gate must."""

    def test_the_same_letter_again_has_had_its_stamp(self, tell):
        async def story(desk):
            letter = desk.letter()
            assert (await desk.send(letter))[1] == 1
            async with outage(desk):
                assert await desk.send(letter) == (Duplicate(), 0)
            assert await desk.audited() == (True, 2, 0)
            assert "trust.accepted" not in desk.events()

        tell(story)

    def test_a_copy_that_is_another_letter_is_not_accepted_on_trust(self, tell):
        async def story(desk):
            letter = desk.letter()
            await desk.send(letter)
            async with outage(desk):
                answer, sent = await desk.send(altered(letter))
                assert (answer, sent) == (Due(0, Reason.RESENT, delivered_at=NOW), 0)
            await desk.trusting.redeem()
            async with outage(desk):
                assert (await desk.send())[1] == 1, "the honest account is trusted as before"

        tell(story)

    def test_nor_is_what_the_office_has_called_spent(self, tell):
        async def story(desk):
            letter = desk.letter()
            await desk.send(letter)
            desk.trusting._spent.clear()  # as if another gate had delivered it
            assert (await desk.send(altered(letter)))[0] == Due(0, Reason.RESENT, delivered_at=NOW)
            async with outage(desk):
                assert (await desk.send(altered(letter, b"<3@")))[0] == Due(0, Reason.RESENT, delivered_at=NOW)
                assert await desk.send(letter) == (Duplicate(), 0), "its first use was told with it"

        tell(story)

    def test_a_stamp_the_office_has_called_spent_without_saying_what_for_is_for_no_letter(self, tell):
        async def story(desk):
            hold, letter = desk.office.hold, desk.letter()

            async def spent(holds, *, lease_seconds):
                return [HoldAnswer(HoldOutcome.SPENT)] * len(holds)

            desk.office.hold = spent
            await desk.send(letter)
            desk.office.hold = hold
            async with outage(desk):
                assert await desk.send(letter) == (Due(0, Reason.SPENT), 0)

        tell(story)

    def test_also_where_the_settlement_still_waits_in_the_outbox(self, tell):
        async def story(desk):
            letter = desk.letter()
            desk.office.down = {"settle"}
            assert (await desk.send(letter))[1] == 1
            async with outage(desk):
                assert await desk.send(letter) == (Duplicate(), 0)
                assert (await desk.send(altered(letter)))[0] == Due(0, Reason.RESENT, delivered_at=NOW)

        tell(story)

    def test_also_after_a_restart(self, tell):
        async def story(desk):
            letter = desk.letter()
            await desk.send(letter)
            await desk.trusting.flush()
            desk.trusting._spent = None
            anew = TrustingRedeemer(
                ISSUER,
                desk.office,
                desk.trusting._book,
                LetterLog(desk.log),
                limits=TrustLimits(per_account=20, total=1000),
                clock=lambda: desk.office.now,
            )
            desk.desk._redeemer = desk.trusting = anew
            async with outage(desk):
                assert await desk.send(letter) == (Duplicate(), 0)

        tell(story)

    def test_what_the_state_could_not_be_told_is_told_later(self, tell):
        async def story(desk):
            book = desk.trusting._book
            note = book.note_spent

            async def down(_):
                raise Unavailable(Reason.INTERNAL, "the disk is full")

            letter = desk.letter()
            book.note_spent = down
            await desk.send(letter)
            with pytest.raises(Unavailable):
                await desk.trusting.flush()
            async with outage(desk):
                assert await desk.send(letter) == (Later(Reason.INTERNAL), 0)
                book.note_spent = note
                assert await desk.send(letter) == (Duplicate(), 0)

        tell(story)


class TestWhomToTrust:
    def test_an_altered_letter_is_not_accepted_on_trust(self, tell):
        """Nobody can tell which copy of it came first: its office knows, and is silent."""

        async def story(desk):
            async with outage(desk):
                answer, sent = await desk.send(altered(desk.letter()))
                assert (answer, sent) == (Later(Reason.LEDGER_UNAVAILABLE), 0)

        tell(story)

    def test_nor_is_a_stamp_that_would_not_be_taken_any_more(self, tell):
        async def story(desk):
            desk.desk.policy = replace(desk.desk.policy, price=2)
            async with outage(desk):
                assert await desk.send() == (Later(Reason.LEDGER_UNAVAILABLE), 0)

        tell(story)

    def test_what_was_accepted_on_trust_is_known_whatever_the_price_is_then(self, tell):
        async def story(desk):
            letter = desk.letter()
            async with outage(desk):
                assert (await desk.send(letter))[1] == 1
                desk.desk.policy = replace(desk.desk.policy, price=2)
                assert await desk.send(letter) == (Duplicate(), 0)
            assert await desk.send(letter) == (Duplicate(), 0)

        tell(story)

    def test_an_honest_sender_whose_stamp_a_thief_used_first_is_not_blamed(self, tell):
        """The thief's altered copy was paid for elsewhere; the real letter comes while the office is silent."""

        async def story(desk):
            letter = desk.letter()
            await desk.send(altered(letter))
            desk.trusting._spent.clear()  # it was another gate that delivered it
            async with outage(desk):
                assert (await desk.send(letter))[1] == 1
            await desk.trusting.redeem()
            [line] = [line for line in desk.log.lines if line["event"] == "stamp.not_redeemed"]
            assert line["why"] == "spent"
            async with outage(desk):
                assert (await desk.send())[1] == 1

        tell(story)

    @pytest.mark.parametrize(
        ("outcome", "is_blamed"),
        [
            ("unknown-account", True),
            ("account-closed", True),
            ("insufficient-balance", True),
            ("spent", False),
            ("revoked", False),
            ("invalid", False),
            ("expired", False),
            ("wrong-receiver", False),
        ],
    )
    def test_blamed_is_an_account_that_does_not_pay_for_its_stamps(self, tell, outcome, is_blamed):
        async def story(desk):
            hold = desk.office.hold
            async with outage(desk):
                await desk.send()

            async def refusing(holds, *, lease_seconds):
                return [HoldAnswer(HoldOutcome(outcome))] * len(holds)

            desk.office.hold = refusing
            await desk.trusting.redeem()
            desk.office.hold = hold
            async with outage(desk):
                assert (await desk.send())[1] == (not is_blamed)

        tell(story)


class TestWhereNothingMoreIsTrusted:
    """`on_office_down = "defer"` after it was "accept": what was taken is owed all the same."""

    def anew(self, desk):
        desk.desk._redeemer = desk.trusting = TrustingRedeemer(
            ISSUER,
            desk.office,
            desk.trusting._book,
            LetterLog(desk.log),
            limits=TrustLimits(per_account=20, total=1000),
            clock=lambda: desk.office.now,
            is_accepting=False,
        )

    def test_what_was_is_paid_and_known_and_nothing_new_is_taken(self, tell):
        async def story(desk):
            letter = desk.letter()
            async with outage(desk):
                assert (await desk.send(letter))[1] == 1
                self.anew(desk)
                assert await desk.send(letter) == (Duplicate(), 0)
                assert await desk.send() == (Later(Reason.LEDGER_UNAVAILABLE), 0)
            assert await desk.send(letter) == (Duplicate(), 0)
            async with asyncio.timeout(30):
                await desk.trusting.run(0.001)
            assert await desk.audited() == (True, 2, 0)

        tell(story)

    def test_then_the_state_is_left_alone(self, tell):
        async def story(desk):
            self.anew(desk)
            async with asyncio.timeout(30):
                await desk.trusting.run(0.001)

            async def asked(*_, **__):
                raise AssertionError("the state was asked")

            book = desk.trusting._book
            for name in ("take", "owe", "release", "open_among", "note_spent", "note_settled"):
                setattr(book, name, asked)
            letter = desk.letter()
            assert (await desk.send(letter))[1] == 1
            assert await desk.send(letter) == (Duplicate(), 0)
            async with outage(desk):
                assert await desk.send() == (Later(Reason.LEDGER_UNAVAILABLE), 0)
            await desk.trusting.flush()

        tell(story)
