"""What time does to a ledger, told to every back end."""

from tests.support.ledgerworld import DAY, LEASE, NOW, OTHER_SENDER, RECEIVER, SENDER, TODAY, key_of, order, settle_of

from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX, EntryKind, receiver_account
from pennyred.storage.passing import Looker

NOW_IN_DAY = 1_790_000_000 % DAY
OVERDUE = LEASE + 5 * DAY + 1
"""Seconds after NOW when a hold made at NOW is swept."""
FORGOTTEN = (3 + 8) * DAY - NOW_IN_DAY
"""Seconds after NOW when the day on which `order()` expires is 7 days past."""


async def sweep(world, after):
    report = await world.ledger.sweep(now=TODAY * DAY + NOW_IN_DAY + after, until=TODAY * DAY + NOW_IN_DAY + after)
    return report.voided, report.settled, report.dropped_days


def test_a_hold_nobody_came_back_for_is_given_back_after_five_days(tell):
    async def story(world):
        await world.hold(order())
        assert await sweep(world, OVERDUE - 1) == (0, 0, ())
        assert await sweep(world, OVERDUE) == (1, 0, ())
        assert await world.figures() == (10, 0)
        assert await sweep(world, OVERDUE) == (0, 0, ())

    tell(story)


def test_a_settlement_that_comes_after_the_sweep_is_still_taken(tell):
    async def story(world):
        await world.hold(order())
        await sweep(world, OVERDUE)
        assert await world.settle(order(), after=OVERDUE + 1) == "settled"

    tell(story)


async def leave_in_doubt(world, settled, doubtful):
    """Holds of which many are settled and some are not."""
    orders = [order(f"s{number}", f"letter {number}", group=number) for number in range(settled + doubtful)]
    await world.hold_all(orders)
    await world.ledger.settle(RECEIVER, [settle_of(one) for one in orders[:settled]], now=TODAY * DAY)


def test_up_to_one_percent_left_in_doubt_is_voided_the_rest_settled(tell):
    async def story(world):
        await leave_in_doubt(world, 195, 5)
        assert await sweep(world, OVERDUE) == (2, 3, ())
        assert await world.figures() == (1000 - 198, 0)
        last = (await world.ledger.entries(SENDER))[-1]
        assert (last.kind, last.stamps, last.detail) == (EntryKind.SWEEP, -3, "")
        assert await world.figures(receiver_account(RECEIVER)) == (198, 0)

    tell(story, balance=1000, daily_cap=1000)


def test_the_in_doubt_voids_of_earlier_sweeps_count_for_thirty_days(tell):
    async def story(world):
        await leave_in_doubt(world, 98, 2)
        assert await sweep(world, OVERDUE) == (1, 1, ())
        late = [
            order("t1", "late 1", group=1, expiry_day=TODAY + 18),
            order("t2", "late 2", group=2, expiry_day=TODAY + 18),
        ]
        await world.hold_all(late, after=6 * DAY)
        assert await sweep(world, 6 * DAY + OVERDUE) == (0, 2, (TODAY + 3,))

    tell(story, balance=1000, daily_cap=1000)


def test_doubt_at_one_receiver_or_of_one_sender_is_not_held_against_another(tell):
    async def story(world):
        await leave_in_doubt(world, 98, 2)
        await world.hold_all([order("far", "far letter")], by="far")
        theirs = order("o", "their letter", account=OTHER_SENDER, public_key=key_of(OTHER_SENDER))
        await world.hold_all([theirs])
        assert await sweep(world, OVERDUE) == (3, 1, ())

    tell(story, balance=1000, daily_cap=1000)


def test_a_sweep_does_a_bounded_piece_of_work_and_says_when_there_is_more(tell):
    async def story(world):
        await world.hold_all([order(f"s{n}", group=n) for n in range(HOLDS_PER_SWEEP_MAX + 1)])
        first = await world.ledger.sweep(
            now=TODAY * DAY + NOW_IN_DAY + OVERDUE, until=TODAY * DAY + NOW_IN_DAY + OVERDUE
        )
        assert first.voided + first.settled == HOLDS_PER_SWEEP_MAX
        assert first.is_more
        second = await world.ledger.sweep(
            now=TODAY * DAY + NOW_IN_DAY + OVERDUE, until=TODAY * DAY + NOW_IN_DAY + OVERDUE
        )
        assert second.voided + second.settled == 1
        assert not second.is_more
        assert (await world.figures())[1] == 0

    tell(story, balance=5000, daily_cap=5000)


