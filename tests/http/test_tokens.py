"""A signed request: good for that request, from that key, for a minute; nothing else is a token."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.support.office_at_work import ANN, EVE
from tests.support.stationery import NOW

from pennyred.http.tokens import BadToken, Request, check_token, make_token

REQUEST = Request("post.example.org", "POST", "/v1/purchases", b"{}")
TOKEN = make_token(ANN, REQUEST, now=NOW, random=b"r" * 16)


def part(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def opened(token: str) -> tuple[dict, dict, str]:
    head, claims, signature = token.split(".")
    return *(json.loads(base64.urlsafe_b64decode(one + "==")) for one in (head, claims)), signature


def test_a_token_names_its_key():
    claimed = check_token(TOKEN, REQUEST, now=NOW)

    assert claimed.public_key == ANN.public
    assert claimed.token_id


@pytest.mark.parametrize("now", [NOW - 25, NOW, NOW + 85])
def test_clocks_may_differ_by_half_a_minute(now):
    assert check_token(TOKEN, REQUEST, now=now).public_key == ANN.public


@pytest.mark.parametrize("now", [NOW - 31, NOW + 91, 0])
def test_a_token_lives_a_minute(now):
    with pytest.raises(BadToken, match="expired"):
        check_token(TOKEN, REQUEST, now=now)


def test_its_id_is_remembered_for_as_long_as_it_is_accepted():
    assert check_token(TOKEN, REQUEST, now=NOW).expires_at >= NOW + 90


@pytest.mark.parametrize(
    "other",
    [
        Request("post.example.net", "POST", "/v1/purchases", b"{}"), Request("post.example.org", "GET", "/v1/purchases", b"{}"),
        Request("post.example.org", "POST", "/v1/purchases?x", b"{}"), Request("post.example.org", "POST", "/v1/purchases", b""),
    ],
    ids=["audience", "method", "path", "body"],
)  # fmt: skip
def test_a_token_is_for_one_request(other):
    with pytest.raises(BadToken, match="another request"):
        check_token(TOKEN, other, now=NOW)


def test_a_signature_by_another_key_is_none():
    head, claims, signature = TOKEN.split(".")
    eve = make_token(EVE, REQUEST, now=NOW, random=b"r" * 16).split(".")

    for forged in (
        f"{eve[0]}.{claims}.{signature}",
        f"{head}.{claims}.{eve[2]}",
        f"{head}.{eve[1]}.{signature[:-4]}AAAA",
    ):
        with pytest.raises(BadToken):
            check_token(forged, REQUEST, now=NOW)


def test_no_other_algorithm_can_be_asked_for():
    head, claims, _ = opened(TOKEN)
    secret = base64.urlsafe_b64decode(head["jwk"]["x"] + "=")
    by_public_key = jwt.encode({"alg": "HS256", "jwk": head["jwk"]}, claims, OctKey.import_key(secret))
    unsigned = f"{part(head | {'alg': 'none'})}.{part(claims)}."

    for forged in (by_public_key, unsigned):
        with pytest.raises(BadToken):
            check_token(forged, REQUEST, now=NOW)


def with_claims(**claims) -> str:
    """Ann's token with other claims, and without those that are `...`; signed as Ed25519 signs, without any context."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    head, made, _ = opened(TOKEN)
    signing_input = f"{part(head)}.{part({name: value for name, value in (made | claims).items() if value is not ...})}"
    signature = Ed25519PrivateKey.from_private_bytes(b"\x0a" * 32).sign(signing_input.encode())
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None}, {"exp": ...}, {"exp": "x"}, {"exp": 1e400}, {"exp": True}, {"exp": [NOW + 9]}, {"exp": float("nan")}, {"exp": 10**400},
        {"jti": None}, {"jti": ...}, {"jti": "short"}, {"jti": "x" * 65}, {"jti": "\ud800" * 20}, {"jti": 7},
        {"aud": ["post.example.org"]}, {"aud": ...}, {"aud": "post.example.net"},
        {"iat": NOW + 31}, {"iat": NOW + 3600}, {"iat": "x"}, {"iat": True}, {"iat": None}, {"iat": float("nan")}, {"iat": -float("inf")},
        {"iat": NOW - 1}, {"iat": NOW - 3600}, {"iat": 0}, {"iat": NOW + 25, "exp": NOW + 20}, {"iat": NOW - 40, "exp": NOW + 40},
        {"nbf": NOW + 31}, {"nbf": NOW + 3600}, {"nbf": "x"}, {"nbf": False}, {"nbf": None}, {"nbf": float("inf")}, {"nbf": 10**400},
    ],
    ids=str,
)  # fmt: skip
def test_claims_are_what_they_must_be(claims):
    with pytest.raises(BadToken):
        check_token(with_claims(**claims), REQUEST, now=NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": NOW + 30}, {"iat": NOW}, {"iat": NOW - 30, "exp": NOW + 30}, {"iat": NOW + 0.25, "exp": NOW + 59.75}, {"iat": ...},
        {"iat": ..., "exp": NOW + 90}, {"nbf": NOW + 30}, {"nbf": NOW}, {"nbf": 0}, {"nbf": -1.5}, {"jti": "x" * 16}, {"jti": "x" * 64},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_of_another_program_may_say_so(claims):
    assert check_token(with_claims(**claims), REQUEST, now=NOW).public_key == ANN.public


def test_ids_are_the_account_s_own():
    claimed = [check_token(make_token(key, REQUEST, now=NOW, random=b"r" * 16), REQUEST, now=NOW) for key in (ANN, EVE)]
    assert claimed[0].token_id == claimed[1].token_id
    assert claimed[0].unique_id != claimed[1].unique_id


headers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "jwk", "x", "kty", "crv", "crit", "b64"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(
    st.text(max_size=100)
    | st.tuples(headers, headers, st.text(max_size=90)).map(lambda parts: f"{part(parts[0])}.{part(parts[1])}.{parts[2]}")
    | st.tuples(headers, st.just("e30"), st.just("AAAA")).map(lambda parts: f"{part({'alg': 'EdDSA', 'jwk': parts[0]})}.{parts[1]}.{parts[2]}")
)  # fmt: skip
def test_any_text_is_a_token_or_a_bad_one_and_nothing_else(text):
    with pytest.raises(BadToken):
        check_token(text, REQUEST, now=NOW)
