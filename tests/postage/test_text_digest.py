"""What names a delivered text: the same for all copies of one text, another for each other text."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import LETTER, ReceivedLetter, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import Proof, alteration, text_digest
from pennyred.postage.digest import signed_parts

BOB, EVE = (canonical_recipient(one) for one in ("bob@example.org", "eve@example.org"))
PATHS = {
    "another Message-ID": (b"<1@", b"<2@"),
    "no Message-ID": (b"Message-ID: <1@sender.example>\r\n", b""),
    "another Date": (b"10:00:00", b"10:00:01"),
    "another Cc": (b"From: ", b"Cc: x@example.net\r\nFrom: "),
    "another name": (b"Ann <", b"Ann Smith <"),
    "a tag": (b"Subject: ", b"Subject: [EXTERNAL] "),
    "folded": (b"Ann ", b"Ann\r\n "),
    "blanks": (b"tea?\r\n", b"tea? \r\n\r\n"),
    "received": (b"From: ", b"Received: by x.example\r\nFrom: "),
}
TEXTS = {
    "subject": (b"Tea", b"Coffee"),
    "body": (b"Shall we", b"Will you"),
    "reply-to": (b"From: ", b"Reply-To: eve@example.net\r\nFrom: "),
    "html": (b"From: ", b"Content-Type: text/html\r\nFrom: "),
    "author": (b"ann@", b"eve@"),
}
STAMP = Stationery().stamp(LETTER, BOB.canonical)

paths = st.sets(st.sampled_from(sorted(PATHS)))
texts = st.sets(st.sampled_from(sorted(TEXTS)))


def parts(by, of=()):
    """What a stamp would sign of the letter, altered so."""
    letter = LETTER
    for before, after in [TEXTS[one] for one in sorted(of)] + [PATHS[one] for one in sorted(by)]:
        letter = letter.replace(before, after)
    received = ReceivedLetter(letter)
    return signed_parts(received.header, received.body_hash)


@given(paths, texts, paths, texts)
def test_two_copies_are_one_text_if_and_only_if_nothing_but_their_paths_differ(by, of, by_another, of_another):
    is_same = text_digest(STAMP, parts(by, of), BOB) == text_digest(STAMP, parts(by_another, of_another), BOB)
    assert is_same is (of == of_another)


@given(paths, texts)
def test_what_was_found_before_by_comparing_spares_work_and_changes_nothing(by, of):
    found = parts(by, of)
    for proof in Proof:
        row = alteration(STAMP, found).row(proof)
        assert text_digest(STAMP, found, BOB, row) == text_digest(STAMP, found, BOB)


def test_it_is_another_for_another_recipient_and_under_another_stamp():
    """Whoever reads a gate's state can test no guess: the salt is in the letter alone."""
    another = Stationery().stamp(LETTER, BOB.canonical)
    again = Stationery()
    again.stamp(LETTER, BOB.canonical)
    found = parts(())
    assert text_digest(STAMP, found, BOB) != text_digest(STAMP, found, EVE)
    assert text_digest(STAMP, found, BOB) == text_digest(another, found, BOB), "of the same salt"
    assert text_digest(STAMP, found, BOB) != text_digest(again.stamp(LETTER, BOB.canonical), found, BOB)
