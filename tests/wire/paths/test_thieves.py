"""Thieves with an unspent stamped letter of Ann's: each is told what the table of alterations says, and wins nothing.

A stamp counts for one letter and one man. So a thief can at most bring Ann's own text to the man it was for, once.
"""

import pytest
from tests.wire.paths.hop import put
from tests.wire.paths.letters import PLAIN
from tests.wire.paths.thieves import THIEVES
from tests.wire.paths.world import hand_in

REFUSED = [thief for thief in THIEVES if not thief.reason.startswith("stamped")]
COUNTED = [thief for thief in THIEVES if thief.reason.startswith("stamped")]


@pytest.mark.parametrize("thief", REFUSED, ids=lambda thief: thief.name)
def test_a_thief_is_refused_and_the_honest_letter_still_arrives(thief, world):
    world.forget()
    stamped = world.stamp(thief.letter)
    assert world.submit(thief.does(stamped), thief.source, thief.to).reason == thief.reason
    assert world.submit(stamped).reason == "stamped"


@pytest.mark.parametrize("thief", COUNTED, ids=lambda thief: thief.name)
def test_where_a_thief_is_not_refused_he_has_brought_a_text_of_anns(thief, world):
    world.forget()
    stamped = world.stamp(thief.letter)
    assert world.submit(thief.does(stamped), thief.source, thief.to).reason == thief.reason
    assert world.submit(stamped).reason == thief.then


def test_a_letter_that_comes_by_two_ways_is_paid_once(world):
    world.forget()
    stamped, before = world.stamp(PLAIN), world.town.balance()[0]
    assert world.submit(put("Message-ID", "<9@provider.example>")(stamped)).reason == "stamped-modified"
    assert world.submit(stamped).reason == "resent"
    assert world.town.balance()[0] == before + 1


def test_a_stamp_that_is_in_the_letter_twice_is_spent_once(world):
    world.forget()
    stamped = world.stamp(PLAIN)
    before = world.town.balance()[0]
    field = stamped.partition(b"\r\nFrom:")[0] + b"\r\n"
    assert world.submit(field + stamped).reason == "stamped"
    assert world.town.balance()[0] == before + 1


def test_whoever_has_bobs_letter_brings_it_to_nobody_else_in_the_same_session(world):
    """Bob's stamp counts for Bob; Carl, who is named beside him, has to be paid for."""
    world.forget()
    stamped = world.stamp(PLAIN)
    assert world.submit(stamped).reason == "stamped"
    code, said = hand_in(stamped, world.port, to="carl@example.net")
    assert (code, b"(wrong-recipient)" in said) == (550, True)
