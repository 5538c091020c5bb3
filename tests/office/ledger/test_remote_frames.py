"""Octets between the ledger's process and those who ask it: however they are cut, and whatever they say."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledgerworld import order, settle_of, void_of

from pennyred.office.ledger.remote.asks import Hold, SettleAll, VoidAll
from pennyred.office.ledger.remote.bookkeeping import AnyAsk, read_ask
from pennyred.office.ledger.remote.frames import FRAME_BYTES_MAX, FrameReader, frame_of
from pennyred.postage.errors import Malformed


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 2500), max_size=12))
def test_frames_do_not_depend_on_how_their_octets_are_cut(bodies, cuts):
    octets = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    reader, found, last = FrameReader(), [], 0
    for cut in [*sorted(min(cut, len(octets)) for cut in cuts), len(octets)]:
        found += [bytes(body) for body in reader.feed(octets[last:cut])]
        last = cut
    assert found == bodies


def test_a_long_frame_that_comes_octet_by_octet_is_put_together_once():
    """Were it put together with each piece, this test would not come to its end."""
    reader, body = FrameReader(), bytes(2**20)
    octets = len(body).to_bytes(4, "big") + body
    assert not any(reader.feed(octets[at : at + 1]) for at in range(len(octets) - 1))
    assert [bytes(one) for one in reader.feed(octets[-1:] + octets[:9])] == [body]


def test_a_frame_that_is_too_long_is_refused_before_it_is_there():
    with pytest.raises(Malformed):
        FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def test_what_is_too_much_for_a_frame_is_not_sent():
    with pytest.raises(ValueError, match="too much"):
        frame_of(bytes(FRAME_BYTES_MAX + 1))


@given(st.integers(), st.integers(min_value=1))
def test_a_number_beyond_all_that_can_be_sent_comes_as_the_nearest(day, price):
    held = order(expiry_day=day, price=price)
    asks = Hold(1, "mx", [held], 5), SettleAll(2, "mx", [settle_of(held)], 5), VoidAll(3, "mx", [void_of(held)], 5)
    for ask in asks:
        [item] = read_ask(frame_of(ask)[4:]).items
        assert item.serial == held.serial
        assert item.expiry_day == day or abs(item.expiry_day) >= 2**63 - 1
        assert (item.expiry_day > 0) == (day > 0)


def test_every_ask_has_a_name_of_its_own_and_reads_its_answer():
    kinds = AnyAsk.__args__
    assert len({msgspec.inspect.type_info(kind).tag for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert isinstance(kind.answer, msgspec.msgpack.Decoder)
