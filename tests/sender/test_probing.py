"""The letters that try out a path, and how what arrived is told from what was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import Stationery

from pennyred.http.probes import Arrival, StampsSeen
from pennyred.postage.encoding import encode_base64
from pennyred.postage.reading.texts import REPLY_NAMES
from pennyred.sender.franking import completed, stamp_letter
from pennyred.sender.parsedletter import ParsedLetter, parse_letter
from pennyred.sender.probing import SHAPES, altered_parts, compared, probe_letter
from pennyred.sender.travel.preparing import is_safe, make_safe

NOW = 1_795_000_000
ANN, TO = "ann@sender.example", "mirror+abcdefghijklmnopqrstuvwxyz@post.example.org"
DESK = Stationery()


def sent(shape: str) -> ParsedLetter:
    """A probe as `pennyred probe` sends it."""
    letter = parse_letter(make_safe(probe_letter(shape, ANN, TO), eight_bit=False))
    letter = completed(letter, now=NOW, message_id="<1@sender.example>")
    return stamp_letter(letter, [TO], DESK.sender_key, DESK.licence(), now=NOW, random_bytes=bytes)


def arrived(letter: bytes, **changes) -> Arrival:
    """What the mirror tells of a letter, as far as it is compared."""
    parsed = parse_letter(letter)
    header = parsed.header.raw.decode("latin-1")
    told = {
        "at": "", "source": "", "helo": "", "host": "", "size": len(letter), "verdict": "due", "reason": "", "sentence": "",
        "row": "", "strict": "", "altered": [], "stamp": StampsSeen(0, 0, ""), "proven": "no", "proofs": [], "advice": [],
        "header": header, "is_header_cut": False, "body_hash": encode_base64(parsed.below.body_hash).decode(),
    }  # fmt: skip
    return Arrival(**(told | changes))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_is_safe_and_arrives_as_it_was_sent(shape):
    letter = sent(shape)
    assert is_safe(letter.raw, eight_bit=False)
    assert TO in letter.header.raw.decode()
    assert altered_parts(letter, arrived(letter.raw)) == ()
    assert {one.finding for one in compared(letter, arrived(letter.raw))} == {"same", "gone"}


def test_what_was_altered_is_named_though_the_stamp_is_lost():
    letter = sent("plain")
    bare = letter.raw[letter.raw.index(b"\r\nFrom: ") + 2 :].replace(b"Penny Red probe", b"Buy now")
    found = {one.part: one for one in compared(letter, arrived(bare))}
    assert [name for name, one in found.items() if one.finding == "altered"] == ["subject", "date", "message-id"]
    assert (found["subject"].sent, found["subject"].arrived) == ("Penny Red probe", "Buy now")
    assert found["stamp"].finding == "gone"


@pytest.mark.parametrize("name", REPLY_NAMES)
def test_a_field_for_answers_that_a_path_has_added_is_shown_whichever_it_is(name):
    letter = sent("plain")
    found = {one.part: one for one in compared(letter, arrived(name + b": <list@example.net>\r\n" + letter.raw))}
    assert (found["reply-to"].finding, found["reply-to"].arrived) == ("altered", "<list@example.net>")


def test_another_spelling_of_the_same_is_no_alteration():
    letter = sent("plain")
    found = {one.part: one for one in compared(letter, arrived(letter.raw.replace(b"From: ", b"From: Ann ", 1).replace(b"Ann ann@sender.example", b"Ann <ann@sender.example>", 1)))}  # fmt: skip
    assert found["from"].finding == "respelled"


def test_of_a_header_that_was_cut_nobody_can_tell():
    letter = sent("plain")
    cut = arrived(letter.raw, header="Subject: x\r\n", is_header_cut=True)
    assert altered_parts(letter, cut) is None
    assert {one.finding for one in compared(letter, cut)} == {"unknown", "gone"}


@given(st.text(max_size=200), st.text(max_size=60))
def test_whatever_an_office_says_is_compared_or_left_open(header, body_hash):
    letter = sent("plain")
    assert len(compared(letter, arrived(letter.raw, header=header, body_hash=body_hash))) == 8
