"""Facts added up: nothing is lost, nothing counted twice, and what strangers can make many is bounded."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import NAME_CHARACTERS_MAX, OTHERS, SEVERAL, Fact, Figures, Outcome, plain_name
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason

FLAGS = st.sampled_from([None, True, False])
FACTS = st.builds(
    Fact,
    day=st.integers(20_000, 20_003),
    mode=st.sampled_from(Mode),
    outcome=st.sampled_from(Outcome),
    reason=st.sampled_from([Reason.NO_STAMP, Reason.STAMPED, Reason.LIST]),
    by_bulk=FLAGS,
    by_require=FLAGS,
    source=st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "a.example"]),
    sender_domain=st.sampled_from(["", "a.example", "b.example"]),
    row=st.sampled_from([None, *Row]),
)
LETTERS = st.lists(st.lists(FACTS, max_size=4), max_size=12)


def refused(source="192.0.2.0/24", day=20_000, *, outcome=Outcome.REFUSED_HERE, sender_domain="a.example"):
    return Fact(day, Mode.REQUIRE, outcome, Reason.NO_STAMP, None, True, source, sender_domain)


def merged(*all_figures):
    whole = Figures()
    for figures in all_figures:
        whole.merge(copy.deepcopy(figures))
    return whole


@given(LETTERS)
def test_the_sum_of_the_counters_is_the_number_of_facts(letters):
    figures = Figures.of(letters)

    assert sum(figures.recipients.values()) == sum(map(len, letters))
    assert sum(figures.rows.values()) == sum(one.row is not None for letter in letters for one in letter)
    assert sum(figures.letters.values()) == sum(1 for letter in letters if letter)


@given(LETTERS, LETTERS, LETTERS)
def test_merging_is_associative_and_the_same_as_counting_all_at_once(first, second, third):
    one, two, three = Figures.of(first), Figures.of(second), Figures.of(third)

    assert merged(merged(one, two), three) == merged(one, merged(two, three)) == Figures.of(first + second + third)


@given(LETTERS, st.integers(0, 3), st.integers(1, 5))
def test_bounding_keeps_the_sums_of_the_days_it_keeps(letters, sources_max, days_max):
    whole, bounded = Figures.of(letters), Figures.of(letters)
    bounded.bound(sources_max, days_max)

    newest = max((day for day, _ in whole.letters), default=0)
    kept = {day for day in range(20_000, 20_004) if newest - day < days_max}
    for day in range(20_000, 20_004):
        sums = [
            sum(one.total for name, one in figures.sources.items() if name[0] == day) for figures in (whole, bounded)
        ]
        assert sums[1] == (sums[0] if day in kept else 0)
    assert sum(bounded.recipients.values()) == sum(n for count, n in whole.recipients.items() if count.day in kept)
    assert sum(1 for _, source in bounded.sources if source != OTHERS) <= sources_max


def test_what_occurs_most_keeps_its_name():
    figures = Figures.of([[refused("a")] * 3, [refused("b")], [refused("c")] * 2, [refused("d")]])

    figures.bound(2, 1)

    assert {source: one.total for (_, source), one in figures.sources.items()} == {"a": 3, "c": 2, OTHERS: 2}


def test_a_source_is_counted_only_where_somebody_refuses():
    free = Fact(20_000, Mode.MONITOR, Outcome.ACCEPTED, Reason.LIST, False, False, "a", "a.example")
    unsure = Fact(20_000, Mode.MONITOR, Outcome.ACCEPTED, Reason.NO_STAMP, None, None, "b", "b.example")

    assert Figures.of([[free], [unsure]]).sources == {}


def test_what_was_refused_and_what_would_have_been_are_told_apart():
    figures = Figures.of([[refused(), refused(outcome=Outcome.ACCEPTED)], [refused(sender_domain="b.example")]])

    (trouble,) = figures.sources.values()
    assert (trouble.refused, trouble.would_refuse, trouble.sender_domain) == (2, 1, SEVERAL)


def test_a_letter_without_recipients_is_none():
    figures = Figures.of([[]])

    assert not figures
    assert figures == Figures()


@given(st.text(max_size=400))
def test_names_are_bounded_and_printable(text):
    name = plain_name(text)

    assert name.isprintable()
    assert len(name) <= NAME_CHARACTERS_MAX
    assert plain_name(name) == name
