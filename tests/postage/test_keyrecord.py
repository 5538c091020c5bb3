"""The TXT record by which an office publishes its key; more cases are in tests/vectors/keys.json."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import MalformedKey
from pennyred.postage.keyrecord import RECORD_BYTES_MAX, format_key_record, parse_key_record
from pennyred.postage.signing import SigningKey

PUBLIC = SigningKey.from_seed(b"\x07" * 32).public
RECORD = format_key_record(PUBLIC)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_reads_back_from_its_record(seed: bytes) -> None:
    public = SigningKey.from_seed(seed).public
    assert parse_key_record(format_key_record(public)) == public


def test_a_record_fits_one_string_of_a_txt_record() -> None:
    assert len(RECORD) <= 255


@pytest.mark.parametrize(
    "text",
    [
        RECORD + ";",
        RECORD.replace("; ", ";"),
        RECORD.replace("=", " = ", 2),
        RECORD + "; n=a note",
        RECORD.replace("; p=", "; future=x; p="),
    ],
)
def test_white_space_and_unknown_tags_make_no_difference(text: str) -> None:
    assert parse_key_record(text) == PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=spf1 -all",
        RECORD.replace("v=pennyred1; ", ""),
        RECORD.replace("v=pennyred1", "v=pennyred2"),
        "k=ed25519; " + RECORD.replace("k=ed25519; ", ""),
        RECORD.replace("ed25519", "rsa"),
        RECORD.replace("k=ed25519; ", ""),
        RECORD.removesuffix("="),
        RECORD + "; k=ed25519",
        "v=pennyred1; k=ed25519",
        "v=pennyred1; k=ed25519; p=AAAA",
        RECORD + "; n=ü",
        RECORD + " " * RECORD_BYTES_MAX,
    ],
)
def test_another_record_is_no_key(text: str) -> None:
    with pytest.raises(MalformedKey):
        parse_key_record(text)


def test_an_empty_p_says_that_the_key_was_withdrawn() -> None:
    with pytest.raises(MalformedKey, match="withdrawn"):
        parse_key_record("v=pennyred1; k=ed25519; p=")


@pytest.mark.parametrize(
    "public", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32], ids=["order 4", "order 1", "not canonical"]
)
def test_a_key_under_which_anybody_could_sign_is_no_key(public: bytes) -> None:
    with pytest.raises(MalformedKey, match="no key"):
        parse_key_record(f"v=pennyred1; k=ed25519; p={encode_base64(public).decode()}")


@given(st.one_of(st.text(max_size=80), st.text("v=pennyred1; k=ed25519; p=AB/+\r\n\t", max_size=80)))
def test_any_text_is_a_key_or_malformed(text: str) -> None:
    with pytest.raises(MalformedKey):
        parse_key_record(text)


@given(st.integers(0, len(RECORD) - 1), st.characters())
def test_a_mutated_record_is_a_key_or_malformed(position: int, character: str) -> None:
    with contextlib.suppress(MalformedKey):
        assert len(parse_key_record(RECORD[:position] + character + RECORD[position + 1 :])) == 32
