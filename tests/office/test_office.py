"""The office's desk over the ledger: accounts, licences, vouchers, receivers."""

import asyncio
import base64
import hashlib

import pytest
from tests.support.office_at_work import ANN, EVE, OfficeAtWork
from tests.support.stationery import DAY, ISSUER, NOW

from pennyred.office.keys import add_key
from pennyred.office.ledger.protocol import AccountState
from pennyred.office.office import LOCAL_RECEIVER, Refusal, Refused, token_hash
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.signing import CONTEXT_LICENCE, SigningKey, verify


@pytest.fixture
def work(tmp_path):
    return OfficeAtWork(tmp_path)


@pytest.fixture
def office(work):
    return work.office


class TestAccounts:
    """Opening, and what an account is told."""

    def test_an_account_is_opened_with_a_random_id_and_the_offices_cap(self, office):
        account, licence = asyncio.run(office.open_account("Ann@Sender.EXAMPLE", ANN.public))

        assert len(account.id) == 16
        assert (account.address, account.daily_cap, account.balance) == ("ann@sender.example", 1000, 0)
        assert licence.account == account.id

    def test_opening_again_with_the_same_key_is_the_same_account(self, office):
        """A client that never heard the first answer asks again."""
        first, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        again, _ = asyncio.run(office.open_account("other@sender.example", ANN.public))

        assert (again.id, again.address) == (first.id, "ann@sender.example")

    def test_another_key_is_another_account(self, office):
        ann, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        eve, _ = asyncio.run(office.open_account("ann@sender.example", EVE.public))

        assert ann.id != eve.id

    def test_an_id_that_is_taken_is_drawn_again(self, office):
        ann, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        draws = iter([base64.b32decode(ann.id.upper()), b"\x07" * 10])
        office._random_bytes = lambda _: next(draws)

        eve, _ = asyncio.run(office.open_account("eve@sender.example", EVE.public))

        assert eve.id == base64.b32encode(b"\x07" * 10).decode().lower()

    def test_randomness_that_is_none_is_our_mistake_and_ends(self, office):
        office._random_bytes = bytes
        asyncio.run(office.open_account("ann@sender.example", ANN.public))

        with pytest.raises(RuntimeError):
            asyncio.run(office.open_account("eve@sender.example", EVE.public))

    @pytest.mark.parametrize("address", ["", "ann", "postmaster", "ann@", "a b@c.example"])
    def test_an_address_that_is_none_opens_nothing(self, office, address):
        with pytest.raises(MalformedAddress):
            asyncio.run(office.open_account(address, ANN.public))

    def test_a_closed_account_is_told_so(self, office):
        account, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        asyncio.run(office.ledger.close_account(account.id))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.open_account("ann@sender.example", ANN.public))

        assert refused.value.reason is Refusal.ACCOUNT_CLOSED
        assert asyncio.run(office.account(account.id)).state is AccountState.CLOSED

    def test_an_account_that_is_none_is_refused_by_name(self, office):
        with pytest.raises(Refused) as refused:
            asyncio.run(office.account("nobody"))

        assert refused.value.reason is Refusal.UNKNOWN_ACCOUNT


class TestLicences:
    """Short, signed by the newest key, for the account's key and cap."""

    def test_a_licence_says_who_what_and_until_when(self, office):
        account, licence = asyncio.run(office.open_account("ann@sender.example", ANN.public))

        assert (licence.issuer, licence.selector) == (ISSUER, "s1")
        assert (licence.public_key, licence.daily_cap) == (ANN.public, account.daily_cap)
        assert licence.valid_from < NOW < licence.valid_until == NOW + 90 * DAY

    def test_it_is_signed_by_the_offices_newest_key(self, work):
        account, _ = asyncio.run(work.office.open_account("ann@sender.example", ANN.public))
        add_key(work.folder / "office.key", b"\x05" * 32)
        work.office.keys.reload()

        licence = work.office.licence(account)

        public = SigningKey.from_seed(b"\x05" * 32).public
        assert licence.selector == "s2"
        assert verify(public, CONTEXT_LICENCE, licence.signed_bytes, licence.signature)


