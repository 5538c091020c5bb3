"""`pennyred receipts`: what an office has signed of the stamps of one's own letter, asked for and checked."""

import pytest

from pennyred.http import messages
from pennyred.office.office import LOCAL_RECEIVER
from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import letter_hash, signed_parts
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.redemption import Settle
from pennyred.postage.stamp import parse_stamp

LETTER = b"From: ann@sender.example\r\nTo: bob@example.org, carl@example.org\r\nSubject: Tea\r\n\r\nTea?\r\n"


@pytest.fixture
def stamped(run, tmp_path, account, voucher):
    """Ann's letter to two, who both need a stamp."""
    run("buy", 50, "--voucher", voucher)
    path = tmp_path / "stamped.eml"
    path.write_bytes(run("stamp", stdin=LETTER).out)
    return path


def pay(office, letter, addresses):
    """As the office's own gate redeems what stands in the letter."""
    section, body = split_letter(letter)
    header = parse_header(section)
    whole = signed_parts(header, body_hash(body))
    fields = header.named(b"x-postage-stamp")
    for field, address in zip(fields, addresses, strict=False):
        stamp = parse_stamp(field.value)
        hashed = letter_hash(whole, canonical_recipient(address))
        order = HoldOrder(
            tx=b"t" * 16, group=0, account=stamp.account, serial=stamp.serial, expiry_day=stamp.expiry_day, price=1,
            public_key=stamp.licence.public_key, domain="example.org", letter=hashed, lease_until=2**40,
        )  # fmt: skip
        now = office.office.now
        office.do(office.office.ledger.hold(LOCAL_RECEIVER, [order], now=now))
        settle = Settle(stamp.issuer, *stamp.key, hashed)
        office.do(office.office.ledger.settle(LOCAL_RECEIVER, [settle], now=now))


def test_receipts_of_a_letter_that_was_paid_are_what_verify_takes(run, office, stamped, tmp_path):
    pay(office, stamped.read_bytes(), ["bob@example.org", "carl@example.org"])
    (tmp_path / "receipts.txt").write_bytes(run("receipts", stamped).out)
    rows = run("verify", "--receipt", tmp_path / "receipts.txt", stamped, "--json").document["receipts"]
    assert [(row["verdict"], row["letter"]) for row in rows] == [("holds", "own")] * 2
    assert run("receipts", "--json", stdin=stamped.read_bytes()).document["receipts"]


def test_a_stamp_without_a_receipt_is_named_and_the_others_are_told(run, office, stamped):
    said = run("receipts", stamped, status=1)
    assert (said.out, said.err.count("not-settled")) == (b"", 1)
    pay(office, stamped.read_bytes(), ["bob@example.org"])
    said = run("receipts", stamped, status=1)
    assert len(said.out.splitlines()) == 1
    [_, second] = parse_header(split_letter(stamped.read_bytes())[0]).named(b"x-postage-stamp")
    assert parse_stamp(second.value).serial.hex() in said.err
    assert len(run("receipts", stamped, "--json", status=1).document["receipts"]) == 1


@pytest.mark.usefixtures("account")
def test_a_letter_without_a_stamp_of_the_account_is_told(run):
    said = run("receipts", "--json", status=1, stdin=LETTER + b"X-Postage-Stamp: in the body\r\n")
    assert said.document["error"]["reason"] == "no-stamp"
    assert run("receipts", stdin=b"X-Postage-Stamp: garbled\r\n" + LETTER, status=1).err.count("no-stamp") == 1


def test_more_stamps_than_one_answer_has_are_asked_for_in_several(run, office, stamped, monkeypatch):
    pay(office, stamped.read_bytes(), ["bob@example.org", "carl@example.org"])
    monkeypatch.setattr(messages, "RECEIPTS_MAX", 1)
    assert len(set(run("receipts", stamped).out.splitlines())) == 2
