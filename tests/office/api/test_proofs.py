"""What the office publishes, and what a sender is shown, holds under the office's keys."""

import asyncio
import json

import pytest
from tests.support.office_at_work import ANN, EVE, OfficeAtWork
from tests.support.stationery import ISSUER, NOW

from pennyred.http import tokens
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.proofs.receipt import holds, parse_receipt, signs_head
from pennyred.postage.redemption import Settle
from pennyred.postage.stamp import StampKey

DAY = NOW // 86_400 + 5


@pytest.fixture
def tell(tmp_path):
    def tell(story):
        async def run():
            async with OfficeAtWork(tmp_path).on_the_web() as office:
                await story(office)

        asyncio.run(run())

    return tell


async def spend(office, key=ANN) -> StampKey:
    """An account of ten stamps, one of which a receiver has settled."""
    account, _ = await office.office.open_account("ann@sender.example", key.public)
    await office.ledger.credit(account.id, 10, "test", now=NOW)
    await office.office.add_receiver("acme", ["example.org"])
    order = HoldOrder(
        tx=b"t" * 16, group=0, account=account.id, serial=b"s" * 16, expiry_day=DAY, price=1,
        public_key=key.public, domain="example.org", letter=b"l" * 32, lease_until=NOW + 60,
    )  # fmt: skip
    await office.ledger.hold("acme", [order], now=NOW)
    await office.ledger.settle("acme", [Settle(ISSUER, account.id, DAY, b"s" * 16, b"l" * 32)], now=NOW)
    return account.id, DAY, b"s" * 16


async def ask_receipts(office, key, stamps):
    body = json.dumps(
        {"stamps": [{"expiry_day": day, "serial": encode_base64(serial).decode()} for _, day, serial in stamps]}
    ).encode()
    path = "/v1/accounts/me/receipts"
    token = tokens.make_token(
        key, tokens.Request(ISSUER, "POST", path, body), now=office.now, random=office.random_bytes(16)
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return await office.ask("POST", path, data=body, headers=headers)


def test_the_totals_are_those_of_the_books_and_signed(tell):
    async def story(office):
        _, empty, _ = await office.ask("GET", "/v1/totals")
        assert (empty["sold"], empty["batch"]) == (0, 0)
        await spend(office)
        _, said, _ = await office.ask("GET", "/v1/totals")
        audit = await office.ledger.audit()
        assert (said["sold"], said["settled"], said["refunded"], said["outstanding"]) == (10, 1, 0, 9)
        assert audit.outstanding == 9
        keys = office.office.keys.public_keys
        head = await office.ledger.head()
        assert decode_base64(said["hash"].encode(), length=32) == head.hash
        signature = decode_base64(said["signature"].encode(), length=64)
        assert signs_head(keys, ISSUER, said["selector"], head, signature)
        assert not signs_head(keys, ISSUER, said["selector"], head, bytes(64))

    tell(story)


def test_after_a_restore_totals_and_receipts_name_the_epoch(tell):
    async def story(office):
        stamp = await spend(office)
        assert (await office.ask("GET", "/v1/totals"))[1]["epochs"] == []
        await office.ledger.begin_epoch(b"e" * 16, now=NOW + 7)
        _, said, _ = await office.ask("GET", "/v1/totals")
        assert said["epochs"] == [
            {"id": encode_base64(b"e" * 16).decode(), "follows": said["batch"] - 1, "at": NOW + 7}
        ]
        head = await office.ledger.head()
        signature = decode_base64(said["signature"].encode(), length=64)
        assert signs_head(office.office.keys.public_keys, ISSUER, said["selector"], head, signature)
        receipt = parse_receipt((await ask_receipts(office, ANN, [stamp]))[1]["receipts"][0].encode())
        assert receipt.sealed.head.epochs == ()
        assert holds(receipt, office.office.keys.public_keys)

    tell(story)


def test_a_sender_is_shown_what_became_of_a_stamp_and_nobody_elses(tell):
    async def story(office):
        stamp = await spend(office)
        await office.office.open_account("eve@sender.example", EVE.public)
        status, said, _ = await ask_receipts(office, ANN, [stamp, ("", DAY, b"x" * 16)])
        assert status == 200
        receipt = parse_receipt(said["receipts"][0].encode())
        assert holds(receipt, office.office.keys.public_keys)
        assert (receipt.sealed.use.receiver, receipt.sealed.use.domain) == ("acme", "example.org")
        assert said["receipts"][1] == ""
        assert (await ask_receipts(office, EVE, [stamp]))[1] == {"receipts": [""]}

    tell(story)


def test_receipts_are_asked_for_in_form(tell):
    async def story(office):
        await spend(office)
        assert (await ask_receipts(office, ANN, [("", DAY, b"short")]))[0] == 400
        assert (await ask_receipts(office, ANN, [("", DAY, b"s" * 16)] * 201))[0] == 400

    tell(story)
