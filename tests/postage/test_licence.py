"""A licence is read from its one spelling only; the cases are in tests/vectors/licences.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import ISSUER, NOW, Stationery

from pennyred.postage.errors import MalformedLicence
from pennyred.postage.licence import parse_licence
from pennyred.postage.minting import mint_licence
from pennyred.postage.signing import CONTEXT_LICENCE, verify

STATIONERY = Stationery()
GOOD = {
    "issuer": ISSUER,
    "selector": "s1",
    "account": "aaaaaaaaaaaaaaaa",
    "public_key": bytes(range(32)),
    "daily_cap": 10,
    "valid_from": NOW,
    "valid_until": NOW + 1,
}


def test_what_the_office_signed_is_all_before_the_signature() -> None:
    licence = STATIONERY.licence()
    assert licence.encoded.startswith(licence.signed_bytes)
    assert licence.encoded.removeprefix(licence.signed_bytes).startswith(b"b=")
    assert verify(STATIONERY.office_key.public, CONTEXT_LICENCE, licence.signed_bytes, licence.signature)


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 2), st.from_regex(r"[a-z2-7]{16}", fullmatch=True))
def test_a_licence_reads_back(daily_cap: int, valid_from: int, account: str) -> None:
    changes = {"daily_cap": daily_cap, "valid_from": valid_from, "valid_until": valid_from + 1, "account": account}
    licence = mint_licence(STATIONERY.office_key, **GOOD | changes)
    assert parse_licence(licence.encoded) == licence
    assert (licence.daily_cap, licence.valid_from, licence.account) == (daily_cap, valid_from, account)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "Post.example.org"},
        {"issuer": "büro.example"},
        {"issuer": "[192.0.2.1]"},
        {"issuer": "post.example.org;x=1"},
        {"issuer": ""},
        {"selector": "s1.x"},
        {"selector": ""},
        {"account": "AAAAAAAAAAAAAAAA"},
        {"account": "aaaa"},
        {"public_key": bytes(31)},
        {"daily_cap": -1},
        {"daily_cap": 2**53},
        {"valid_until": NOW},
    ],
    ids=str,
)
def test_values_no_licence_can_have_are_malformed(change: dict) -> None:
    with pytest.raises(MalformedLicence):
        mint_licence(STATIONERY.office_key, **GOOD | change)


@given(st.data())
def test_one_octet_changed_is_another_licence_or_none(data: st.DataObject) -> None:
    encoded = bytearray(STATIONERY.licence().encoded)
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        licence = parse_licence(bytes(encoded))
    except MalformedLicence:
        return
    assert not verify(STATIONERY.office_key.public, CONTEXT_LICENCE, licence.signed_bytes, licence.signature)
