"""What time does to a ledger, told to every back end."""

from ledgerworld import DAY, LEASE, OTHER_SENDER, RECEIVER, SENDER, TODAY, key_of, order, settle_of

from pennyred.ledger.protocol import HOLDS_PER_SWEEP_MAX, EntryKind, receiver_account

NOW_IN_DAY = 1_790_000_000 % DAY
OVERDUE = LEASE + 5 * DAY + 1
"""Seconds after NOW when a hold made at NOW is swept."""
FORGOTTEN = (3 + 8) * DAY - NOW_IN_DAY
"""Seconds after NOW when the day on which `order()` expires is 7 days past."""


async def sweep(world, after):
    report = await world.ledger.sweep(now=TODAY * DAY + NOW_IN_DAY + after)
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
        first = await world.ledger.sweep(now=TODAY * DAY + NOW_IN_DAY + OVERDUE)
        assert first.voided + first.settled == HOLDS_PER_SWEEP_MAX
        assert first.is_more
        second = await world.ledger.sweep(now=TODAY * DAY + NOW_IN_DAY + OVERDUE)
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
