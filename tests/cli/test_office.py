"""The office's own commands, on the ledger itself: accounts, vouchers, receivers, the books."""

import apsw
import pytest

from pennyred.office.ledger.owned import turns
from pennyred.office.ledger.remote.ledger import RemoteLedger
from pennyred.office.office import token_hash
from pennyred.postage.errors import OutcomeUnknown, Unavailable
from pennyred.postage.reasons import Reason


@pytest.fixture
def ann(account):
    return account


def test_account_list_says_what_each_has(at, ann):
    said = at("account", "list", "--json").document

    assert list(said) == ["accounts"]
    (one,) = [one for one in said["accounts"] if one["account"] == ann]
    assert one == {"account": ann, "address": "ann@sender.example", "state": "open", "available": 0, "held": 0}
    assert ann in at("account", "list").text


def test_account_show_says_all_of_one(at, ann):
    said = at("account", "show", ann, "--json").document

    assert said == {
        "account": ann,
        "address": "ann@sender.example",
        "state": "open",
        "daily_cap": 1000,
        "balance": 0,
        "available": 0,
        "held": 0,
        "spent": 0,
    }
    assert "1,000" in at("account", "show", ann).text


def test_a_credit_is_in_the_balance_and_in_the_statement(at, run, ann):
    said = at("account", "credit", ann, 500, "--reason", "invoice 17", "--json").document

    assert said == {"account": ann, "credited": 500, "available": 500}
    assert at("account", "credit", ann, 1, "--reason", "x").text == "1 stamps credited; 501 available\n"
    first = run("statement", "--json").document["entries"][0]
    assert (first["kind"], first["stamps"], first["balance"], first["detail"]) == ("credit", 500, 500, "invoice 17")


def test_a_credit_of_which_nobody_knows_is_not_said_to_be_for_later(at, ann, monkeypatch):
    """Whoever goes by 75 would try again, and credit twice: it says what to look at, and what stood there before."""
    at("account", "credit", ann, 1_200, "--reason", "x")

    async def broken(*_, **__):
        raise OutcomeUnknown(Reason.LEDGER_UNAVAILABLE, "db.example: the connection is lost")

    monkeypatch.setattr(RemoteLedger, "credit", broken)
    said = at("account", "credit", ann, 500, "--reason", "invoice 17", "--json", status=74)
    error = said.document["error"]
    assert error["reason"] == "outcome-unknown"
    for words in (
        "not known whether 500 stamps",
        "the balance was 1,200",
        f"pennyred account show {ann}",
        "db.example",
    ):
        assert words in error["message"]


def test_a_credit_that_is_done_is_done_though_the_balance_cannot_be_read(at, ann, monkeypatch):
    account, asked = RemoteLedger.account, []

    async def once(ledger, *which):
        asked.append(which)
        if len(asked) > 1:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "away")
        return await account(ledger, *which)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteLedger, "account", once)
        said = at("account", "credit", ann, 500, "--reason", "x", "--json").document
    assert said == {"account": ann, "credited": 500, "available": None}
    assert at("account", "show", ann, "--json").document["available"] == 500


def test_a_closed_account_is_credited_nothing(at, ann):
    assert at("account", "close", ann, "--json").document == {"account": ann, "state": "closed"}
    at("account", "close", ann)

    said = at("account", "credit", ann, 5, "--reason", "x", "--json", status=1)

    assert said.document["error"]["reason"] == "account-closed"
    assert at("account", "show", ann, "--json").document["state"] == "closed"


@pytest.mark.parametrize(
    "words",
    [["show", "nobody"], ["close", "nobody"], ["credit", "nobody", "5", "--reason", "x"]],
    ids=lambda words: words[0],
)
def test_an_unknown_account_is_refused_by_name(at, words):
    said = at("account", *words, "--json", status=1)

    assert said.document["error"]["reason"] == "unknown-account"
    assert "(unknown-account)" in at("account", *words, status=1).err


def test_vouchers_are_printed_once_and_stored_hashed(at, tmp_path):
    said = at("voucher", "create", "--stamps", 100, "--count", 3, "--json").document

    assert [list(one) for one in said["vouchers"]] == [["code", "stamps"]] * 3
    assert {one["stamps"] for one in said["vouchers"]} == {100}
    codes = {one["code"] for one in said["vouchers"]}
    assert len(codes) == 3
    stored = b"".join(path.read_bytes() for path in (tmp_path / "post").iterdir())
    assert not [code for code in codes if code.encode() in stored or code.replace("-", "").encode() in stored]


def test_vouchers_for_people_are_one_a_line(at):
    lines = at("voucher", "create", "--stamps", 100, "--count", 2).text.splitlines()

    assert [line[:6] for line in lines] == ["PENNY-", "PENNY-"]


