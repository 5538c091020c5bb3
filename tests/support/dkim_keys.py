"""Real DKIM keys, and letters signed and sealed with them by dkimpy."""

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache

import dkim
import nacl.signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dkim.canonicalization import CanonicalizationPolicy
from dkim.crypto import parse_pem_private_key


@dataclass(frozen=True)
class DkimKey:
    private: bytes
    """As dkimpy wants it."""
    algorithm: bytes
    txt: str
    """The record that publishes it."""


@lru_cache
def rsa_key(bits=2048, number=0):
    """One key for each number, made once a process: making them takes long."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return DkimKey(pem, b"rsa-sha256", f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}")


@lru_cache
def ed25519_key(number=0):
    private = nacl.signing.SigningKey.generate()
    public = base64.b64encode(bytes(private.verify_key)).decode()
    return DkimKey(base64.b64encode(bytes(private)), b"ed25519-sha256", f"v=DKIM1; k=ed25519; p={public}")


def sign(letter, domain, selector, key, *, canonicalize=(b"relaxed", b"relaxed"), **more):
    """The letter with a signature on top; `more` is what `dkim.DKIM.sign` takes."""
    signer = dkim.DKIM(letter, signature_algorithm=key.algorithm)
    field = signer.sign(selector.encode(), domain.encode(), key.private, canonicalize=canonicalize, **more)
    return field + letter


def sign_by_hand(letter, key=None, *, form=("relaxed", "relaxed"), **tags):
    """The letter with a signature that holds, whatever its tags say."""
    key = key or rsa_key()
    signer = dkim.DKIM(letter)
    signer.hasher = hashlib.sha256
    policy = CanonicalizationPolicy.from_c_value("/".join(form).encode())
    body = hashlib.sha256(policy.canonicalize_body(signer.body)).digest()
    said = {"v": "1", "a": "rsa-sha256", "c": "/".join(form), "d": "example.org", "s": "rsa", "h": "from:to"}
    said |= {"bh": base64.b64encode(body).decode()} | tags | {"b": "0" * 60}
    fields = [(name.encode(), text.encode()) for name, text in said.items()]
    names = said["h"].encode().split(b":")
    private = parse_pem_private_key(key.private)
    return b"DKIM-Signature: " + signer.gen_header(fields, names, policy, b"DKIM-Signature", private) + letter


def seal(letter, domain, selector, key, results, *, authserv_id="lists.example"):
    """The letter as a forwarder passes it on: with an ARC set whose `ARC-Authentication-Results` says `results`."""
    seen = f"Authentication-Results: {authserv_id}; {results}\r\n".encode() + letter
    fields = dkim.arc_sign(seen, selector.encode(), domain.encode(), key.private, authserv_id.encode())
    return b"".join(fields) + letter


def seal_by_hand(letter, domain, selector, results, *, key=None):
    """The letter with a first ARC set that holds, whose `ARC-Authentication-Results` is `results` octet for octet."""
    key = key or rsa_key()
    sealer, policy = dkim.ARC(letter), CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    sealer.hasher, private = hashlib.sha256, parse_pem_private_key(key.private)
    body = base64.b64encode(hashlib.sha256(policy.canonicalize_body(sealer.body)).digest())
    who = [(b"i", b"1"), (b"a", b"rsa-sha256"), (b"d", domain.encode()), (b"s", selector.encode())]
    added = [(b"ARC-Authentication-Results", b" " + results + b"\r\n")]

    def add(name, fields, covered):
        value = sealer.gen_header([*fields, (b"b", b"0" * 60)], covered, policy, name, private)
        added.append((name, b" " + value))
        sealer.headers = [*sealer.headers, (name, b" " + value)]

    add(b"ARC-Message-Signature", [*who, (b"c", b"relaxed/relaxed"), (b"h", b"from"), (b"bh", body)], [b"from"])
    sealer.headers = added[:2]
    names = [b"arc-authentication-results", b"arc-message-signature"]
    add(b"ARC-Seal", [*who, (b"cv", b"none")], names)
    return b"".join(name + b":" + value for name, value in reversed(added)) + letter


def key_name(domain, selector):
    return f"{selector}._domainkey.{domain}"


def rsa_record(modulus, exponent):
    """The record of a key of these numbers, whatever they are (RFC 8017 appendix A.1.1)."""
    numbers = _der(0x02, _octets(modulus)) + _der(0x02, _octets(exponent))
    return f"k=rsa; p={base64.b64encode(_der(0x30, numbers)).decode()}"


def _octets(number):
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _der(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 128 + size]) + length.to_bytes(size, "big") + content
