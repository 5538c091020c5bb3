"""Which signatures hold is decided here and not by a library: libsodium, bare, and OpenSSL must say the same."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.exceptions import RuntimeError as SodiumError
from nacl.signing import SigningKey as SodiumKey
from nacl.signing import VerifyKey
from tests.support.vector_cases import signature_with_null_r, signatures

from pennyred.postage.errors import MalformedKey
from pennyred.postage.signing import CONTEXT_LICENCE, CONTEXT_STAMP, SigningKey, is_sound, verify

KEY = SigningKey.from_seed(bytes(range(32)))
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
TORSION = [
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
]
OTHER_SPELLINGS = [
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]


def sodium(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except (BadSignatureError, SodiumError, ValueError):
        return False
    return True


def openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    """Laxer than STAMP.md 7.2: it takes some keys and first halves of small order."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_signatures_are_those_of_libsodium(seed: bytes, message: bytes) -> None:
    ours, theirs = SigningKey.from_seed(seed), SodiumKey(seed)
    signature = ours.sign(CONTEXT_STAMP, message)
    assert ours.public == bytes(theirs.verify_key)
    assert signature == theirs.sign(CONTEXT_STAMP + message).signature
    assert verify(ours.public, CONTEXT_STAMP, message, signature)


@given(st.data())
def test_a_signature_holds_for_its_key_context_and_message_only(data: st.DataObject) -> None:
    message = data.draw(st.binary(min_size=1, max_size=50))
    signature = KEY.sign(CONTEXT_STAMP, message)
    bit = data.draw(st.integers(0, 511))
    forged = bytearray(signature)
    forged[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public, CONTEXT_STAMP, message, bytes(forged))
    assert not verify(KEY.public, CONTEXT_LICENCE, message, signature)
    assert not verify(KEY.public, CONTEXT_STAMP, message + b"\0", signature)
    assert not verify(SigningKey.from_seed(bytes(32)).public, CONTEXT_STAMP, message, signature)


@pytest.mark.parametrize("public", TORSION + OTHER_SPELLINGS, ids=bytes.hex)
@pytest.mark.parametrize("first", TORSION + OTHER_SPELLINGS, ids=lambda point: point.hex()[:8] + point.hex()[-2:])
def test_keys_of_small_order_sign_nothing(public: bytes, first: bytes) -> None:
    """Some libraries take (R, 0) under such a key for one message in eight or for all."""
    assert not is_sound(public)
    for number in range(8):
        message = b"%d" % number
        assert verify(public, b"", message, first + bytes(32)) is sodium(public, message, first + bytes(32)) is False


@pytest.mark.parametrize("first", TORSION + OTHER_SPELLINGS, ids=bytes.hex)
def test_a_first_half_of_small_order_never_holds(first: bytes) -> None:
    assert not verify(KEY.public, b"", b"", first + bytes(32))


def test_a_first_half_of_small_order_does_not_hold_though_the_equation_does() -> None:
    """OpenSSL would take it; that libraries differ is why it is looked at here."""
    lazy = signature_with_null_r(bytes(range(32)), b"x")
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(lazy, b"x")
    assert not sodium(KEY.public, b"x", lazy)
    assert not verify(KEY.public, b"", b"x", lazy)


def test_a_second_half_that_is_not_reduced_never_holds() -> None:
    """Else everybody could make a second signature of the first: the stamp would have two spellings."""
    signature = KEY.sign(b"", b"")
    scalar = int.from_bytes(signature[32:], "little")
    for more in range(1, 8):
        twin = signature[:32] + (scalar + more * ORDER).to_bytes(32, "little")
        assert not verify(KEY.public, b"", b"", twin)
        assert not sodium(KEY.public, b"", twin)


def test_keys_whose_coordinate_is_not_reduced_are_unsound() -> None:
    for above in range(19):
        public = (PRIME + above).to_bytes(32, "little")
        assert not is_sound(public)
        assert not verify(public, b"", b"", KEY.sign(b"", b""))


def test_the_vectors_are_judged_alike_by_libsodium() -> None:
    for case in signatures():
        public, message, signature = (bytes.fromhex(case[f"{name}_hex"]) for name in ("public", "message", "signature"))
        assert sodium(public, case["context"].encode() + b"\0" + message, signature) is case["holds"], case["name"]


def test_openssl_agrees_with_every_vector_that_is_not_ruled_out_before_the_equation() -> None:
    laxer = []
    for case in signatures():
        public, message, signature = (bytes.fromhex(case[f"{name}_hex"]) for name in ("public", "message", "signature"))
        if openssl(public, case["context"].encode() + b"\0" + message, signature) is not case["holds"]:
            laxer.append(case)
    assert all(not case["holds"] for case in laxer)
    small = (
        [bytes.fromhex(case["public_hex"]) for case in laxer],
        [bytes.fromhex(case["signature_hex"]) for case in laxer],
    )
    assert all(not is_sound(public) or not is_sound(signature[:32]) for public, signature in zip(*small, strict=True))


@given(st.binary(min_size=1, max_size=50), st.integers(0, 511), st.booleans())
def test_openssl_and_the_verdict_agree_on_honest_and_on_forged_signatures(
    message: bytes, bit: int, is_forged: bool
) -> None:
    signature = bytearray(KEY.sign(CONTEXT_STAMP, message))
    if is_forged:
        signature[bit // 8] ^= 1 << bit % 8
    assert openssl(KEY.public, CONTEXT_STAMP + message, bytes(signature)) is not is_forged
    assert verify(KEY.public, CONTEXT_STAMP, message, bytes(signature)) is not is_forged


@given(st.binary(max_size=40), st.binary(max_size=70))
def test_other_octets_hold_nothing(public: bytes, signature: bytes) -> None:
    assert not verify(public, b"", b"", signature)


def test_a_key_survives_its_file() -> None:
    again = SigningKey.from_pem(KEY.to_pem())
    assert again.public == KEY.public
    assert again.sign(b"", b"x") == KEY.sign(b"", b"x")


def test_a_key_is_never_shown() -> None:
    assert bytes(range(32)).hex() not in repr(KEY)
    assert "range" not in repr(vars(type(KEY)))


@pytest.mark.parametrize(
    "pem",
    [b"", b"rubbish", KEY.to_pem()[:60], KEY.to_pem().replace(b"M", b"N", 1), b"x" * 20_000],
    ids=["empty", "rubbish", "cut", "altered", "long"],
)
def test_another_file_is_malformed(pem: bytes) -> None:
    with pytest.raises(MalformedKey):
        SigningKey.from_pem(pem)


@pytest.mark.parametrize("kind", [b"MC4CAQAwBQYDK2VxBCIE", b"MC4CAQAwBQYDK2VvBCIE"], ids=["Ed448", "X448"])
def test_a_key_too_short_for_its_kind_is_malformed(kind: bytes) -> None:
    """Found by the fuzzer: `cryptography` calls it an error of its own."""
    pem = b"-----BEGIN PRIVATE KEY-----\n" + kind + b"IAAA" + b"A" * 40 + b"\n-----END PRIVATE KEY-----\n"
    with pytest.raises(MalformedKey):
        SigningKey.from_pem(pem)


def test_keys_of_another_kind_or_behind_a_password_are_malformed() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    private, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(private, pkcs8, plain)
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(
        private, pkcs8, serialization.BestAvailableEncryption(b"secret")
    )
    for pem in (other, locked):
        with pytest.raises(MalformedKey):
            SigningKey.from_pem(pem)
    with pytest.raises(MalformedKey):
        SigningKey.from_seed(bytes(31))
