"""The state table and the precedence (ARCHITECTURE.md, "The states of a stamp"): each row and each neighbouring pair of outcomes a case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledgerworld import (
    DAY,
    DOMAIN,
    LEASE,
    NOW,
    OTHER_DOMAIN,
    RECEIVER,
    SENDER,
    TODAY,
    key_of,
    order,
    settle_of,
    void_of,
)
from tests.support.replacing import replace

from pennyred.days import utc_day
from pennyred.postage.ledger_rules import (
    AccountFigures,
    HoldFacts,
    HoldOrder,
    RefundOutcome,
    StampRecord,
    StampState,
    SweepDecision,
    decide_hold,
    decide_refund,
    decide_settle,
    decide_settle_stamp,
    decide_sweep,
    decide_void,
    droppable_days,
    fails_group,
    is_to_be_swept,
)
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldOutcome, SettleOutcome, VoidOutcome

FACTS = HoldFacts(RECEIVER, frozenset({DOMAIN}), TODAY - 10, NOW)
ACCOUNT = AccountFigures(is_open=True, public_key=key_of(SENDER), daily_cap=10, balance=10, held=0, used_today=0)
ORDER = order()
RUNNING, OVER = NOW + 1, NOW


def record(state: StampState, held: HoldOrder = ORDER, **changes: object) -> StampRecord:
    is_held = state is StampState.HELD
    plain = StampRecord(
        state, RECEIVER, held.domain, held.letter, held.tx if is_held else b"", 1, TODAY,
        RUNNING if is_held else 0, NOW - 5 if state in (StampState.SETTLED, StampState.REFUNDED) else 0,
    )  # fmt: skip
    return plain._replace(**changes)


OTHER_LETTER = order(letter="another letter")
OTHER_TX = order(tx="t2")

HOLD_ROWS = [
    ("unseen: held", None, ORDER, "held"),
    ("voided: held", record(StampState.VOIDED), ORDER, "held"),
    ("voided, another letter: held", record(StampState.VOIDED), OTHER_LETTER, "held"),
    ("held, same tx: the same hold", record(StampState.HELD), ORDER, "renewed"),
    ("held, same tx, lease over: the same hold", record(StampState.HELD, lease_until=OVER), ORDER, "renewed"),
    ("held, same tx for another letter: in progress", record(StampState.HELD, OTHER_LETTER), ORDER, "in-progress"),
    ("held, lease running, another tx: in progress", record(StampState.HELD), OTHER_TX, "in-progress"),
    ("held, lease over, same letter: renewed", record(StampState.HELD, lease_until=OVER), OTHER_TX, "renewed"),
    ("held, lease over, another letter: in progress", record(StampState.HELD, lease_until=OVER), OTHER_LETTER, "in-progress"),
    (
        "held, lease over, another receiver: in progress",
        record(StampState.HELD, lease_until=OVER, receiver="far"), OTHER_TX, "in-progress",
    ),
    ("settled, same letter: already settled", record(StampState.SETTLED), OTHER_TX, "already-settled"),
    ("refunded, same letter: already settled", record(StampState.REFUNDED), ORDER, "already-settled"),
    ("settled, another letter: spent", record(StampState.SETTLED), OTHER_LETTER, "spent"),
    ("settled, another receiver: spent", record(StampState.SETTLED, receiver="far"), ORDER, "spent"),
    ("refunded, another letter: spent", record(StampState.REFUNDED), OTHER_LETTER, "spent"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stamp", "asked", "outcome"), [row[1:] for row in HOLD_ROWS], ids=[row[0] for row in HOLD_ROWS]
)
def test_a_hold_follows_the_state_table(stamp, asked, outcome):
    assert decide_hold(asked, stamp, ACCOUNT, FACTS).outcome == outcome


def test_spent_carries_the_first_use_as_evidence():
    answer = decide_hold(OTHER_LETTER, record(StampState.SETTLED), ACCOUNT, FACTS)

    assert answer.first_use == record(StampState.SETTLED).first_use
    assert answer.first_use.letter == ORDER.letter
    assert answer.first_use.at == NOW - 5


# What makes each outcome true, in descending precedence. A case has all the causes from its own on downwards, so each
# outcome is shown to come before everything below it.
CAUSES = [
    ("wrong-receiver", {"domain": OTHER_DOMAIN}, {}, {}),
    ("invalid", {"flaw": Reason.BAD_SIGNATURE}, {}, {}),
    ("unknown-account", {}, {"account": None}, {}),
    ("account-closed", {}, {"is_open": False}, {}),
    ("revoked", {"public_key": bytes(32)}, {}, {}),
    ("expired", {"expiry_day": TODAY - 1}, {}, {}),
    ("spent", {}, {}, {"stamp": record(StampState.SETTLED, OTHER_LETTER)}),
    ("over-cap", {}, {"used_today": 10}, {}),
    ("insufficient-balance", {}, {"balance": 0}, {}),
    ("held", {}, {}, {}),
]


@pytest.mark.parametrize("index", range(len(CAUSES)), ids=[cause[0] for cause in CAUSES])
def test_each_outcome_of_a_new_hold_precedes_all_below_it(index):
    asked, figures, stamp, has_account = ORDER, ACCOUNT, None, True
    for _, order_changes, account_changes, stamp_changes in CAUSES[index:]:
        asked = replace(asked, **order_changes)
        stamp = stamp_changes.get("stamp", stamp)
        if "account" in account_changes:
            has_account = False
        else:
            figures = replace(figures, **account_changes)

    answer = decide_hold(asked, stamp, figures if has_account else None, FACTS)

    assert answer.outcome == CAUSES[index][0]


REPEATS = [
    ("already-settled", record(StampState.SETTLED)),
    ("in-progress", record(StampState.HELD, OTHER_LETTER)),
    ("renewed", record(StampState.HELD)),
]


@pytest.mark.parametrize(("outcome", "stamp"), REPEATS, ids=[row[0] for row in REPEATS])
def test_a_retry_is_told_the_truth_whatever_became_of_account_and_stamp_meanwhile(outcome, stamp):
    """An account closed, a key changed, a stamp expired: none of it turns an honest retry into a bounce."""
    broken = replace(ORDER, flaw=Reason.BAD_SIGNATURE, public_key=bytes(32))
    closed = replace(ACCOUNT, is_open=False, balance=0, used_today=10)

    assert decide_hold(broken, stamp, closed, FACTS).outcome == outcome
    assert decide_hold(broken, stamp, None, FACTS._replace(floor_day=TODAY + 14)).outcome == outcome


@pytest.mark.parametrize(("outcome", "stamp"), REPEATS, ids=[row[0] for row in REPEATS])
def test_a_wrong_receiver_is_told_nothing_more(outcome, stamp):
    answer = decide_hold(replace(ORDER, domain=OTHER_DOMAIN), stamp, ACCOUNT, FACTS)

    assert answer.outcome is HoldOutcome.WRONG_RECEIVER
    assert answer.first_use is None


def test_a_receiver_without_domains_may_redeem_nothing_and_one_with_a_star_anything():
    assert decide_hold(ORDER, None, ACCOUNT, FACTS._replace(domains=frozenset())).outcome == "wrong-receiver"
    anywhere = FACTS._replace(domains=frozenset("*"))
    assert decide_hold(replace(ORDER, domain=OTHER_DOMAIN), None, ACCOUNT, anywhere).outcome == "held"


def test_a_domain_hash_that_does_not_match_is_a_wrong_receiver_before_all_else():
    asked = replace(ORDER, flaw=Reason.WRONG_RECEIVER)

    assert decide_hold(asked, record(StampState.SETTLED), ACCOUNT, FACTS).outcome == "wrong-receiver"


def test_the_offices_own_finding_is_the_reason_of_invalid():
    answer = decide_hold(replace(ORDER, flaw=Reason.BAD_LICENCE), None, ACCOUNT, FACTS)

    assert (answer.outcome, answer.reason) == (HoldOutcome.INVALID, "bad-licence")


def test_what_the_office_finds_expired_is_expired_in_its_place():
    assert decide_hold(replace(ORDER, flaw=Reason.EXPIRED), None, ACCOUNT, FACTS).outcome == "expired"
    assert decide_hold(replace(ORDER, flaw=Reason.EXPIRED), None, None, FACTS).outcome == "unknown-account"


@pytest.mark.parametrize(
    ("expiry_day", "outcome"),
    [(TODAY - 1, "expired"), (TODAY, "held"), (TODAY + 15, "held"), (TODAY + 16, "invalid")],
)
def test_a_hold_is_for_a_day_from_today_to_fifteen_days_ahead(expiry_day, outcome):
    """A day beyond is of a stamp that is not valid yet; nobody can make the ledger keep tables without end."""
    answer = decide_hold(replace(ORDER, expiry_day=expiry_day), None, ACCOUNT, FACTS)

    assert answer.outcome == outcome
    assert answer.reason == ("not-yet-valid" if outcome == "invalid" else "")


def test_a_forgotten_day_is_expired_whatever_the_clock_says():
    asked = replace(ORDER, expiry_day=TODAY + 3)

    assert decide_hold(asked, None, ACCOUNT, FACTS._replace(floor_day=TODAY + 3)).outcome == "expired"
    assert decide_hold(asked, None, ACCOUNT, FACTS._replace(floor_day=TODAY + 2)).outcome == "held"


@pytest.mark.parametrize(("used", "price", "outcome"), [(9, 1, "held"), (10, 1, "over-cap"), (8, 3, "over-cap")])
def test_the_daily_cap_may_be_reached_and_not_passed(used, price, outcome):
    figures = replace(ACCOUNT, balance=100, used_today=used)

    assert decide_hold(replace(ORDER, price=price), None, figures, FACTS).outcome == outcome


@pytest.mark.parametrize(
    ("held", "price", "outcome"), [(9, 1, "held"), (10, 1, "insufficient-balance"), (0, 11, "over-cap")]
)
def test_what_is_held_cannot_be_held_again(held, price, outcome):
    assert decide_hold(replace(ORDER, price=price), None, replace(ACCOUNT, held=held), FACTS).outcome == outcome


def test_only_what_was_settled_before_spares_the_others_of_a_group():
    sparing = {outcome for outcome in HoldOutcome if not fails_group(outcome)}

    assert sparing == {HoldOutcome.HELD, HoldOutcome.RENEWED, HoldOutcome.ALREADY_SETTLED}


SETTLE_ROWS = [
    ("unseen", None, 10, "no-such-hold"),
    ("held", record(StampState.HELD), 0, "settled"),
    ("held under another tx", record(StampState.HELD, tx=bytes(16)), 0, "settled"),
    ("held, lease over", record(StampState.HELD, lease_until=OVER), 0, "settled"),
    ("held for another letter", record(StampState.HELD, OTHER_LETTER), 10, "no-such-hold"),
    ("held by another receiver", record(StampState.HELD, receiver="far"), 10, "no-such-hold"),
    ("voided, balance allows", record(StampState.VOIDED), 1, "settled"),
    ("voided, balance too low", record(StampState.VOIDED), 0, "no-funds"),
    ("voided for another letter", record(StampState.VOIDED, OTHER_LETTER), 10, "no-such-hold"),
    ("settled", record(StampState.SETTLED), 10, "already-settled"),
    ("refunded", record(StampState.REFUNDED), 10, "already-settled"),
    ("settled for another letter", record(StampState.SETTLED, OTHER_LETTER), 10, "no-such-hold"),
]


@pytest.mark.parametrize(
    ("stamp", "available", "outcome"), [row[1:] for row in SETTLE_ROWS], ids=[row[0] for row in SETTLE_ROWS]
)
def test_a_settle_matches_receiver_and_letter_whatever_the_tx(stamp, available, outcome):
    assert decide_settle(settle_of(ORDER), RECEIVER, stamp, available) is SettleOutcome(outcome)


STAMP_ROWS = [
    ("unseen", None, "settled"),
    ("held", record(StampState.HELD), "settled"),
    ("held under another tx", record(StampState.HELD, tx=bytes(16)), "settled"),
    ("held for another letter", record(StampState.HELD, OTHER_LETTER), "in-progress"),
    ("held for another letter, lease over", record(StampState.HELD, OTHER_LETTER, lease_until=OVER), "in-progress"),
    ("held by another receiver", record(StampState.HELD, receiver="far"), "in-progress"),
    ("voided", record(StampState.VOIDED), "settled"),
    ("voided for another letter", record(StampState.VOIDED, OTHER_LETTER), "settled"),
    ("voided by another receiver", record(StampState.VOIDED, receiver="far"), "settled"),
    ("settled", record(StampState.SETTLED), "already-settled"),
    ("refunded", record(StampState.REFUNDED), "already-settled"),
    ("settled for another letter", record(StampState.SETTLED, OTHER_LETTER), "spent"),
    ("settled by another receiver", record(StampState.SETTLED, receiver="far"), "spent"),
    ("refunded for another letter", record(StampState.REFUNDED, OTHER_LETTER), "spent"),
]


@pytest.mark.parametrize(("stamp", "outcome"), [row[1:] for row in STAMP_ROWS], ids=[row[0] for row in STAMP_ROWS])
def test_a_settle_with_its_stamp_is_paid_unless_another_has_the_stamp(stamp, outcome):
    assert decide_settle_stamp(ORDER, stamp, ACCOUNT, FACTS) is SettleOutcome(outcome)


JUDGED = [
    ("of another domain", {"domain": OTHER_DOMAIN}, {}, "wrong-receiver"),
    ("made out to another domain", {"flaw": Reason.WRONG_RECEIVER}, {}, "wrong-receiver"),
    ("with a signature that does not hold", {"flaw": Reason.BAD_SIGNATURE}, {}, "invalid"),
    ("of a licence that does not hold", {"flaw": Reason.BAD_LICENCE}, {}, "invalid"),
    ("of a day too far ahead", {"expiry_day": TODAY + 16}, {}, "invalid"),
    ("of a closed account", {}, {"is_open": False}, "account-closed"),
    ("of a key that was replaced", {"public_key": key_of("another")}, {}, "revoked"),
    ("over for long", {"flaw": Reason.EXPIRED}, {}, "expired"),
    ("whose day was yesterday", {"expiry_day": TODAY - 1}, {}, "settled"),
    ("whose day was before yesterday", {"expiry_day": TODAY - 2}, {}, "expired"),
    ("beyond the cap", {}, {"used_today": 10}, "over-cap"),
    ("without money", {}, {"held": 10}, "no-funds"),
]


@pytest.mark.parametrize("stamp", [None, record(StampState.VOIDED)], ids=["unseen", "voided"])
@pytest.mark.parametrize(("asked", "account", "outcome"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_a_settle_of_what_nobody_holds_is_judged_like_a_hold(stamp, asked, account, outcome):
    figures = replace(ACCOUNT, **account)

    assert decide_settle_stamp(replace(ORDER, **asked), stamp, figures, FACTS) is SettleOutcome(outcome)
    assert decide_settle_stamp(replace(ORDER, **asked), record(StampState.HELD), figures, FACTS) == "settled"


@pytest.mark.parametrize("account", [ACCOUNT, None], ids=["with account", "without"])
def test_a_settle_says_of_a_stamp_what_a_hold_of_it_would_say(account):
    """Whatever order decides between several answers, it is one order."""
    for stamp in (None, *(row[1] for row in STAMP_ROWS[3:6] + STAMP_ROWS[11:])):
        for _, asked, figures, _ in JUDGED:
            judged = replace(ORDER, **asked)
            if judged.expiry_day == TODAY - 1:
                continue  # where the two differ
            of_it = replace(account, **figures) if account else None
            held = decide_hold(judged, stamp, of_it, FACTS).outcome.value
            settled = decide_settle_stamp(judged, stamp, of_it, FACTS).value
            assert settled == {"held": "settled", "insufficient-balance": "no-funds"}.get(held, held)


@pytest.mark.parametrize("floor_day", [TODAY + 3, TODAY + 4])
def test_a_forgotten_day_is_never_charged_whatever_the_clock_says(floor_day):
    """Its stamps may all have been settled."""
    facts = FACTS._replace(floor_day=floor_day)

    assert decide_settle_stamp(ORDER, None, ACCOUNT, facts) is SettleOutcome.EXPIRED
    assert decide_settle_stamp(ORDER, record(StampState.HELD), ACCOUNT, facts) is SettleOutcome.SETTLED


def test_only_what_another_day_or_the_end_of_another_hold_changes_is_asked_again():
    assert {one for one in SettleOutcome if one.may_change} == {SettleOutcome.IN_PROGRESS, SettleOutcome.OVER_CAP}
    assert {one for one in SettleOutcome if one.is_paid} == {SettleOutcome.SETTLED, SettleOutcome.ALREADY_SETTLED}


VOID_ROWS = [
    ("unseen", None, "not-held"),
    ("held, current tx", record(StampState.HELD), "voided"),
    ("held, current tx, lease over", record(StampState.HELD, lease_until=OVER), "voided"),
    ("held, another tx", record(StampState.HELD, tx=bytes(16)), "not-held"),
    ("held by another receiver", record(StampState.HELD, receiver="far"), "not-held"),
    ("voided", record(StampState.VOIDED), "not-held"),
    ("settled", record(StampState.SETTLED), "not-held"),
    ("refunded", record(StampState.REFUNDED), "not-held"),
]


@pytest.mark.parametrize(("stamp", "outcome"), [row[1:] for row in VOID_ROWS], ids=[row[0] for row in VOID_ROWS])
def test_a_void_matches_the_current_tx_only(stamp, outcome):
    assert decide_void(void_of(ORDER), RECEIVER, stamp) is VoidOutcome(outcome)


REFUND_ROWS = [
    ("unseen", None, 10, "not-settled"),
    ("held", record(StampState.HELD), 10, "not-settled"),
    ("voided", record(StampState.VOIDED), 10, "not-settled"),
    ("settled", record(StampState.SETTLED), 1, "refunded"),
    ("settled, receiver has nothing left", record(StampState.SETTLED), 0, "no-funds"),
    ("settled for another letter", record(StampState.SETTLED, OTHER_LETTER), 10, "not-settled"),
    ("settled by another receiver", record(StampState.SETTLED, receiver="far"), 10, "not-settled"),
    ("refunded", record(StampState.REFUNDED), 0, "already-refunded"),
]


@pytest.mark.parametrize(
    ("stamp", "balance", "outcome"), [row[1:] for row in REFUND_ROWS], ids=[row[0] for row in REFUND_ROWS]
)
def test_a_refund_is_of_a_settled_stamp_once_and_out_of_the_receivers_balance(stamp, balance, outcome):
    assert decide_refund(settle_of(ORDER), RECEIVER, stamp, balance) is RefundOutcome(outcome)


@pytest.mark.parametrize(
    ("holds", "in_doubt", "decision"),
    [
        (99, 50, SweepDecision.VOID),
        (100, 0, SweepDecision.VOID),
        (100, 1, SweepDecision.SETTLE),
        (199, 0, SweepDecision.VOID),
        (199, 1, SweepDecision.SETTLE),
        (200, 1, SweepDecision.VOID),
        (200, 2, SweepDecision.SETTLE),
    ],
)
def test_more_than_one_in_a_hundred_left_in_doubt_is_settled(holds, in_doubt, decision):
    assert decide_sweep(holds, in_doubt) is decision


def test_a_hold_is_swept_when_its_lease_ended_over_five_days_ago():
    assert not is_to_be_swept(NOW - 5 * DAY, NOW)
    assert is_to_be_swept(NOW - 5 * DAY - 1, NOW)


@pytest.mark.parametrize(
    ("days", "oldest_open_day", "dropped"),
    [
        ([], None, []),
        ([TODAY - 7, TODAY], None, []),
        ([TODAY - 7, TODAY - 8, TODAY - 9], None, [TODAY - 9, TODAY - 8]),
        ([TODAY - 8, TODAY - 9], TODAY - 8, [TODAY - 9]),
        ([TODAY - 8, TODAY - 10], TODAY - 9, [TODAY - 10]),
        ([TODAY - 8, TODAY - 9], TODAY - 9, []),
        ([TODAY - 8], TODAY, [TODAY - 8]),
    ],
)
def test_a_day_is_dropped_seven_days_after_it_ends_and_never_at_or_behind_an_open_hold(days, oldest_open_day, dropped):
    assert droppable_days(days, oldest_open_day, NOW) == dropped


def test_a_utc_day_begins_at_midnight():
    assert (utc_day(TODAY * DAY - 1), utc_day(TODAY * DAY)) == (TODAY - 1, TODAY)


@pytest.mark.parametrize(
    "wrong", [{"price": 0}, {"price": -1}, {"serial": b""}, {"tx": bytes(15)}, {"letter": bytes(31)}]
)
def test_an_order_that_no_stamp_can_give_cannot_be_made(wrong):
    with pytest.raises(ValueError, match="positive price"):
        replace(ORDER, **wrong)


@given(
    state=st.sampled_from([None, *StampState]),
    same_letter=st.booleans(),
    same_receiver=st.booleans(),
    same_tx=st.booleans(),
    lease_until=st.integers(NOW - LEASE, NOW + LEASE),
    balance=st.integers(0, 3),
    held=st.integers(0, 3),
    used=st.integers(0, 12),
    price=st.integers(1, 3),
)
def test_a_new_hold_never_takes_more_than_there_is(
    state, same_letter, same_receiver, same_tx, lease_until, balance, held, used, price
):
    stamp = None
    if state is not None:
        stamp = record(
            state,
            ORDER if same_letter else OTHER_LETTER,
            receiver=RECEIVER if same_receiver else "far",
            tx=ORDER.tx if same_tx else bytes(16),
            lease_until=lease_until,
        )
    figures = replace(ACCOUNT, balance=balance, held=min(held, balance), used_today=used)

    outcome = decide_hold(replace(ORDER, price=price), stamp, figures, FACTS).outcome

    if outcome is HoldOutcome.HELD:
        assert state in (None, StampState.VOIDED)
        assert figures.available >= price
        assert used + price <= ACCOUNT.daily_cap
    if outcome is HoldOutcome.RENEWED:
        assert state is StampState.HELD
        assert same_letter
        assert same_receiver
