"""A letter that is sent again pays once, and shows nobody another's stamp."""

import itertools
from dataclasses import replace

import pytest
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.signing import SigningKey
from pennyred.sender.franking import make_copies, stamp_letter

PAPER = Stationery()
BOB, CAROL = "bob@example.org", "carol@example.net"


@pytest.fixture
def frank():
    """Stamp a letter, with randomness that never repeats."""
    numbers = itertools.count(1)

    def frank(letter, *to, paper=PAPER, now=NOW, **options):
        random_bytes = lambda count: next(numbers).to_bytes(count, "big")  # noqa: E731
        return stamp_letter(
            letter, to, paper.sender_key, paper.licence(now=now), now=now, random_bytes=random_bytes, **options
        )

    return frank


def stamps(letter):
    return parse_header(split_letter(letter)[0]).named(b"x-postage-stamp")


def test_stamping_again_adds_nothing(frank):
    stamped = frank(LETTER, BOB, CAROL)

    assert frank(stamped, BOB, CAROL, now=NOW + DAY) == stamped
    assert frank(stamped, "BOB@Example.org") == stamped


def test_a_recipient_more_is_a_stamp_more(frank):
    stamped = frank(LETTER, BOB)

    assert frank(stamped, BOB, CAROL).endswith(stamped)
    assert len(stamps(frank(stamped, BOB, CAROL))) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda letter: letter.replace(b"Subject: Tea", b"Subject: Gold"),
        lambda letter: letter.replace(b"Shall we", b"Shall they"),
        lambda letter: letter.replace(b"b=", b"b=AAAA"),
    ],
    ids=["another subject", "another body", "a damaged stamp"],
)
def test_a_stamp_that_does_not_hold_for_the_letter_is_no_stamp(frank, change):
    changed = change(frank(LETTER, BOB))

    assert len(stamps(frank(changed, BOB))) == 2


def test_a_stamp_about_to_expire_is_no_stamp(frank):
    stamped = frank(LETTER, BOB)

    assert len(stamps(frank(stamped, BOB, now=NOW + 14 * DAY - 60))) == 2


def test_a_stamp_of_another_price_or_account_is_no_stamp(frank):
    other = replace(PAPER, account="bbbbbbbbbbbbbbbb", sender_key=SigningKey.from_seed(b"\x07" * 32))
    stamped = frank(LETTER, BOB)

    assert len(stamps(frank(stamped, BOB, price=2))) == 2
    assert len(stamps(frank(stamped, BOB, paper=other))) == 2


def test_a_copy_shows_its_own_stamps_only(frank):
    """Whoever holds a letter can confirm a guess of its stamps' recipients."""
    stamped = frank(LETTER, BOB, CAROL, "eve@example.org")

    by_bob, by_carol, by_eve = make_copies(stamped, [BOB, CAROL], ["eve@example.org"])

    for copy, to in ((by_bob, BOB), (by_carol, CAROL), (by_eve, "eve@example.org")):
        assert len(stamps(copy.letter)) == 1
        assert frank(copy.letter, to) == copy.letter
        assert copy.letter.endswith(LETTER)


def test_what_is_no_stamp_at_all_stays_in_every_copy():
    odd = b"X-Postage-Stamp: none\r\n" + LETTER

    assert make_copies(odd, [BOB])[0].letter == odd
