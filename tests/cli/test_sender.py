"""A sender's account: opened once, filled by vouchers, looked at."""

import json
import os
import stat
import subprocess
import sys

import pytest
from tests.support.stationery import Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.sender.wallet import KEY_FILE, WALLET_FILE, load_account, load_wallet, save_key

ANN = "ann@sender.example"


def accounts(at):
    """Of senders, as the office has them."""
    return [one for one in at("account", "list", "--json").document["accounts"] if one["address"]]


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

    def test_what_is_known_of_the_account_need_not_be_said_again(self, run, at, account, home):
        assert run("open", "--json").document["account"] == account
        (home / KEY_FILE).unlink()
        said = run("open", "--account", account, "--json", status=1).document["error"]["message"]
        at("account", "rekey", *said.split("pennyred account rekey ")[1].split()[:2])
        assert run("open", "--account", account, "--json").document["account"] == account

    def test_who_has_no_account_says_where_and_whose(self, run, home):
        assert "--office https://post.example.org --address" in run("open", status=2).err
        assert "--office https://post.example.org --address" in run("open", "--address", ANN, status=2).err
        assert not list(home.glob("*"))

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

    def test_a_lost_key_is_told_and_no_other_account_is_opened(self, run, at, office, account, home, voucher):
        """By hand: take LostKey for no wallet, as it was, and this opens a second account over the first."""
        run("buy", 50, "--voucher", voucher)
        (home / KEY_FILE).unlink()
        before = (home / WALLET_FILE).read_bytes()
        for words in (["open", "--office", office.url, "--address", ANN], ["balance"], ["stamp", "-"]):
            said = run(*words, "--json", stdin=b"From: a@b.example\r\n\r\n", status=2).document["error"]
            assert said["reason"] == "lost-key"
            assert f"pennyred open --office {office.url} --address {ANN} --account {account}" in said["message"]
        assert (home / WALLET_FILE).read_bytes() == before
        assert not (home / KEY_FILE).exists()
        assert len(accounts(at)) == 1

    def test_a_lost_key_is_replaced_where_the_account_is_known_step_by_step(
        self, run, at, office, account, home, voucher
    ):
        run("buy", 50, "--voucher", voucher)
        (home / KEY_FILE).unlink()
        words = ["open", "--office", office.url, "--address", ANN, "--account", account]
        said = run(*words, "--json", status=1).document["error"]
        assert said["reason"] == "key-unknown"
        new = (home / KEY_FILE).read_bytes()
        assert run(*words, "--json", status=1).document["error"] == said, "the same key, however often it is repeated"
        said_of_others = run("balance", "--json", status=2).document["error"]
        assert said_of_others["reason"] == "damaged-account"
        assert f"--account {account}" in said_of_others["message"]
        at("account", "rekey", *said["message"].split("pennyred account rekey ")[1].split()[:2])
        run(*words)
        run(*words)
        assert (home / KEY_FILE).read_bytes() == new
        assert run("balance", "--json").document["available"] == 50
        assert len(accounts(at)) == 1

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--address", "eve@sender.example"], "another-address"),
            (["--address", ANN, "--account", "aaaaaaaaaaaaaaaa"], "another-account"),
        ],
    )
    def test_an_account_is_not_made_another_one(self, run, at, office, account, home, words, reason):
        before = {path.name: path.read_bytes() for path in home.iterdir()}
        said = run("open", "--office", office.url, *words, "--json", status=1).document["error"]
        assert (said["reason"], "PENNYRED_HOME=" in said["message"]) == (reason, True)
        assert {path.name: path.read_bytes() for path in home.iterdir()} == before
        assert len(accounts(at)) == 1

    def test_a_key_that_the_office_knows_no_more_opens_no_other_account(self, run, at, office, account, home):
        """Somebody else has a new key for it, or the office has begun anew."""
        at("account", "rekey", account, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        before = (home / WALLET_FILE).read_bytes()
        said = run("open", "--office", office.url, "--address", ANN, "--json", status=1).document["error"]
        assert said["reason"] == "key-unknown"
        assert f"--account {account}" in said["message"]
        assert (home / WALLET_FILE).read_bytes() == before
        assert len(accounts(at)) == 1

    @pytest.mark.parametrize("content", [b"", b"damaged", b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw"])
    def test_a_damaged_key_is_not_overwritten(self, run, office, account, home, content):
        (home / KEY_FILE).write_bytes(content)
        for more in ([], ["--account", account]):
            run("open", "--office", office.url, "--address", ANN, *more, status=2)
        assert (home / KEY_FILE).read_bytes() == content

    def test_a_damaged_wallet_is_had_again_by_its_key(self, run, office, account, home):
        (home / WALLET_FILE).write_bytes(b'{"office": "htt')
        said = run("open", "--office", office.url, "--address", ANN, "--json", status=2).document["error"]["message"]
        assert "move it away" in said
        (home / WALLET_FILE).unlink()
        again = run("open", "--office", office.url, "--address", ANN, "--json").document
        assert again["account"] == account

    def test_another_s_key_beside_the_wallet_is_told_and_nothing_is_overwritten(self, run, office, account, home):
        other = Stationery().sender_key.to_pem()
        (home / KEY_FILE).write_bytes(other)
        assert (
            run("open", "--office", office.url, "--address", ANN, "--json", status=2).document["error"]["reason"]
            == "damaged-account"
        )
        assert (home / KEY_FILE).read_bytes() == other
        assert str(load_account(home).account) == account

    def test_a_key_whose_account_has_another_address_keeps_that(self, run, at, office, account, home):
        (home / WALLET_FILE).unlink()
        said = run("open", "--office", office.url, "--address", "eve@sender.example", "--json", status=1).document[
            "error"
        ]
        assert said["reason"] == "another-address"
        assert ANN in said["message"]
        assert not (home / WALLET_FILE).exists()
        assert run("open", "--office", office.url, "--address", ANN, "--json").document["account"] == account

    def test_two_at_once_open_one_account(self, run, at, office, home):
        words = ["open", "--office", office.url, "--address", ANN, "--json"]
        environment = os.environ | {"PENNYRED_HOME": str(home)}
        both = [
            subprocess.Popen([sys.executable, "-m", "pennyred", *words], env=environment, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        said = [json.loads(one.communicate(timeout=60)[0]) for one in both]
        assert said[0] == said[1]
        assert len(accounts(at)) == 1
        assert load_wallet(home).account == said[0]["account"]

    @pytest.mark.parametrize(
        "address",
        ["Ann@SENDER.example", "ann@sender.example.", "ann@b\u00fccher.example", '"ann"@sender.example', '"ann smith"@sender.example',
         "ann@[192.0.2.1]", "ann+tag@sender.example", "a" * 256 + "@sender.example", "\u00e4nn@sender.example"],
        ids=ascii,
    )  # fmt: skip
    def test_office_and_command_agree_on_what_an_address_is(self, run, at, office, home, address):
        said = run("open", "--office", office.url, "--address", address, "--json").document
        assert said["address"] == address
        assert [one["address"] for one in accounts(at)] == [canonical_recipient(address).canonical]
        assert run("open", "--office", office.url, "--address", address, "--json").document == said, "repeated"

    @pytest.mark.parametrize(
        "address", ["postmaster", "POSTMASTER", "ann", "ann@", "@sender.example", "a b@sender.example", "ann@sender..example", "a" * 257 + "@x.example", "ann@" + "x" * 64 + ".example", "a\x00@x.example", "ann@-x.example"],
        ids=ascii,
    )  # fmt: skip
    def test_what_is_no_address_of_a_sender_is_told_before_anything_is_made(self, run, office, home, address):
        said = run("open", "--office", office.url, "--address", address, "--json", status=2).document["error"]
        assert said["reason"] == "malformed"
        assert not home.exists()

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
    said = run(*words, "--json", status=2).document["error"]["message"]
    assert "pennyred open" in said
    assert "copy that folder" in said
