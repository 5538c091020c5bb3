"""After the delivery: a settlement is durable somewhere or written down as lost, and the client's answer never changes."""

import asyncio

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.replacing import replace
from tests.support.smtp_gate import eventually
from tests.support.stationery import DAY, LETTER, NOW

from pennyred.gate.issuers.routing import IssuerRouter
from pennyred.gate.letterbox import Fate, Relay
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.settling import BATCH_MAX, POSTPONE_SECONDS, DurableSettling, drain_outbox, pump_outbox
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Settle, SettleOutcome

BOB = "bob@example.org"
UNKNOWN = Settle("post.example.org", "nobody0000000000", 20_720, bytes(16), bytes(32))


def run(story) -> None:
    async def whole() -> None:
        desk = DeskUnderTest()
        await desk.office.open(10)
        await story(desk)

    asyncio.run(whole())


async def deliver(desk: DeskUnderTest, *fates: Fate) -> None:
    """A stamped letter; the answer is the mail server's, whatever becomes of the settlement."""
    server = MailServer((), list(fates))
    answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB, server=server)
    assert isinstance(answer, Relay)


def events(desk: DeskUnderTest) -> list[str]:
    return [line["event"] for line in desk.log.lines if line["event"] != "letter"]


def test_what_the_office_does_not_take_waits_and_is_seen_to_wait():
    async def story(desk: DeskUnderTest) -> None:
        desk.office.down = {"settle"}
        await deliver(desk)
        assert len(desk.outbox.entries) == 1
        assert events(desk) == ["outbox.waiting"]

    run(story)


def test_where_neither_office_nor_outbox_writes_it_down_the_client_still_hears_250():
    """The letter is delivered: a cent lost to the receiver is better than a letter delivered twice."""

    async def full(*_: object, **__: object) -> None:
        raise Unavailable(Reason.INTERNAL, "the disk is full")

    async def story(desk: DeskUnderTest) -> None:
        desk.office.down = {"settle"}
        desk.outbox.add = full
        await deliver(desk)
        [line] = [one for one in desk.log.lines if one["event"] == "stamp.not_settled"]
        assert line["account"] == desk.stationery.account
        assert "down by script" in line["why"]
        assert "the disk is full" in line["why"]

    run(story)


def test_a_mistake_of_ours_in_settling_is_no_reason_to_have_the_letter_sent_again():
    async def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    async def story(desk: DeskUnderTest) -> None:
        desk.office.settle = broken
        await deliver(desk)
        assert len(desk.outbox.entries) == 1
        [line] = [one for one in desk.log.lines if one["event"] == "outbox.waiting"]
        assert line["why"] == "RuntimeError('a mistake')"

    run(story)


def test_what_the_office_will_not_settle_is_written_down_and_not_asked_again():
    async def story(desk: DeskUnderTest) -> None:
        await desk.outbox.add([UNKNOWN], now=0)
        assert await drain_outbox(desk.office, desk.outbox, LetterLog(desk.log), now=0) == 1
        assert desk.outbox.entries == {}
        [line] = [one for one in desk.log.lines if one["event"] == "stamp.not_settled"]
        assert line["why"] == "no-such-hold"

    run(story)


def test_the_outbox_is_presented_again_until_the_office_answers():
    async def story(desk: DeskUnderTest) -> None:
        desk.office.down = {"settle"}
        await deliver(desk)
        pumping = asyncio.create_task(
            pump_outbox(desk.office, desk.outbox, LetterLog(desk.log), clock=lambda: 0, pause_seconds=0.001)
        )
        await eventually(lambda: desk.office.calls.count("settle") >= 4)
        assert len(desk.outbox.entries) == 1
        desk.office.down = set()
        await eventually(lambda: not desk.outbox.entries)
        pumping.cancel()
        assert await desk.balance() == (9, 0)
        assert events(desk) == ["outbox.waiting", "outbox.settled"]

    run(story)


def test_a_void_that_is_not_heard_leaves_the_hold_to_its_lease():
    async def story(desk: DeskUnderTest) -> None:
        desk.office.down = {"void"}
        await deliver(desk, Fate.REFUSED_PERMANENT)
        assert await desk.balance() == (10, 1)

    run(story)


def test_an_office_that_takes_long_does_not_keep_the_client_waiting(monkeypatch):
    """Nor is the settlement less durable for it: a kill from now on costs nothing."""
    monkeypatch.setattr("pennyred.gate.settling.SETTLE_SECONDS", 0.01)

    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    async def story(desk: DeskUnderTest) -> None:
        desk.office.settle = for_ever
        await deliver(desk)
        assert len(desk.outbox.entries) == 1
        [line] = [one for one in desk.log.lines if one["event"] == "outbox.waiting"]
        assert line["why"] == "no answer within 0.01 s"

    run(story)


def test_an_office_that_does_not_answer_does_not_keep_what_others_are_owed():
    """Not even where what waits for it fills the page and is older."""

    async def story(desk: DeskUnderTest) -> None:
        class Gone:
            asked = 0

            async def settle(self, settles):
                self.asked += 1
                raise Unavailable(Reason.OFFICE_UNREACHABLE, "gone for good")

        gone = Gone()
        router = IssuerRouter({"gone.example": gone, "post.example.org": desk.office})
        dead = [replace(UNKNOWN, issuer="gone.example", serial=n.to_bytes(16, "big")) for n in range(2 * BATCH_MAX)]
        stranger = replace(UNKNOWN, issuer="forgotten.example")
        await desk.outbox.add([*dead, stranger], now=0)
        desk.office.down = {"settle"}
        await deliver(desk)
        desk.office.down = set()
        assert await drain_outbox(router, desk.outbox, LetterLog(desk.log), now=0) == 1
        assert {one.issuer for one in desk.outbox.entries.values()} == {"gone.example", "forgotten.example"}
        assert gone.asked == 1
        assert await desk.balance() == (9, 0)

    run(story)


