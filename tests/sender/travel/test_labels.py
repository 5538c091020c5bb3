"""A letter that is ASCII says so, for servers that go by what it says (tests/wire/test_submitted.py asks one)."""

import pytest
from tests.support.other_readers import parts

from pennyred.sender.travel.labels import relabelled
from pennyred.sender.travel.preparing import is_safe, make_safe

HEAD = b"From: a@b.example\r\nMIME-Version: 1.0\r\n"
EIGHT, SEVEN = b"Content-Transfer-Encoding: 8bit\r\n", b"Content-Transfer-Encoding: 7bit\r\n"
PART = b"--b\r\nContent-Type: text/plain\r\n" + EIGHT + b"\r\n1 + 1 = 2\r\n"


def multipart(kind: bytes, *pieces: bytes) -> bytes:
    return b"Content-Type: multipart/%s; boundary=b\r\n" % kind + EIGHT + b"\r\n" + b"".join(pieces) + b"--b--\r\n"


@pytest.mark.parametrize("label", [EIGHT, EIGHT.upper(), EIGHT.replace(b"8bit", b"binary"), EIGHT * 2])
def test_ascii_that_says_eight_bits_says_seven(label):
    letter = HEAD + label + b"\r\n1 + 1 = 2\r\n"

    safe = make_safe(letter, eight_bit=False)

    assert safe.startswith(HEAD + SEVEN)
    assert b"8bit" not in safe.lower()
    assert parts(safe) == parts(letter)
    assert is_safe(safe, eight_bit=False)


def test_where_eight_bits_may_pass_they_may_be_spoken_of():
    letter = HEAD + EIGHT + b"\r\nHello\r\n"

    assert make_safe(letter, eight_bit=True) is letter


def test_each_part_that_says_so_is_changed_and_nothing_else_is():
    inner = (
        b"--b\r\nContent-Type: message/rfc822\r\n" + EIGHT + b"\r\nFrom me\r\nSubject: x\r\n" + EIGHT + b"\r\nHello\r\n"
    )
    letter = HEAD + multipart(b"mixed", PART, inner, b"--b\r\n\r\n" + EIGHT)

    expected = letter.replace(EIGHT, SEVEN)
    at = expected.rindex(SEVEN)

    assert relabelled(letter) == expected[:at] + EIGHT + expected[at + len(SEVEN) :], "the last is text, no field"


@pytest.mark.parametrize(
    "letter",
    [
        HEAD + b"\r\n" + EIGHT,
        HEAD + SEVEN + b"\r\n" + EIGHT,
        HEAD + multipart(b"signed", PART, PART),
        HEAD + multipart(b"encrypted", PART),
        HEAD + b"DKIM-Signature: v=1; x\r\n" + EIGHT + b"\r\nHello\r\n",
        b"DKIM-Signature: v=1; x\r\n" + HEAD + EIGHT + b"\r\nHello\r\n",
        HEAD + EIGHT + SEVEN + b"\r\nHello\r\n",
        HEAD + b"Content-Transfer-Encoding: x-8bit\r\n\r\nHello\r\n",
    ],
)
def test_text_signed_parts_and_what_is_in_doubt_stay(letter):
    assert make_safe(letter, eight_bit=False) is letter
