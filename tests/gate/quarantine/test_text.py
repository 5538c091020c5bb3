"""The beginning of a letter's text, whatever the letter is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.stationery import LETTER

from pennyred.gate.quarantine.text import CHARACTERS_MAX, beginning_of_text

MIXED = (
    b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n"
    b"--x\r\nContent-Type: text/plain; charset=latin1\r\nContent-Transfer-Encoding: base64\r\n\r\nVGXp\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("letter", "text"),
    [
        (LETTER, "Shall we have tea?"),
        (MIXED, "Teé"),
        (b"Content-Type: text/html\r\n\r\n<style>p {}</style><p>Hello <b>you</b></p>", "Hello you"),
        (b"Content-Type: text/plain; charset=nonsense\r\n\r\nx\r\n\r\n\r\n\r\ny", "x\n\ny"),
        (b"Content-Type: image/png\r\n\r\n\x89PNG", "\ufffdPNG"),
        (b"", ""),
        (b"\r\nno header", "no header"),
    ],
)
def test_the_plain_text_is_shown_before_any_other(letter, text):
    assert beginning_of_text(letter) == text


@given(st.binary(max_size=500))
@example(
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 900
)
@example(b"Content-Type: text/html\r\n\r\n" + b"<style>" * 9000)
def test_any_octets_have_a_beginning_of_bounded_length(letter):
    assert len(beginning_of_text(letter)) <= CHARACTERS_MAX