def test_of_a_letter_with_stamps_of_two_offices_only_the_one_that_is_down_is_owed():
    async def story(desk: DeskUnderTest) -> None:
        async def gone(*_):
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "gone")

        desk.office.down = set()
        silent = type("Silent", (), {"settle": staticmethod(gone)})()
        router = IssuerRouter({"gone.example": silent, "post.example.org": desk.office})
        settles = [UNKNOWN, replace(UNKNOWN, issuer="gone.example")]
        await DurableSettling(desk.outbox, LetterLog(desk.log)).settle(router, settles, now=0)
        assert [one.issuer for one in desk.outbox.entries.values()] == ["gone.example"]

    run(story)


class TestWhatTheLedgerHasForgotten:
    """A hold need not last: whoever settles has the stamp."""

    def test_a_letter_whose_hold_a_crash_forgot_is_paid_by_its_stamp(self):
        async def story(desk: DeskUnderTest) -> None:
            settle = desk.office.settle

            async def after_a_crash(settles):
                desk.office.ledger.forget_holds()
                return await settle(settles)

            desk.office.settle = after_a_crash
            await deliver(desk)
            assert await desk.balance() == (9, 0)
            assert events(desk) == []

        run(story)

    def test_so_is_one_that_waited_in_the_outbox(self):
        async def story(desk: DeskUnderTest) -> None:
            desk.office.down = {"settle"}
            await deliver(desk)
            desk.office.down = set()
            desk.office.ledger.forget_holds()
            assert await drain_outbox(desk.office, desk.outbox, LetterLog(desk.log), now=NOW) == 1
            assert await desk.balance() == (9, 0)
            assert desk.outbox.entries == {}

        run(story)

    def test_where_another_has_taken_the_stamp_it_waits_and_then_is_named(self):
        async def story(desk: DeskUnderTest) -> None:
            desk.office.down = {"settle"}
            await deliver(desk)
            [waiting] = desk.outbox.entries.values()
            desk.office.ledger.forget_holds()
            desk.office.down = set()
            thief = desk.office._order(desk.office.asked[0], NOW + 60)
            another = replace(thief, letter=b"another letter".ljust(32), tx=b"thief".ljust(16))
            await desk.office.ledger.hold("local", [another], now=NOW)

            log = LetterLog(desk.log)
            assert await drain_outbox(desk.office, desk.outbox, log, now=NOW) == 1
            assert list(desk.outbox.entries.values()) == [waiting]
            assert events(desk) == ["outbox.waiting"]
            assert await drain_outbox(desk.office, desk.outbox, log, now=NOW + POSTPONE_SECONDS - 1) == 0

            await desk.office.ledger.settle_stamps("local", [another], now=NOW)
            assert await drain_outbox(desk.office, desk.outbox, log, now=NOW + POSTPONE_SECONDS) == 1
            assert desk.outbox.entries == {}
            line = next(one for one in desk.log.lines if one["event"] == "stamp.not_settled")
            assert (line["why"], line["serial"]) == ("spent", waiting.serial.hex())
            assert await desk.balance() == (9, 0)

        run(story)

    def test_a_stamp_beyond_the_days_cap_is_settled_tomorrow(self):
        async def story(desk: DeskUnderTest) -> None:
            desk.office.down = {"settle"}
            await deliver(desk)
            desk.office.down = set()
            desk.office.ledger.forget_holds()
            account = desk.office.ledger._journal.accounts[desk.stationery.account]
            desk.office.ledger._journal.accounts[account.id] = replace(account, daily_cap=1)
            other = replace(desk.office._order(desk.office.asked[0], NOW), serial=b"other".ljust(16))
            await desk.office.ledger.settle_stamps("local", [other], now=NOW)

            log = LetterLog(desk.log)
            await drain_outbox(desk.office, desk.outbox, log, now=NOW)
            assert len(desk.outbox.entries) == 1
            desk.office.now += DAY
            await drain_outbox(desk.office, desk.outbox, log, now=NOW + DAY)
            assert desk.outbox.entries == {}
            assert await desk.balance() == (8, 0)

        run(story)


KEPT = {SettleOutcome.IN_PROGRESS, SettleOutcome.OVER_CAP}


@pytest.mark.parametrize("outcome", list(SettleOutcome))
def test_only_over_cap_and_in_progress_keep_a_settlement_every_other_answer_ends_it(outcome):
    async def story(desk: DeskUnderTest) -> None:
        async def settle(settles):
            return [outcome] * len(settles)

        desk.office.settle = settle
        await deliver(desk)
        log, is_kept = LetterLog(desk.log), outcome in KEPT
        assert bool(desk.outbox.entries) == is_kept
        told = [] if outcome.is_paid else ["outbox.waiting" if is_kept else "stamp.not_settled"]
        assert events(desk) == told

        await desk.outbox.add([UNKNOWN], now=NOW)
        await drain_outbox(desk.office, desk.outbox, log, now=NOW)
        await drain_outbox(desk.office, desk.outbox, log, now=NOW)
        assert (UNKNOWN in desk.outbox.entries.values()) == is_kept

    run(story)