class TestVouchers:
    """Credited once, to one account."""

    def test_a_voucher_is_worth_what_it_was_made_for_once(self, office):
        account, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        codes = asyncio.run(office.create_vouchers(100, 3))

        assert len(set(codes)) == 3
        assert [asyncio.run(office.redeem_voucher(account.id, codes[0])) for _ in range(2)] == [100, 100]
        assert asyncio.run(office.account(account.id)).balance == 100

    def test_a_voucher_that_somebody_else_used_is_refused(self, office):
        ann, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        eve, _ = asyncio.run(office.open_account("eve@sender.example", EVE.public))
        [code] = asyncio.run(office.create_vouchers(100, 1))
        asyncio.run(office.redeem_voucher(ann.id, code))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.redeem_voucher(eve.id, code))

        assert refused.value.reason is Refusal.VOUCHER_USED

    @pytest.mark.parametrize("code", ["", "PENNY-22222-22222-22222-22222", "penny", "x" * 10_000])
    def test_a_code_that_is_none_is_refused(self, office, code):
        account, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.redeem_voucher(account.id, code))

        assert refused.value.reason is Refusal.UNKNOWN_VOUCHER

    def test_a_closed_account_buys_nothing_and_the_voucher_stays_good(self, office):
        ann, _ = asyncio.run(office.open_account("ann@sender.example", ANN.public))
        eve, _ = asyncio.run(office.open_account("eve@sender.example", EVE.public))
        asyncio.run(office.ledger.close_account(ann.id))
        [code] = asyncio.run(office.create_vouchers(100, 1))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.redeem_voucher(ann.id, code))

        assert refused.value.reason is Refusal.ACCOUNT_CLOSED
        assert asyncio.run(office.redeem_voucher(eve.id, code)) == 100

    def test_an_account_that_is_none_buys_nothing(self, office):
        [code] = asyncio.run(office.create_vouchers(100, 1))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.redeem_voucher("nobody", code))

        assert refused.value.reason is Refusal.UNKNOWN_ACCOUNT


class TestReceivers:
    """Who may redeem, for which domains; the token is seen once."""

    def test_a_receiver_is_known_by_its_token_for_its_canonical_domains(self, office):
        added = asyncio.run(office.add_receiver("acme", ["Acme.Example", "acme.example", "bücher.example"]))
        found = asyncio.run(office.ledger.receiver_by_token(token_hash(added.token)))

        assert added.domains == ("acme.example", "xn--bcher-kva.example")
        assert found is not None
        assert (found.name, found.domains) == ("acme", added.domains)
        assert token_hash(added.token) == hashlib.sha256(added.token.encode()).digest()

    def test_a_name_is_given_once(self, office):
        asyncio.run(office.add_receiver("acme", ["acme.example"]))

        with pytest.raises(Refused) as refused:
            asyncio.run(office.add_receiver("acme", ["other.example"]))

        assert refused.value.reason is Refusal.NAME_TAKEN

    @pytest.mark.parametrize("name", ["", "a b", "x" * 61, "receiver:x", "Ä", "a/b"])
    def test_a_name_that_is_none_is_refused(self, office, name):
        with pytest.raises(Refused) as refused:
            asyncio.run(office.add_receiver(name, ["acme.example"]))

        assert refused.value.reason is Refusal.BAD_NAME

    @pytest.mark.parametrize("domain", ["", "*", "a..b", "a b.example"])
    def test_a_domain_that_is_none_is_refused(self, office, domain):
        """Any domain is for the office's own gate only."""
        with pytest.raises(MalformedAddress):
            asyncio.run(office.add_receiver("acme", [domain]))

    def test_the_gate_in_this_process_may_redeem_for_any_domain(self, office):
        for _ in range(2):
            asyncio.run(office.ensure_local_receiver())

        with pytest.raises(Refused):
            asyncio.run(office.add_receiver(LOCAL_RECEIVER, ["acme.example"]))
