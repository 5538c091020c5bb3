"""What takes a hold, or gives it back, names the same stamp as all else that names one."""

from tests.support.ledgerworld import order
from tests.support.replacing import replace
from tests.support.stationery import LETTER, Stationery

from pennyred.postage.proofs.chain import Use
from pennyred.postage.redemption import Hold, Settle, Void

STAMP = Stationery().stamp(LETTER, "bob@example.org")
HOLD = Hold(b"t" * 16, 0, STAMP, "example.org", b"l" * 32)


def test_a_hold_is_taken_for_its_letter():
    assert HOLD.settle() == Settle(
        issuer=STAMP.issuer, account=STAMP.account, expiry_day=STAMP.expiry_day, serial=STAMP.serial,
        letter=b"l" * 32, stamp=STAMP, domain="example.org",
    )  # fmt: skip


def test_a_hold_is_given_back_under_its_own_tx():
    assert HOLD.void() == Void(
        issuer=STAMP.issuer, account=STAMP.account, expiry_day=STAMP.expiry_day, serial=STAMP.serial,
        letter=b"l" * 32, tx=b"t" * 16,
    )  # fmt: skip


def test_whatever_names_a_stamp_gives_it_one_key():
    key = (STAMP.account, STAMP.expiry_day, STAMP.serial)
    ordered = replace(order(), account=STAMP.account, expiry_day=STAMP.expiry_day, serial=STAMP.serial)
    use = Use(*key, letter=b"l" * 32, receiver="acme", domain="example.org", price=1, at=1)
    assert STAMP.key == HOLD.settle().key == HOLD.void().key == ordered.key == use.key == key
