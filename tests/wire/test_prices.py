"""A price other than 1, by commands and a real gate: asked for in the greeting, by a recipient, and paid."""

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import run, run_json
from tests.support.town import BOB, Town, letter


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("prices")
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, 'price = 3\nrecipient_rules = "recipients.toml"')
        (tmp_path / "recipients.toml").write_text('["ceo@example.org"]\nprice = 7\n["rich@example.org"]\nprice = 50\n')
        with town.serve():
            town.fund(100)
            yield town


def send(town, to, *words, check=True):
    sent = letter().replace(BOB.encode(), to.encode())
    return run_json("send", "--via", f"127.0.0.1:{town.gate_port}", *words, home=town.home, stdin=sent, check=check)


def test_what_the_gate_asks_is_paid_up_to_the_ceiling_and_no_more(town):
    before, _ = town.balance()
    assert send(town, BOB)["copies"][0]["stamps"] == {BOB: 3}
    assert town.balance() == (before + 3, 0)
    assert send(town, "ceo@example.org")["copies"][0]["stamps"] == {"ceo@example.org": 7}
    assert town.balance() == (before + 10, 0), "the stamp that was too cheap is not taken as well"
    [copy] = send(town, "rich@example.org", check=False)["copies"]
    assert (copy["code"], copy["reason"]) == (550, "underpaid")
    assert "price here, 50 stamps (underpaid)" in copy["reply"]
    assert town.balance() == (before + 10, 0)
    assert send(town, "rich@example.org", "--max-price", "50")["copies"][0]["stamps"] == {"rich@example.org": 50}
    assert town.balance() == (before + 60, 0)
    assert send(town, BOB, "--max-price", "2", check=False)["error"]["reason"] == "over-max-price"
    assert town.audit()["balanced"]


def test_a_letter_stamped_by_hand_for_the_price_passes_and_one_for_less_is_told_it(town):
    for price, code in ((1, 550), (3, 250)):
        stamped = run("stamp", "--price", str(price), home=town.home, stdin=letter()).stdout
        got, text = town.send(stamped, BOB)
        assert got == code
        assert price == 3 or "price here, 3 stamps (underpaid)" in text


def test_recipients_of_several_prices_are_each_paid_their_own(town):
    before, _ = town.balance()
    sent = letter().replace(f"<{BOB}>".encode(), f"<{BOB}>, ceo@example.org".encode())
    [copy] = run_json("send", "--via", f"127.0.0.1:{town.gate_port}", home=town.home, stdin=sent)["copies"]
    assert copy["stamps"] == {BOB: 3, "ceo@example.org": 7}
    assert town.balance() == (before + 10, 0)
