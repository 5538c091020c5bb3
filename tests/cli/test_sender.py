"""A sender's account: opened once, filled by vouchers, looked at."""

import stat

import pytest
from stationery import Stationery

from pennyred.services.wallet import KEY_FILE, WALLET_FILE, load_wallet, save_key

ANN = "ann@sender.example"


class TestOpen:
    def test_an_account_is_opened_and_its_licence_kept(self, run, office, home):
        said = run("open", "--office", office.url + "/", "--address", ANN, "--json")

        wallet = load_wallet(home)
        assert said.document == {"account": wallet.account, "address": ANN, "office": office.url}
        assert wallet.licence.account == wallet.account
        assert wallet.office_keys == dict(office.office.keys.public_keys)
        assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600

    def test_repeating_it_changes_nothing(self, run, office, account):
        again = run("open", "--office", office.url, "--address", ANN, "--json")

        assert again.document["account"] == account

    def test_a_key_from_an_attempt_that_failed_is_used_again(self, run, office, home):
        key = Stationery().sender_key
        save_key(home, key)

        run("open", "--office", office.url, "--address", ANN)

        assert load_wallet(home).key.public == key.public

    def test_an_account_whose_key_was_lost_is_had_again_with_a_new_one(self, run, at, office, account, home, voucher):
        run("buy", 50, "--voucher", voucher)
        lost = load_wallet(home).key.public
        for path in home.iterdir():
            path.unlink()
        words = ["open", "--office", office.url, "--address", ANN, "--account", account]
        said = run(*words, "--json", status=1)
        assert said.document["error"]["reason"] == "key-unknown"
        command = said.document["error"]["message"].split("pennyred account rekey ")[1].split()
        at("account", "rekey", *command[:2])
        run(*words)
        assert load_wallet(home).account == account
        assert load_wallet(home).key.public != lost
        assert run("balance", "--json").document["available"] == 50

    def test_a_key_that_is_none_is_named(self, at, account):
        assert "base64" in at("account", "rekey", account, "AAAA", status=2).err
        at("account", "rekey", account, "A" * 43 + "=", status=2)
        at("account", "rekey", "aaaaaaaaaaaaaaaa", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", status=1)

    def test_an_account_at_another_office_is_not_overwritten(self, run, account, home):
        said = run("open", "--office", "https://other.example", "--address", ANN, status=1)

        assert "account-exists" in said.err
        assert load_wallet(home).account == account

    def test_a_damaged_wallet_is_not_overwritten(self, run, office, account, home):
        (home / WALLET_FILE).write_bytes(b"damaged")

        run("open", "--office", office.url, "--address", ANN, status=2)

        assert (home / WALLET_FILE).read_bytes() == b"damaged"

    def test_an_office_that_is_not_there_is_75(self, run):
        said = run("open", "--office", "http://127.0.0.1:1", "--address", ANN, "--json", status=75)

        assert said.document["error"]["reason"] == "office-unreachable"

    @pytest.mark.parametrize("url", ["post.example.org", "http://post.example.org", "ftp://post.example.org", ""])
    def test_an_office_is_reached_by_https(self, run, url, home):
        run("open", "--office", url, "--address", ANN, status=2)

        assert not (home / WALLET_FILE).exists()

    def test_an_address_that_is_none_is_wrong_usage_and_leaves_nothing(self, run, office, home):
        run("open", "--office", office.url, "--address", "nobody", status=2)

        assert not home.exists()


@pytest.mark.usefixtures("account")
class TestPostage:
    def test_a_voucher_is_credited_once(self, run, voucher):
        assert run("buy", 50, "--voucher", voucher, "--json").document == {
            "bought": 50,
            "credited": 50,
            "available": 50,
        }

        said = run("buy", 50, "--voucher", voucher, "--json", status=None)

        assert run("balance", "--json").document["available"] == 50
        assert said.status in (0, 1)

    def test_a_code_that_is_none_is_refused_by_name(self, run):
        said = run("buy", 50, "--voucher", "PENNY-NONE", "--json", status=1)

        assert said.document["error"]["reason"] == "unknown-voucher"

    def test_the_balance_is_told(self, run, account, voucher):
        run("buy", 50, "--voucher", voucher)

        assert run("balance", "--json").document == {"account": account, "available": 50, "held": 0, "spent": 0}
        assert "50" in run("balance").text

    def test_the_statement_has_every_entry(self, run, voucher):
        run("buy", 50, "--voucher", voucher)

        (entry,) = run("statement", "--json").document["entries"]

        assert set(entry) == {"at", "kind", "stamps", "balance", "detail"}
        assert (entry["stamps"], entry["balance"]) == (50, 50)
        assert entry["at"].endswith("Z")
        assert entry["kind"] in run("statement").text


@pytest.mark.parametrize("words", [("balance",), ("statement",), ("buy", "5", "--voucher", "x")])
def test_without_an_account_it_is_said_how_to_get_one(run, words):
    assert "pennyred open" in run(*words, "--json", status=2).document["error"]["message"]
