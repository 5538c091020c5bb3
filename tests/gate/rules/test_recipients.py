"""Rules of single recipients, their other names, and the maps that tell those."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.recipients import ALIASES_TRIED_MAX, Aliases, RecipientRule, RecipientRules, read_alias_map
from pennyred.postage.address import canonical_recipient

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


def names(aliases, mailbox):
    return [one.canonical for one in aliases.names_of(canonical_recipient(mailbox))]


def test_aliases_of_aliases_are_followed_to_their_beginning_the_nearest_first():
    pairs = [
        ("sales@a.example", "info@a.example"),
        ("info@a.example", "ann@a.example"),
        ("shop@a.example", "sales@a.example"),
    ]
    for order in (pairs, pairs[::-1]):
        found = names(Aliases(order), "ann@a.example")
        assert found == ["ann@a.example", "info@a.example", "sales@a.example", "shop@a.example"]
    assert names(Aliases(pairs), "sales@a.example") == ["sales@a.example", "shop@a.example"]
    assert names(Aliases(pairs), "shop@a.example") == ["shop@a.example"]


def test_a_chain_has_an_end_however_long_it_is_and_however_many_lead_into_it():
    chain = [(f"a{number + 1}@x.example", f"a{number}@x.example") for number in range(1000)]
    crowd = [(f"c{number}@x.example", "a0@x.example") for number in range(1000)]
    assert names(Aliases(chain), "a0@x.example") == [f"a{number}@x.example" for number in range(1 + ALIASES_TRIED_MAX)]
    assert len(names(Aliases(crowd + chain), "a0@x.example")) == 1 + ALIASES_TRIED_MAX
    assert Aliases(chain).circles() == []


@pytest.mark.parametrize(
    ("pairs", "circles"),
    [
        ([("a", "b"), ("b", "c")], []),
        ([("a", "b"), ("a", "c"), ("b", "c")], []),
        ([("a", "b"), ("b", "a")], [{"a", "b"}]),
        ([("a", "b"), ("b", "c"), ("c", "a"), ("x", "a")], [{"a", "b", "c"}]),
        ([("a", "end"), ("a", "b"), ("b", "end"), ("b", "a")], [{"a", "b"}]),
        ([("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("a", "c")], [{"a", "b"}, {"c", "d"}]),
        ([("a", "a")], []),
    ],
)
def test_circles_are_named_and_following_them_ends(pairs, circles):
    aliases = Aliases([(f"{alias}@x.example", f"{target}@x.example") for alias, target in pairs])
    found = aliases.circles()
    assert sorted(map(sorted, found)) == sorted([f"{one}@x.example" for one in sorted(circle)] for circle in circles)
    for circle in found:  # each leads to the next
        for alias, target in zip(circle, (*circle[1:], circle[0]), strict=True):
            assert alias in names(aliases, target)


letters = st.sampled_from("abcdef")


@given(st.lists(st.tuples(letters, letters), max_size=15))
def test_a_stamp_counts_for_whom_the_aliases_lead_to_and_for_nobody_else(pairs):
    aliases = Aliases([(f"{alias}@x.example", f"{target}@x.example") for alias, target in pairs])
    for start in "abcdef":
        reached, waiting = {start}, [start]
        while waiting:
            name = waiting.pop()
            before = {alias for alias, target in pairs if target == name} - reached
            reached |= before
            waiting += before
        assert set(names(aliases, f"{start}@x.example")) == {f"{one}@x.example" for one in reached}
    is_round = any(
        alias != target
        and f"{alias}@x.example" in names(aliases, f"{alias}@x.example")
        and f"{target}@x.example" in names(aliases, f"{alias}@x.example")
        for alias, target in pairs
    )
    assert bool(aliases.circles()) == is_round


def test_an_address_keeps_its_tag_through_aliases_that_have_none():
    aliases = Aliases([("info@x.example", "ann@x.example"), ("ann+shop@x.example", "bob@x.example")], "+")
    assert names(aliases, "ann+news@x.example") == ["ann+news@x.example", "info+news@x.example"]
    assert names(aliases, "bob@x.example") == ["bob@x.example", "ann+shop@x.example", "info+shop@x.example"]
    assert names(Aliases([("info@x.example", "ann@x.example")]), "ann+news@x.example") == ["ann+news@x.example"]


def test_a_whole_domain_may_stand_for_another():
    aliases = Aliases(
        read_alias_map("@old.example @New.Example\nbob@old.example eve@new.example\n@all.example ann@new.example")
    )
    assert names(aliases, "ann@new.example") == ["ann@new.example", "ann@old.example"]
    assert names(aliases, "bob@new.example") == ["bob@new.example"], "Bob's own line goes before"
    assert names(aliases, "eve@new.example") == ["eve@new.example", "bob@old.example", "eve@old.example"]
    assert Aliases([("@a.example", "@b.example"), ("@b.example", "@a.example")]).circles() == [
        ("@a.example", "@b.example")
    ]


def test_comments_and_empty_lines_end_no_entry_and_quotes_hold_a_name_together():
    text = """
staff@x.example ann@x.example,
# a comment

   # another
    bob@x.example
"odd one"@x.example   carl@x.example
carl@x.example "a, b"@x.example , "c"@x.example
"""
    assert list(read_alias_map(text)) == [
        ("staff@x.example", "ann@x.example"),
        ("staff@x.example", "bob@x.example"),
        ("odd one@x.example", "carl@x.example"),
        ("carl@x.example", "a, b@x.example"),
        ("carl@x.example", "c@x.example"),
    ]
    assert list(
        read_alias_map('"odd one" : ann, "|prog a, b", \\bob, /file, :include:/list, "/a b"\n', "x.example")
    ) == [("odd one@x.example", "ann@x.example")]


def test_aliases_that_stand_for_several_are_known():
    aliases = Aliases(
        [("all@x.example", "a@x.example"), ("all@x.example", "b@x.example"), ("one@x.example", "a@x.example")]
    )
    assert list(aliases.divided()) == ["all@x.example"]
