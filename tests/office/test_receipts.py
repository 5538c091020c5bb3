"""An office's receipts hold under its keys, and there is one for each stamp it has settled."""

import asyncio
import os

from tests.support.ledgerworld import NOW, RECEIVER, LedgerWorld, order, settle_of
from tests.support.memory_ledger import MemoryLedger

from pennyred.office.keys import OfficeKeys, add_key
from pennyred.office.receipts import Receipts
from pennyred.postage.proofs.receipt import holds, parse_receipt

ISSUER = "post.example.org"


def test_a_settled_stamp_has_a_receipt_and_another_has_none(tmp_path):
    async def story():
        add_key(tmp_path / "office.key", os.urandom(32))
        keys = OfficeKeys(tmp_path / "office.key")
        world = LedgerWorld(MemoryLedger())
        await world.prepare()
        account = "sendera" + "2" * 9
        settled = [order(f"s{number}", account=account, public_key=bytes(32)) for number in range(2)]
        await world.ledger.open_account(account, "ann@example.com", bytes(32), 100, now=NOW)
        await world.ledger.credit(account, 10, "", now=NOW)
        await world.hold_all([*settled, order("held")])
        await world.ledger.settle(RECEIVER, [settle_of(one) for one in settled], now=NOW)
        asked = [one.key for one in (*settled, order("held"))]
        first, second, none = await Receipts(ISSUER, world.ledger, keys).of(asked)
        assert none == ""
        for text, one in zip((first, second), settled, strict=True):
            receipt = parse_receipt(text.encode())
            assert holds(receipt, keys.public_keys)
            assert (receipt.sealed.use.serial, receipt.sealed.use.letter) == (one.serial, one.letter)

    asyncio.run(story())
