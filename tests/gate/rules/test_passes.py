"""A pass is good for one recipient of one letter, a few days, among gates that share a key."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.at_once import pass_holds

from pennyred.gate.rules.passes import FIELDS_TRIED_MAX, GOOD_DAYS, Passes, mint_pass
from pennyred.postage.letter import Field, parse_header

KEY = b"k" * 32
LETTER_HASH = b"h" * 32
DAY = 20_775


def fields(raw: bytes) -> tuple[Field, ...]:
    return parse_header(raw).fields


PASS = mint_pass(KEY, LETTER_HASH, DAY)


def test_a_pass_holds_among_gates_that_share_the_key() -> None:
    assert pass_holds(KEY, fields(PASS), LETTER_HASH, DAY)
    assert PASS.startswith(b"X-Postage-Pass: v=1; d=20775;\r\n m=")
    assert PASS.endswith(b"\r\n")
    assert max(map(len, PASS.split(b"\r\n"))) <= 78


def test_the_format_is_that_of_the_specification() -> None:
    """STAMP.md 9.1, by hand."""
    mac = hmac.new(KEY, b"pennyred/2 pass\0" + DAY.to_bytes(8, "big") + LETTER_HASH, hashlib.sha256)
    assert b"X-Postage-Pass: v=1; d=20775;\r\n m=" + base64.b64encode(mac.digest()) + b"\r\n" == PASS


def test_a_pass_of_the_kind_that_has_ended_holds_nothing_and_tells_that_a_gate_has_had_the_letter() -> None:
    """They were given for letters that nobody had paid for."""
    mac = hmac.new(KEY, b"pennyred/1 pass\0" + DAY.to_bytes(8, "big") + LETTER_HASH, hashlib.sha256)
    ended = fields(PASS.partition(b" m=")[0] + b" m=" + base64.b64encode(mac.digest()) + b"\r\n")
    assert not pass_holds(KEY, ended, LETTER_HASH, DAY)
    assert Passes(KEY, ended, DAY).has_ended_one(LETTER_HASH)
    assert not Passes(KEY, ended, DAY).has_ended_one(b"i" * 32)
    assert not Passes(b"l" * 32, ended, DAY).has_ended_one(LETTER_HASH)
    assert not Passes(KEY, fields(PASS), DAY).has_ended_one(LETTER_HASH)


def test_a_pass_is_for_one_letter_to_one_recipient() -> None:
    assert not pass_holds(KEY, fields(PASS), b"i" * 32, DAY)


def test_a_pass_by_another_key_holds_nothing() -> None:
    assert not pass_holds(b"l" * 32, fields(PASS), LETTER_HASH, DAY)


@pytest.mark.parametrize(
    ("day", "holds"), [(DAY - 2, False), (DAY - 1, True), (DAY + GOOD_DAYS, True), (DAY + GOOD_DAYS + 1, False)]
)
def test_a_pass_holds_from_the_day_before_for_clocks_differ_to_five_days_after(day: int, holds: bool) -> None:
    assert pass_holds(KEY, fields(PASS), LETTER_HASH, day) is holds


@pytest.mark.parametrize(
    "raw",
    [
        PASS.replace(b"d=20775", b"d=20776"),
        PASS.replace(b"d=20775", b"d=020775"),
        PASS.replace(b"v=1", b"v=2"),
        PASS.replace(b"v=1; ", b""),
        PASS.replace(b"m=", b"n="),
        PASS.replace(b"=\r\n", b"\r\n"),
        b"X-Postage-Pass:\r\n",
        b"X-Postage-Pass: d=9007199254740991; v=1; m=" + b"A" * 43 + b"=\r\n",
    ],
)
def test_a_pass_that_was_tampered_with_holds_nothing(raw: bytes) -> None:
    assert not pass_holds(KEY, fields(raw), LETTER_HASH, DAY)
    assert not pass_holds(KEY, fields(raw), LETTER_HASH, DAY + 1)


def test_one_good_pass_among_others_is_enough_but_only_so_many_are_tried() -> None:
    other = mint_pass(KEY, b"i" * 32, DAY)
    assert pass_holds(KEY, fields(other * (FIELDS_TRIED_MAX - 1) + PASS), LETTER_HASH, DAY)
    assert not pass_holds(KEY, fields(other * FIELDS_TRIED_MAX + PASS), LETTER_HASH, DAY)
    assert not pass_holds(KEY, (), LETTER_HASH, DAY)


@given(st.binary(max_size=80))
def test_any_field_holds_or_does_not(value: bytes) -> None:
    assert not pass_holds(KEY, [Field(b"X-Postage-Pass:" + value + b"\r\n", b"x-postage-pass")], LETTER_HASH, DAY)


@given(st.integers(15, len(PASS) - 3), st.integers(0, 255))
def test_a_mutated_pass_holds_only_if_it_says_the_same(position: int, octet: int) -> None:
    raw = PASS[:position] + bytes([octet]) + PASS[position + 1 :]
    said = b"".join(PASS[15:].split()), b"".join(raw[15:].split())
    assert not pass_holds(KEY, [Field(raw, b"x-postage-pass")], LETTER_HASH, DAY) or said[0] == said[1]
