"""Which stamps of a letter may pay which of its recipients."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import LETTER, NOW, Stationery

from pennyred.postage import candidates
from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.candidates import STAMPS_READ_BASE, STAMPS_TRIED_MAX, Candidates, find_candidates
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp

BOB, EVE = "bob@example.org", "eve@example.org"


def header_with(*stamps: Stamp | bytes) -> HeaderSection:
    """The header of a letter with these stamps, or fields, on top."""
    fields = [stamp.field() if isinstance(stamp, Stamp) else stamp for stamp in stamps]
    return parse_header(split_letter(b"".join(fields) + LETTER)[0])


def offered(header: HeaderSection, *mailboxes: str) -> list[Candidates]:
    return find_candidates(header, [canonical_recipient(mailbox) for mailbox in mailboxes])


def test_each_recipient_is_offered_its_own_stamp() -> None:
    paper = Stationery()
    for_bob, for_eve = paper.stamp(LETTER, BOB), paper.stamp(LETTER, EVE)
    found = offered(header_with(for_eve, for_bob), BOB, EVE)
    assert [one.stamps for one in found] == [(for_bob,), (for_eve,)]


def test_another_spelling_of_the_mailbox_is_the_same_recipient() -> None:
    stamp = Stationery().stamp(LETTER, BOB)
    (found,) = offered(header_with(stamp), '"BOB"@EXAMPLE.org')
    assert found.stamps == (stamp,)


def test_a_letter_without_stamps_has_no_stamp() -> None:
    assert offered(header_with(), BOB) == [Candidates((), Reason.NO_STAMP)]
    assert offered(header_with()) == []


def test_a_stamp_for_another_recipient_of_the_envelope_is_not_held_against_this_one() -> None:
    found = offered(header_with(Stationery().stamp(LETTER, EVE)), BOB, EVE)
    assert found[0] == Candidates((), Reason.NO_STAMP)


def test_a_stamp_for_nobody_in_the_envelope_is_for_a_wrong_recipient() -> None:
    assert offered(header_with(Stationery().stamp(LETTER, EVE)), BOB) == [Candidates((), Reason.WRONG_RECIPIENT)]


def test_a_stamp_whose_salt_was_taken_off_is_for_a_wrong_recipient() -> None:
    field = b"X-Postage-Stamp: " + Stationery().stamp(LETTER, BOB).for_office() + b"\r\n"
    assert offered(header_with(field), BOB) == [Candidates((), Reason.WRONG_RECIPIENT)]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"X-Postage-Stamp: garbage\r\n", Reason.MALFORMED),
        (b"x-postage-stamp: v=3; future=yes\r\n", Reason.UNKNOWN_VERSION),
        (b"X-Postage-Stamp:\r\n", Reason.MALFORMED),
        (b"X-Postage-Stamps: v=2\r\n", Reason.NO_STAMP),
    ],
)
def test_what_cannot_be_read_is_said_where_nothing_else_counts(field: bytes, reason: Reason) -> None:
    assert offered(header_with(field), BOB) == [Candidates((), reason)]


def test_the_first_that_cannot_be_read_gives_the_reason() -> None:
    fields = b"X-Postage-Stamp: v=1\r\n", b"X-Postage-Stamp: garbage\r\n"
    assert offered(header_with(*fields), BOB)[0].otherwise is Reason.UNKNOWN_VERSION
    assert offered(header_with(*reversed(fields)), BOB)[0].otherwise is Reason.MALFORMED


def test_a_mailbox_that_stands_twice_in_the_envelope_needs_two_stamps() -> None:
    paper = Stationery()
    one, two = paper.stamp(LETTER, BOB), paper.stamp(LETTER, BOB)
    assert [found.stamps for found in offered(header_with(one), BOB, BOB)] == [(one,), ()]
    assert [found.stamps for found in offered(header_with(one, two), BOB, "BOB@example.org")] == [(one,), (two,)]


def test_the_same_stamp_twice_is_one_stamp() -> None:
    stamp = Stationery().stamp(LETTER, BOB)
    assert [found.stamps for found in offered(header_with(stamp, stamp), BOB, BOB)] == [(stamp,), ()]


def test_stamps_that_share_a_serial_are_one_stamp_to_a_ledger_and_so_here() -> None:
    first, again = Stationery().stamp(LETTER, BOB), Stationery().stamp(LETTER, BOB, price=2)
    assert first.serial == again.serial
    assert offered(header_with(first, again), BOB)[0].stamps == (first,)


def test_at_most_four_stamps_are_tried_for_a_recipient() -> None:
    paper = Stationery()
    stamps = [paper.stamp(LETTER, BOB) for _ in range(STAMPS_TRIED_MAX + 2)]
    assert offered(header_with(*stamps), BOB)[0].stamps == tuple(stamps[:STAMPS_TRIED_MAX])


def test_a_mailbox_without_a_canonical_form_has_no_stamp() -> None:
    stamp = Stationery().stamp(LETTER, BOB)
    found = find_candidates(header_with(stamp), [None, canonical_recipient(BOB), None])
    assert [one.stamps for one in found] == [(), (stamp,), ()]


def test_only_so_many_fields_are_read() -> None:
    stamp = Stationery().stamp(LETTER, BOB)
    junk = b"X-Postage-Stamp: junk\r\n"
    limit = candidates._stamps_read_max(1)
    assert offered(header_with(*[junk] * (limit - 1), stamp), BOB)[0].stamps == (stamp,)
    assert offered(header_with(*[junk] * limit, stamp), BOB)[0] == Candidates((), Reason.MALFORMED)


@given(st.integers(0, 100_000))
def test_enough_fields_are_read_for_every_recipient_and_never_more_than_so_many(recipients: int) -> None:
    stamps = candidates._stamps_read_max(recipients)
    assert STAMPS_READ_BASE <= stamps <= candidates.STAMPS_READ_MAX
    assert stamps >= min(recipients, candidates.STAMPS_READ_MAX)


@pytest.mark.parametrize(
    ("arrange", "most"),
    [
        (lambda stamps: stamps, 100),
        (lambda stamps: stamps[::-1], 200),
        (lambda stamps: random.Random(1).sample(stamps, 100), 3500),
    ],
    ids=["as the recipients", "the other way round", "shuffled"],
)
def test_stamps_in_order_cost_a_try_each(
    arrange: Callable[[list[Stamp]], list[Stamp]], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter to a thousand recipients would else cost half a million, in which nobody else is served."""
    envelope = [f"r{number}@example.org" for number in range(100)]
    paper = Stationery()
    stamps = [paper.stamp(LETTER, one) for one in envelope]
    tries = []
    found = candidates._is_for
    monkeypatch.setattr(candidates, "_is_for", lambda *pair: tries.append(pair) or found(*pair))
    assert [one.stamps for one in offered(header_with(*arrange(stamps)), *envelope)] == [(stamp,) for stamp in stamps]
    assert len(tries) <= most


