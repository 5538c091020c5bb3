"""Rules of single recipients, their other names, and the maps that tell those."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.address import canonical_recipient
from pennyred.postage.recipients import ALIASES_TRIED_MAX, Aliases, RecipientRule, RecipientRules, read_alias_map

RULES = RecipientRules(
    {"bob@example.org": RecipientRule(1), "bob+vip@example.org": RecipientRule(2), "example.org": RecipientRule(3)}
)


@pytest.mark.parametrize(
    ("mailbox", "price"),
    [
        ("bob@example.org", 1),
        ("bob+shop@example.org", 1),
        ("bob+vip@example.org", 2),
        ("eve@example.org", 3),
        ("bob@sub.example.org", None),
        ("bob@example.net", None),
    ],
)
def test_the_most_particular_rule_counts(mailbox, price):
    assert RULES.of(canonical_recipient(mailbox)).price == price


VIRTUAL = """
# Postfix, virtual(5)
info@example.org        ann@example.org, Bob@EXAMPLE.org
example.net             anything
@example.net            catch@example.org
sales@example.org
    ann@example.org
    carol@example.org   # not a comment to Postfix: an address that is none
postmaster@example.org  root
"""
ALIASES = """
# sendmail, aliases(5)
info: ann, bob@elsewhere.example
staff: :include:/etc/mail/staff
robot: "|/usr/bin/vacation"
file: /var/mail/file
loop: loop
"""


def test_postfixs_maps_are_read():
    pairs = set(read_alias_map(VIRTUAL))
    assert ("info@example.org", "ann@example.org") in pairs
    assert ("info@example.org", "bob@example.org") in pairs
    assert not any(alias.startswith("@") or "@" not in alias for alias, _ in pairs)


def test_sendmails_maps_are_read_with_the_domain_of_their_names():
    assert set(read_alias_map(ALIASES, "example.org")) == {
        ("info@example.org", "ann@example.org"),
        ("info@example.org", "bob@elsewhere.example"),
    }


@given(st.text(st.sampled_from('ab@.: \t\n#,|/"<>\\é'), max_size=200))
def test_whatever_stands_in_a_map_nothing_breaks(text):
    Aliases(read_alias_map(text, "example.org"))


def test_names_lead_from_whom_an_alias_stands_for_to_the_alias_and_are_not_too_many():
    pairs = [(f"info{number}@example.org", "ann@example.org") for number in range(50)]
    aliases = Aliases([("info@example.org", "bob@example.org"), *pairs])
    info, bob, ann = (canonical_recipient(f"{name}@example.org") for name in ("info", "bob", "ann"))
    assert aliases.names_of(bob) == (bob, info)
    assert aliases.names_of(info) == (info,)
    assert len(aliases.names_of(ann)) == 1 + ALIASES_TRIED_MAX