def test_a_day_is_forgotten_seven_days_after_it_ends_and_its_totals_are_kept(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        assert await sweep(world, FORGOTTEN - 1) == (0, 0, ())
        assert await world.settle(order(), after=FORGOTTEN - 1) == "already-settled", "remembered to the last"
        assert await sweep(world, FORGOTTEN) == (0, 0, (TODAY + 3,))
        audit = await world.ledger.audit()
        assert (audit.balanced, audit.settled, audit.outstanding) == (True, 1, 19)
        assert await world.settle(order(), after=FORGOTTEN) == "no-such-hold"

    tell(story)


def test_after_a_day_was_forgotten_its_stamps_are_expired_though_the_clock_go_back(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        assert await sweep(world, FORGOTTEN) == (0, 0, (TODAY + 3,))
        assert await world.hold(order(tx="t2"), after=0) == "expired", "else it could be spent again"
        assert await world.hold(order("fresh", expiry_day=TODAY + 2), after=0) == "expired", "an earlier day"
        assert await world.hold(order("later", expiry_day=TODAY + 4), after=0) == "held"

    tell(story)


def test_a_day_with_an_open_hold_is_not_forgotten_nor_any_day_behind_it(tell):
    async def story(world):
        await world.hold(order("early"))
        await world.settle(order("early"))
        await world.hold(order("open", lease_until=TODAY * DAY + 40 * DAY))
        await world.hold(order("late", expiry_day=TODAY + 4))
        await world.settle(order("late", expiry_day=TODAY + 4))
        assert await sweep(world, FORGOTTEN + 2 * DAY) == (0, 0, ())
        await world.settle(order("open"))
        assert await sweep(world, FORGOTTEN + 2 * DAY) == (0, 0, (TODAY + 3,))
        assert await sweep(world, FORGOTTEN + 2 * DAY) == (0, 0, (TODAY + 4,))

    tell(story)


def test_settle_works_after_expiry(tell):
    async def story(world):
        await world.hold(order())
        assert await world.settle(order(), after=5 * DAY) == "settled"

    tell(story)


class Clock:
    """One office's, which may be wrong; `passed` is what really passes."""

    def __init__(self):
        self.passed, self.error = 0.0, 0
        self.looker = Looker(lambda: NOW + int(self.passed) + self.error, monotonic=lambda: self.passed)

    def start(self):
        self.looker = Looker(self.looker.clock, monotonic=lambda: self.passed)

    async def sweep(self, ledger):
        found = await ledger.passed(self.looker)
        return await ledger.sweep(now=found.clock, until=found.until)


async def forget_all(ledger, clock):
    reports = []
    while not reports or reports[-1].is_more:
        reports.append(await clock.sweep(ledger))
    return sum(one.voided + one.settled for one in reports), [day for one in reports for day in one.dropped_days]


def test_a_clock_that_is_ahead_for_a_while_forgets_nothing_and_no_honest_stamp_is_expired_for_it(tell):
    async def story(world):
        clock = Clock()
        await clock.sweep(world.ledger)
        for serial in ("settled", "spent"):
            await world.hold(order(serial))
            await world.settle(order(serial))
        await world.hold(order("under way"))
        clock.error = 15 * DAY
        for _ in range(60):
            clock.passed += 60
            assert await forget_all(world.ledger, clock) == (0, [])
        clock.start()  # and in a process that knows of nothing
        assert await forget_all(world.ledger, clock) == (0, [])
        clock.error = 0
        assert await forget_all(world.ledger, clock) == (0, [])
        later = int(clock.passed)
        assert await world.hold(order("new"), after=later) == "held"
        assert await world.hold(order("soon over", expiry_day=TODAY), after=later) == "held"
        assert await world.hold(order("settled", tx="t2"), after=later) == "already-settled"
        assert await world.hold(order("spent", "another letter"), after=later) == "spent"
        assert await world.settle(order("under way"), after=later) == "settled"

    tell(story)


def test_one_wrong_clock_of_several_offices_forgets_nothing(tell):
    async def story(world):
        right, wrong = Clock(), Clock()
        wrong.error = 15 * DAY
        await right.sweep(world.ledger)
        await world.hold(order("settled"))
        await world.settle(order("settled"))
        for _ in range(20 * 24):
            for clock in (right, wrong):
                clock.passed += 300
                assert await forget_all(world.ledger, clock) == (0, [])
        assert await world.hold(order("new"), after=int(right.passed)) == "held"

    tell(story)


def test_a_clock_that_is_ahead_makes_no_tokens_id_good_again(tell):
    async def story(world):
        clock = Clock()
        await clock.sweep(world.ledger)
        assert await world.ledger.remember_jti("x" * 16, NOW + 90, now=NOW)
        clock.error = DAY
        await clock.sweep(world.ledger)
        for number in range(10):
            ahead = NOW + DAY
            assert await world.ledger.remember_jti(f"{number}" * 16, ahead + 90, now=ahead)
        assert not await world.ledger.remember_jti("x" * 16, NOW + 90, now=NOW + 1)

    tell(story)


def test_a_ledger_that_was_off_for_three_weeks_forgets_what_is_over_day_by_day(tell):
    async def story(world):
        clock = Clock()
        await clock.sweep(world.ledger)
        for day in range(4):
            await world.hold(order(f"{day}", expiry_day=TODAY + day))
            await world.settle(order(f"{day}", expiry_day=TODAY + day))
        clock.passed += 21 * DAY
        clock.start()
        dropped = []
        for _ in range(14):
            _, days = await forget_all(world.ledger, clock)
            assert len(days) <= 2
            dropped += days
            clock.passed += DAY
        assert dropped == [TODAY, TODAY + 1, TODAY + 2, TODAY + 3]

    tell(story)


def test_a_lease_given_while_the_clock_was_ahead_keeps_no_retry_waiting(tell):
    async def story(world):
        ahead = 15 * DAY
        held = order(expiry_day=TODAY + 14, lease_until=NOW + ahead + LEASE)
        await world.hold(held)
        assert await world.hold(order("s1", tx="t2", expiry_day=TODAY + 14), after=60) == "renewed"
        assert await world.hold(order("s1", tx="t3", expiry_day=TODAY + 14), after=60) == "in-progress"
        assert (
            await world.hold(order("s1", "another letter", tx="t4", expiry_day=TODAY + 14), after=60) == "in-progress"
        )

    tell(story)
