"""Base64 and integers have one spelling each."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.encoding import (
    INTEGER_MAX,
    SHORT_INTEGER,
    base64_pattern,
    decode_base64,
    decode_integer,
    encode_base64,
    encode_integer,
)
from pennyred.postage.errors import Malformed

BASE64 = st.text("ABCDwxyz0189+/=_- \n", max_size=24).map(str.encode)


@given(st.binary(max_size=100))
def test_octets_survive_base64(octets: bytes) -> None:
    assert decode_base64(encode_base64(octets)) == octets


@given(BASE64)
def test_whatever_base64_is_accepted_is_the_one_spelling(text: bytes) -> None:
    try:
        octets = decode_base64(text)
    except Malformed:
        return
    assert base64.b64encode(octets) == text


@pytest.mark.parametrize(
    "text", [b"AA", b"AB==", b"AAA", b"AAB=", b"AA==\n", b" AA==", b"A A=", b"AA==AA==", b"_A==", b"="]
)
def test_another_spelling_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        decode_base64(text)


def test_length_is_checked() -> None:
    assert decode_base64(b"AAAA", length=3) == bytes(3)
    with pytest.raises(Malformed):
        decode_base64(b"AAAA", length=4)
    with pytest.raises(Malformed):
        decode_base64(b"AAAA", length_max=2)
    with pytest.raises(Malformed, match="too long"):
        decode_base64(b"A" * 8000)


@given(st.integers(0, INTEGER_MAX))
def test_an_integer_survives(value: int) -> None:
    assert decode_integer(encode_integer(value)) == value


@pytest.mark.parametrize(
    "text", [b"", b"01", b"+1", b"-1", b"1 ", b"1_0", b"0x1", b"1.0", b"9007199254740992", b"1\n", "٣".encode()]
)
def test_another_spelling_of_an_integer_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        decode_integer(text)


@given(st.binary(max_size=70), st.integers(0, 70), st.data())
def test_the_expression_for_base64_takes_what_is_decoded_and_nothing_else(
    octets: bytes, length: int, data: st.DataObject
) -> None:
    text = bytearray(encode_base64(octets))
    if text:
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b"AQgwBEFz09+/=_- \n\xff"))
    for length_asked in (length, len(octets)):
        try:
            is_read = bool(decode_base64(bytes(text), length=length_asked) or True)
        except Malformed:
            is_read = False
        assert (re.fullmatch(base64_pattern(length_asked), text) is not None) is is_read


@given(st.text("0123456789", max_size=18) | st.text(max_size=3))
def test_the_expression_for_integers_takes_only_what_is_decoded(text: str) -> None:
    if re.fullmatch(SHORT_INTEGER, text.encode()):
        assert decode_integer(text.encode()) == int(text)
    elif len(text) < 16:
        with pytest.raises(Malformed):
            decode_integer(text.encode())
