"""A filter of keys: it forgets no member, takes few strangers for one, and stays as large as it is."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.memory.keyfilter import OCTETS, KeyFilter

texts = st.text(max_size=20)
keys = st.tuples(texts, texts, texts | st.binary(max_size=16))


@given(st.lists(keys))
def test_a_member_is_never_taken_for_a_stranger(members):
    filter_ = KeyFilter()
    for one in members:
        filter_.add(one)
    assert all(one in filter_ for one in members)
    assert filter_.count == len(members)


def test_nobody_is_in_an_empty_one():
    assert not any(("sent", "", str(number)) in KeyFilter() for number in range(20))


def test_among_a_million_members_one_stranger_in_sixty_is_taken_for_one_at_most():
    filter_ = KeyFilter()
    for number in range(1_000_000):
        filter_.add(("correspondent", "bob@example.org", number.to_bytes(16, "big")))
    taken = sum(("correspondent", "eve@example.org", number.to_bytes(16, "big")) in filter_ for number in range(30_000))
    assert taken < 30_000 / 60
    assert sys.getsizeof(filter_._bits) < OCTETS + 1000