def test_strays_are_tried_until_it_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "TRIES_MAX", 50)
    paper = Stationery()
    strays = [paper.stamp(LETTER, f"s{number}@example.org") for number in range(20)]
    envelope = [f"r{number}@example.org" for number in range(10)]
    tries = []
    found = candidates._is_for
    monkeypatch.setattr(candidates, "_is_for", lambda *pair: tries.append(pair) or found(*pair))
    stamp = paper.stamp(LETTER, envelope[0])
    assert offered(header_with(*strays[:4], stamp), *envelope)[0].stamps == (stamp,)
    tries.clear()
    assert offered(header_with(*strays, stamp), *envelope)[0].stamps == ()
    assert len(tries) == 50


def test_names_of_aliases_are_tries_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipient may have eight: strays would else cost eight times as much."""
    monkeypatch.setattr(candidates, "TRIES_MAX", 500)
    paper = Stationery()
    strays = [paper.stamp(LETTER, f"s{number}@example.org") for number in range(20)]
    envelope = [canonical_recipient(f"r{number}@example.org") for number in range(10)]
    names = [[one, *(Recipient(f"{one.local}-{number}", one.domain) for number in range(8))] for one in envelope]
    stamp = paper.stamp(LETTER, "r7-3@example.org")
    assert find_candidates(header_with(stamp, *strays), envelope, names)[7].stamps == (stamp,)
    tries = []
    found = candidates._is_for
    monkeypatch.setattr(candidates, "_is_for", lambda *pair: tries.append(pair) or found(*pair))
    assert find_candidates(header_with(*strays, stamp), envelope, names)[7].stamps == ()
    assert len(tries) <= 500 + 8 * len(envelope)


@given(
    st.lists(st.sampled_from([BOB, EVE, "ann@example.org"]), max_size=6),
    st.lists(st.sampled_from([BOB, EVE]), max_size=6),
)
def test_no_stamp_is_offered_to_two_places(envelope: list[str], stamped: list[str]) -> None:
    paper = Stationery()
    found = offered(header_with(*[paper.stamp(LETTER, to, now=NOW) for to in stamped]), *envelope)
    serials = [stamp.serial for one in found for stamp in one.stamps]
    assert len(serials) == len(set(serials))
    for mailbox in {*envelope}:
        places = [one for to, one in zip(envelope, found, strict=True) if to == mailbox]
        assert sum(bool(one.stamps) for one in places) == min(len(places), stamped.count(mailbox))


def test_postmaster_without_a_domain_can_have_a_stamp() -> None:
    stamp = Stationery().stamp(LETTER, "Postmaster")
    assert find_candidates(header_with(stamp), [Recipient("postmaster", "")])[0].stamps == (stamp,)
