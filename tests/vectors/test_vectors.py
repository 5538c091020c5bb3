"""The test vectors hold, and are what `make.py` makes. Written against STAMP.md, as somebody else's tests would be."""

import base64
import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from tests.support.at_once import bound_body, pass_holds, reason_and_altered, relaxed_body, texts_of

from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import Proof
from pennyred.postage.canonical import body_hash, plain_field
from pennyred.postage.digest import (
    body_digest,
    domain_hash,
    field_digests,
    letter_hash,
    recipient_hash,
    signed_parts,
)
from pennyred.postage.errors import MalformedAddress, MalformedKey, MalformedLicence
from pennyred.postage.keyrecord import parse_key_record
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.licence import parse_licence
from pennyred.postage.policyrecord import PostagePolicy, Wanted, find_policy
from pennyred.postage.proofs.chain import BatchHead, Epoch, Totals
from pennyred.postage.proofs.merkle import root_of
from pennyred.postage.signing import verify

HERE = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"{name}.json").read_text("ascii"))


def sha(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def cases(name: str) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in read(name)["cases"]])


def test_the_vectors_are_made_the_same_again(tmp_path: Path) -> None:
    """A difference is a change of the wire format (or of a case, which is then committed)."""
    runpy.run_path(str(HERE / "make.py"))["make"](tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    kept = {path.relative_to(HERE): path.read_bytes() for path in HERE.rglob("*") if path.suffix in {".json", ".eml"}}
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


@cases("stamps")
def test_a_stamp_has_its_verdict(case: dict[str, Any]) -> None:
    issuers = {
        domain: {selector: bytes.fromhex(public) for selector, public in keys.items()}
        for domain, keys in read("stamps")["issuers"].items()
    }
    reason, altered = reason_and_altered(
        case["stamp"].encode("latin-1"),
        (HERE / case["letter"]).read_bytes(),
        case["recipients"],
        subject_tags=case["subject_tags"],
        issuers=issuers,
        now=case["now"],
        price=case["price"],
        is_strict=case["strict"],
        proof=Proof(case["proof"]),
    )
    assert (reason, list(altered)) == (case["verdict"], case["altered"])


def test_every_verdict_without_a_ledger_has_a_vector() -> None:
    assert {case["verdict"] for case in read("stamps")["cases"]} == {
        "stamped", "stamped-modified", "malformed", "unknown-version", "wrong-recipient", "issuer-not-accepted", "expired",
        "not-yet-valid", "bad-licence", "bad-signature", "altered-headers", "altered-body", "underpaid", "dns-unavailable",
    }  # fmt: skip


@cases("recipients")
def test_a_recipient_has_its_canonical_form(case: dict[str, Any]) -> None:
    if case["canonical"] is None:
        with pytest.raises(MalformedAddress):
            canonical_recipient(case["mailbox"])
    else:
        recipient = canonical_recipient(case["mailbox"])
        assert (recipient.canonical, recipient.domain) == (case["canonical"], case["domain"])


@cases("canonical")
def test_a_relaxed_form_is_as_written(case: dict[str, Any]) -> None:
    if "body_b64" in case:
        assert relaxed_body(base64.b64decode(case["body_b64"])) == base64.b64decode(case["relaxed_b64"])
        assert bound_body(base64.b64decode(case["body_b64"])) == base64.b64decode(case["bound_b64"])
    else:
        plain = base64.b64decode(case["plain_b64"])
        (field,) = parse_header(base64.b64decode(case["field_b64"])).fields
        assert plain_field(*field) == plain


@cases("hashes")
def test_a_hash_is_as_written(case: dict[str, Any]) -> None:
    recipient = canonical_recipient(case["recipient"])
    if "letter" in case:
        section, body = split_letter((HERE / case["letter"]).read_bytes())
        header = parse_header(section)
        salt, texts = bytes.fromhex(case["salt_hex"]), [base64.b64decode(text) for text in case["texts_b64"]]
        body_part = base64.b64decode(case["body_text_b64"]) + bytes.fromhex(case["body_hash_hex"])
        assert list(texts_of(header)) == texts
        assert body_hash(body).hex() == case["body_hash_hex"]
        parts = signed_parts(header, body_hash(body))
        assert parts.header_hash.hex() == case["header_hash_hex"]
        assert field_digests(salt, parts).hex() == case["d_hex"]
        assert body_digest(salt, parts).hex() == case["bh_hex"]
        assert letter_hash(parts, recipient).hex() == case["letter_hash_hex"]
        names = (b"from", b"reply-to", b"to", b"subject", b"date", b"message-id")
        by_hand = [sha(b"pennyred/2 " + name + b"\0" + salt + text) for name, text in zip(names, texts, strict=True)]
        assert b"".join(one[:16] for one in by_hand).hex() == case["d_hex"]
        assert sha(b"pennyred/2 body\0" + salt + sha(body_part)).hex() == case["bh_hex"]
        letter = bytes.fromhex(case["header_hash_hex"]) + sha(body_part) + case["recipient"].encode()
        assert sha(b"pennyred/2 letter\0" + letter).hex() == case["letter_hash_hex"]
    else:
        salt = bytes.fromhex(case["salt_hex"])
        serial = bytes.fromhex(case["serial_hex"])
        assert recipient_hash(salt, recipient).hex() == case["recipient_hash_hex"]
        assert domain_hash(serial, case["domain"]).hex() == case["domain_hash_hex"]
        by_hand = b"pennyred/2 recipient\0" + salt + case["recipient"].encode()
        assert hashlib.sha256(by_hand).hexdigest() == case["recipient_hash_hex"]
        by_hand = b"pennyred/2 domain\0" + serial + case["domain"].encode()
        assert hashlib.sha256(by_hand).hexdigest() == case["domain_hash_hex"]


def test_the_header_hash_of_the_plain_letter_is_that_of_these_octets() -> None:
    """By hand, from STAMP.md 5.8."""
    by_hand = (
        b"pennyred/2 header\0"
        b"from:Ann <ann@sender.example>\r\n"
        b"to:Bob <bob@example.org>, Carol <carol@example.org>\r\n"
        b"subject:Tea at five\r\n"
        b"date:Wed, 18 Nov 2026 10:00:00 +0000\r\n"
        b"message-id:<1@sender.example>\r\n"
    )
    (plain,) = (case for case in read("hashes")["cases"] if case["name"] == "plain")
    assert plain["header_hash_hex"] == hashlib.sha256(by_hand).hexdigest()
    assert plain["body_hash_hex"] == hashlib.sha256(b"Shall we have tea?\r\n\r\nAnn\r\n").hexdigest()


@cases("licences")
def test_a_licence_is_read_or_refused(case: dict[str, Any]) -> None:
    if case["fields"] is None:
        with pytest.raises(MalformedLicence):
            parse_licence(case["licence"].encode())
        return
    licence = parse_licence(case["licence"].encode())
    assert case["fields"] == {
        "issuer": licence.issuer,
        "selector": licence.selector,
        "account": licence.account,
        "public_hex": licence.public_key.hex(),
        "daily_cap": licence.daily_cap,
        "valid_from": licence.valid_from,
        "valid_until": licence.valid_until,
        "signature_hex": licence.signature.hex(),
    }


@cases("keys")
def test_a_key_record_is_read_or_refused(case: dict[str, Any]) -> None:
    if case["public_hex"] is None:
        with pytest.raises(MalformedKey):
            parse_key_record(case["record"])
    else:
        assert parse_key_record(case["record"]).hex() == case["public_hex"]


@cases("policies")
def test_a_policy_is_read_or_asks_for_nothing(case: dict[str, Any]) -> None:
    policy, expected = find_policy(case["records"]), case["policy"]
    assert policy == (
        expected and PostagePolicy(Wanted(expected["wanted"]), expected["price"], tuple(expected["issuers"]))
    )


@cases("signatures")
def test_a_signature_holds_or_not(case: dict[str, Any]) -> None:
    public, message, signature = (bytes.fromhex(case[f"{name}_hex"]) for name in ("public", "message", "signature"))
    assert verify(public, case["context"].encode() + b"\0", message, signature) is case["holds"]


@cases("passes")
def test_a_pass_holds_or_not(case: dict[str, Any]) -> None:
    (field,) = parse_header(b"X-Postage-Pass:" + case["value"].encode("ascii") + b"\r\n").fields
    key, letter = bytes.fromhex(case["key_hex"]), bytes.fromhex(case["letter_hash_hex"])
    assert pass_holds(key, [field], letter, case["day"]) is case["holds"]


@cases("heads")
def test_a_head_has_its_hash(case: dict[str, Any]) -> None:
    """By hand, from STAMP.md 13.3, 13.4 and 13.8; and by the code."""
    details = [bytes.fromhex(detail) for detail in case["details_hex"]]
    epochs = tuple(Epoch(bytes.fromhex(one["id_hex"]), one["follows"], one["time"]) for one in case["epochs"])
    numbers = [case[name] for name in ("number", "time", "sold", "settled", "refunded")]
    by_hand = b"pennyred/1 epoch\0" if epochs else b"pennyred/1 chain\0"
    by_hand += b"".join(number.to_bytes(8) for number in numbers) + len(details).to_bytes(4)
    by_hand += root_of(details) + bytes.fromhex(case["previous_hex"])
    by_hand += b"".join(one.id + one.follows.to_bytes(8) + one.at.to_bytes(8) for one in epochs)
    assert hashlib.sha256(by_hand).hexdigest() == case["hash_hex"]
    number, at, *totals = numbers
    head = BatchHead(
        number, at, Totals(*totals), len(details), root_of(details), bytes.fromhex(case["previous_hex"]), epochs
    )
    assert head.hash.hex() == case["hash_hex"]
