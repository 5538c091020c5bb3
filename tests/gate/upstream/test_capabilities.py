"""What several mail servers offer together, and what an envelope asks for."""

from dataclasses import replace

import pytest

from pennyred.gate.upstream.capabilities import NO_NEEDS, Needs, meeting, needs_of
from pennyred.gate.upstream.endpoint import Capabilities


@pytest.mark.parametrize(
    ("lines", "keywords", "size"),
    [
        ([b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>"], (), 0),
        ([b"mail from:<a@b.example> size=1000 body=8bitmime"], ("8BITMIME",), 1000),
        ([b"MAIL FROM:<a@b.example> BODY=7BIT AUTH=<>"], (), 0),
        ([b"MAIL FROM:<> SMTPUTF8 RET=HDRS ENVID=x"], ("SMTPUTF8", "DSN"), 0),
        ([b"MAIL FROM:<>", b"RCPT TO:<c@d.example> NOTIFY=NEVER"], ("DSN",), 0),
        ([b"MAIL FROM:<> REQUIRETLS MT-PRIORITY=3"], ("REQUIRETLS", "MT-PRIORITY"), 0),
    ],
)
def test_an_envelopes_parameters_say_what_it_needs(lines, keywords, size):
    needs = needs_of(lines)
    assert needs == Needs(frozenset(keywords), size)
    assert (needs is NO_NEEDS) == (not keywords and not size)


def test_needs_are_met_by_who_offers_all_of_them_and_has_the_room():
    needs = Needs(frozenset({"DSN"}), 1000)
    assert needs.are_met_by(Capabilities(frozenset({"DSN", "SIZE"})))
    assert needs.are_met_by(Capabilities(frozenset({"DSN"}), 1000))
    assert not needs.are_met_by(Capabilities(frozenset({"DSN"}), 999))
    assert not needs.are_met_by(Capabilities(frozenset({"SIZE"})))


def test_together_they_offer_what_each_does_and_the_least_room():
    one = Capabilities(frozenset({"SIZE", "DSN", "SMTPUTF8"}), 500, frozenset({"ADDR", "NAME"}))
    other = Capabilities(frozenset({"SIZE", "DSN"}), 0, frozenset({"ADDR"}))
    third = Capabilities(frozenset({"SIZE", "DSN", "8BITMIME"}), 300, frozenset({"ADDR"}))
    mixer = replace(one, priorities="MIXER")
    assert meeting([one]) == one
    assert meeting([mixer, mixer]) == mixer
    assert meeting([mixer, one]) == one
    assert meeting([one, other, third]) == Capabilities(frozenset({"SIZE", "DSN"}), 300, frozenset({"ADDR"}))
