"""A letter that is sent again pays once, and shows nobody another's stamp."""

import itertools

import pytest
from tests.support.at_once import reason_of
from tests.support.replacing import replace
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import FIELD_BYTES_MAX, split_field
from pennyred.sender.franking import make_copies, stamp_letter
from pennyred.sender.stamps_borne import STAMPS_IN_A_FIELD_MAX

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


def good(letter, to):
    """How many stamps hold for a recipient of the letter, as it arrives, by a gate's rules."""
    header, recipient = parse_header(split_letter(letter)[0]), canonical_recipient(to)
    found = find_candidates(header, [recipient])[0].stamps
    return [reason_of(stamp, letter, [to], issuers=PAPER.issuers, now=NOW) for stamp in found].count(Reason.STAMPED)


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


def test_in_one_field_stand_all_stamps_and_each_pays_its_own(frank):
    stamped = frank(frank(LETTER, BOB), BOB, CAROL, "dora@example.net", in_one_field=True)

    assert len(stamps(stamped)) == 1
    assert stamped.endswith(LETTER)
    assert [good(stamped, to) for to in (BOB, CAROL, "dora@example.net", "eve@example.net")] == [1, 1, 1, 0]
    assert frank(stamped, BOB, CAROL, in_one_field=True) == stamped
    assert max(map(len, stamped.split(b"\r\n"))) <= 78


def test_more_than_a_field_can_hold_stand_in_several(frank):
    many = [f"a{number}@example.org" for number in range(STAMPS_IN_A_FIELD_MAX + 1)]

    stamped = frank(LETTER, *many, in_one_field=True)

    assert [len(list(split_field(one.value))) for one in stamps(stamped)] == [STAMPS_IN_A_FIELD_MAX, 1]
    assert max(len(one.raw) for one in stamps(stamped)) < FIELD_BYTES_MAX
    assert all(good(stamped, to) for to in many)


def test_a_field_that_cannot_be_read_is_not_taken_apart(frank):
    damaged = b"X-Postage-Stamp: v=3;\r\nReceived: x\r\n" + LETTER

    assert frank(damaged, BOB, in_one_field=True).endswith(damaged)


def test_of_one_field_a_copy_shows_the_stamps_of_its_own_recipients_only(frank):
    letter = LETTER.replace(b"<bob@example.org>", b"<bob@example.org>, carol@example.net")

    copies = make_copies(frank(letter, BOB, CAROL, in_one_field=True), [BOB, CAROL])

    assert [[good(copy.letter, to) for to in (BOB, CAROL)] for copy in copies] == [[1, 0], [0, 1]]


@pytest.mark.parametrize("odd", [b"v=3;future=yes;", b"v=2;rubbish=1;", b"v=none", b"v=2;="])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_beside_what_cannot_be_read_a_copy_shows_no_stamp_of_another_either(frank, odd, place):
    """Of a newer version, say, or damaged: the other stamps in its field can be read by whoever gets the copy."""
    values = [one.value for one in stamps(frank(LETTER, BOB, CAROL))]
    texts = [b"".join(split_field(value)) + b";" for value in values]
    texts.insert(place, odd)
    letter = b"X-Postage-Stamp: " + b"".join(text if text.endswith(b";") else text + b";" for text in texts) + b"\r\n"

    by_bob, by_carol = make_copies(letter + LETTER, [BOB], [CAROL])

    assert [[good(copy.letter, to) for to in (BOB, CAROL)] for copy in (by_bob, by_carol)] == [[1, 0], [0, 1]]
    left = [text for copy in (by_bob, by_carol) for one in stamps(copy.letter) for text in split_field(one.value)]
    assert len([text for text in left if text.startswith(b"v=3;future=yes")]) == 2 * odd.startswith(b"v=3")


def test_a_field_too_long_for_any_gate_shows_nobody_the_stamps_in_it(frank):
    value = b" ".join(one.value for one in stamps(frank(LETTER, BOB, CAROL)))
    long = b"X-Postage-Stamp:" + value + b"\r\n " * (FIELD_BYTES_MAX // 3) + b";\r\n" + LETTER

    assert make_copies(long, [BOB])[0].letter == LETTER