def test_a_receiver_gets_a_token_that_is_stored_hashed(at, tmp_path):
    said = at("receiver", "add", "acme", "--domain", "ACME.example", "--domain", "bücher.example", "--json").document

    assert list(said) == ["receiver", "domains", "token"]
    assert said["receiver"] == "acme"
    assert said["domains"] == ["acme.example", "xn--bcher-kva.example"]
    database = apsw.Connection(str(tmp_path / "post" / "ledger.db"))
    ((stored,),) = list(database.execute("SELECT token_hash FROM receiver WHERE name = 'acme'"))
    database.close()
    assert stored == token_hash(said["token"])


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["acme", "--domain", "b.example"], 1, "name-taken"),
        (["local", "--domain", "b.example"], 1, "name-taken"),
        (["a b", "--domain", "b.example"], 1, "bad-name"),
        (["", "--domain", "b.example"], 1, "bad-name"),
        (["beta", "--domain", "b example"], 2, "malformed"),
        (["beta", "--domain", "*"], 2, "malformed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_receiver_is_refused_by_name(at, words, status, reason):
    at("receiver", "add", "acme", "--domain", "acme.example")

    said = at("receiver", "add", *words, "--json", status=status)

    assert said.document["error"]["reason"] == reason


def test_the_books_balance(at, ann):
    at("account", "credit", ann, 500, "--reason", "x")

    said = at("ledger", "audit", "--json").document

    assert said == {"balanced": True, "sold": 500, "settled": 0, "refunded": 0, "held": 0, "outstanding": 500}
    assert "balanced" in at("ledger", "audit").text


@pytest.mark.parametrize(
    "crime",
    [
        "UPDATE account SET balance = balance + 1 WHERE id = ?",
        "UPDATE posting SET amount = amount + 1 WHERE account = ?",
        "UPDATE account SET held = 1 WHERE id = ?",
        "DELETE FROM posting WHERE account = ?",
    ],
)
def test_books_that_were_tampered_with_do_not(at, ann, office, tmp_path, crime):
    at("account", "credit", ann, 500, "--reason", "x")
    database = apsw.Connection(str(tmp_path / "post" / "ledger.db"))
    database.execute(crime, (ann,))
    database.close()

    said = at("ledger", "audit", "--json", status=1)

    assert said.document["balanced"] is False
    assert said.document["differences"]
    assert ann in " ".join(said.document["differences"])
    assert "(unbalanced)" in at("ledger", "audit", status=1).err


def test_migrating_what_is_up_to_date_does_nothing(at):
    assert at("ledger", "migrate", "--json").document == {"applied": []}
    assert at("ledger", "migrate").text == "up to date\n"


def test_a_new_ledger_gets_its_schema(at, tmp_path):
    (tmp_path / "post" / "ledger.db").unlink()

    applied = at("ledger", "migrate", "--json").document["applied"]

    assert applied[0] == 1
    assert at("ledger", "audit", "--json").document["balanced"]


def test_a_ledger_of_a_later_version_is_left_alone(at, tmp_path):
    path = tmp_path / "post" / "ledger.db"
    database = apsw.Connection(str(path))
    database.execute("INSERT INTO schema_migration VALUES (9999, '9999_later.sql', 'x', 0)")
    database.close()

    for words in (["ledger", "audit"], ["ledger", "migrate"], ["account", "list"]):
        said = at(*words, "--json", status=2)
        assert said.document["error"]["reason"] == "schema"
        assert "9999" in said.document["error"]["message"]


def test_a_ledger_that_somebody_keeps_locked_is_for_later(at, tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.2)
    database = apsw.Connection(str(tmp_path / "post" / "ledger.db"))
    database.execute("BEGIN EXCLUSIVE")
    try:
        said = at("voucher", "create", "--stamps", 1, "--json", status=75)
    finally:
        database.close()

    assert said.document["error"]["reason"] == "ledger-unavailable"


def test_a_ledger_that_is_not_there_is_for_later_and_is_not_made_anew(at, tmp_path):
    """A disk that is not mounted: an empty ledger in its place would refuse every stamp for ever."""
    path = tmp_path / "post" / "ledger.db"
    path.unlink()

    for words in (["account", "list"], ["ledger", "audit"], ["voucher", "create", "--stamps", 1], ["serve"]):
        at(*words, status=75)
        assert not path.exists()

    at("ledger", "migrate")
    assert path.exists()


def test_a_ledger_that_is_no_database_is_not_made_one(at, tmp_path):
    path = tmp_path / "post" / "ledger.db"
    path.write_bytes(b"these are my notes\n" * 1000)

    at("account", "list", status=75)
    at("ledger", "migrate", status=75)

    assert path.read_bytes() == b"these are my notes\n" * 1000


@pytest.mark.parametrize("text", ["a\udcffb", "two\nlines", "\x1b[31mred", "x" * 201], ids=ascii)
@pytest.mark.parametrize(
    "words",
    [
        ["account", "show", "TEXT"],
        ["account", "close", "TEXT"],
        ["account", "credit", "TEXT", "5", "--reason", "x"],
        ["account", "credit", "ANN", "5", "--reason", "TEXT"],
        ["account", "rekey", "TEXT", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_text_that_no_database_would_give_back_is_named(at, ann, words, text):
    """Bytes that are no text come from a shell as halves of surrogate pairs."""
    words = [{"TEXT": text, "ANN": ann}.get(word, word) for word in words]
    assert at(*words, "--json", status=2).document["error"]["reason"] == "malformed"
    assert at("account", "show", ann, "--json").document["balance"] == 0


def test_a_receiver_s_name_that_is_no_text_is_refused_by_name(at):
    said = at("receiver", "add", "a\udcffb", "--domain", "b.example", "--json", status=1)
    assert said.document["error"]["reason"] == "bad-name"
