"""The JSON of redemptions: what is written is read back as it was, and what is out of form is named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.replacing import replace
from tests.support.stationery import LETTER, Stationery

from pennyred.http import redemptions
from pennyred.postage.errors import Malformed
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.redemption import FirstUse, Hold, HoldAnswer, HoldOutcome, Settle, Void
from pennyred.postage.stamp import parse_stamp

names = st.text("abcdefghij.-", min_size=1, max_size=30)
issuers = st.from_regex(r"[a-z][a-z0-9]{0,9}(\.[a-z]{2,5}){1,2}", fullmatch=True)
accounts = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)
days = st.integers(0, 2**40)


def over_the_wire(struct):
    return msgspec.json.decode(msgspec.json.encode(struct), type=type(struct))


@given(
    st.builds(Settle, issuers, accounts, days, st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
)
def test_a_settlement_arrives_as_it_was_sent(settle):
    assert redemptions.read_settle(over_the_wire(redemptions.write_settle(settle))) == settle


def settle_of(stamp, **changes):
    return Settle(stamp.issuer, *stamp.key, bytes(32), stamp, "example.org", **changes)


def test_a_settlement_arrives_with_its_stamp_but_for_the_salt_which_stays_with_the_letter():
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    arrived = redemptions.read_settle(over_the_wire(redemptions.write_settle(settle_of(stamp))))
    assert stamp.salt is not None
    assert arrived == settle_of(parse_stamp(stamp.for_office()))


def test_a_settlement_without_its_stamp_is_written_as_offices_have_always_read_it():
    settle = settle_of(Stationery().stamp(LETTER, "bob@example.org"))
    for one in (settle.without_stamp(), replace(settle.without_stamp(), domain="example.org")):
        sent = msgspec.json.encode(redemptions.SettleRequest([redemptions.write_settle(one)]))
        [item] = msgspec.json.decode(sent)["settles"]
        assert set(item) == {"issuer", "account", "expiry_day", "serial", "letter"}


def test_holds_that_last_are_asked_for_as_offices_have_always_read_it():
    sent = redemptions.HoldRequest([], 60)
    assert msgspec.json.decode(msgspec.json.encode(sent)) == {"holds": [], "lease_seconds": 60}
    assert over_the_wire(redemptions.HoldRequest([], 60, lasting=False)).lasting is False
    assert over_the_wire(redemptions.HoldRequest([])) == redemptions.HoldRequest([], 1320, lasting=True)


@pytest.mark.parametrize(
    "change",
    [
        {"stamp": "v=2"},
        {"stamp": "é"},
        {"stamp": ""},
        {"domain": ""},
        {"domain": "Example.org"},
        {"domain": "a b"},
        {"serial": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"account": "b" * 16},
        {"expiry_day": 1},
        {"issuer": "post.example.net"},
    ],
)
def test_a_stamp_out_of_form_or_of_another_settlement_is_malformed(change):
    item = redemptions.write_settle(settle_of(Stationery().stamp(LETTER, "bob@example.org")))
    with pytest.raises(Malformed):
        redemptions.read_settle(msgspec.structs.replace(item, **change))


def test_a_settlement_that_brings_the_salt_along_is_malformed():
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    item = redemptions.write_settle(settle_of(stamp))
    with pytest.raises(Malformed, match="salt"):
        redemptions.read_settle(msgspec.structs.replace(item, stamp=stamp.text.decode()))


@given(
    st.builds(
        Void,
        issuers,
        accounts,
        days,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=32, max_size=32),
        st.binary(min_size=16, max_size=16),
    )
)
def test_a_void_arrives_as_it_was_sent(void):
    assert redemptions.read_void(over_the_wire(redemptions.write_void(void))) == void


@given(
    st.builds(
        HoldAnswer,
        st.sampled_from(HoldOutcome),
        st.none() | st.builds(FirstUse, names, names, st.binary(min_size=32, max_size=32), days),
        st.sampled_from(["", "bad-signature"]),
    )
)
def test_an_answer_arrives_as_it_was_sent(answer):
    assert redemptions.read_hold_answer(over_the_wire(redemptions.write_hold_answer(answer))) == answer


@pytest.mark.parametrize(
    "change",
    [{"serial": "AAAA"}, {"serial": "é"}, {"letter": "A" * 42 + "B="}, {"letter": "not base64"}, {"serial": ""}],
)
def test_bytes_out_of_form_are_malformed(change):
    item = redemptions.write_settle(Settle("post.example.org", "a" * 16, 20_000, bytes(16), bytes(32)))
    with pytest.raises(Malformed):
        redemptions.read_settle(msgspec.structs.replace(item, **change))


@pytest.mark.parametrize("flaw", [None, *(reason for reason in Reason if reason.kind is Kind.DUE)])
def test_a_hold_arrives_with_its_flaw_and_without_one_as_offices_have_always_read_it(flaw):
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    hold = Hold(bytes(16), 3, parse_stamp(stamp.for_office()), "example.org", bytes(32), flaw)
    sent = redemptions.write_hold(hold)
    assert redemptions.read_hold(over_the_wire(sent)) == hold
    assert (b'"flaw"' in msgspec.json.encode(sent)) is (flaw is not None)


@pytest.mark.parametrize("name", ["stamped", "postmaster", "internal", "a word of tomorrow"])
def test_a_flaw_by_a_name_that_is_none_here_is_a_flaw_all_the_same(name):
    hold = Hold(bytes(16), 3, Stationery().stamp(LETTER, "bob@example.org"), "example.org", bytes(32))
    item = msgspec.structs.replace(redemptions.write_hold(hold), flaw=name)
    assert redemptions.read_hold(item).flaw is Reason.MALFORMED
