"""A ledger that was moved to PostgreSQL while a service had it open, and the old settings go on being used."""

import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.support.postgres import any_version
from tests.support.program import run, run_json
from tests.support.town import BOB, Town, letter

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def url(postgres_database):
    return postgres_database(any_version())


ADMIN = [
    ("account", "list"),
    ("account", "show", "a" * 16),
    ("account", "credit", "a" * 16, "5", "--reason", "x"),
    ("account", "close", "a" * 16),
    ("account", "rekey", "a" * 16, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    ("voucher", "create", "--stamps", "5"),
    ("receiver", "add", "mx", "--domain", "a.example"),
    ("ledger", "audit"),
    ("ledger", "migrate"),
    ("ledger", "backup", "copy.db"),
]


def test_whoever_asks_it_hears_where_it_is_and_there_is_no_traceback(tmp_path, mail_server, url):
    town = Town.found(tmp_path, mail_server.port)
    with town.serve() as served:
        town.fund(10)
        stamped = [town.stamped(letter(f"{number}"), BOB) for number in range(3)]
        assert town.send(stamped[0], BOB)[0] == 250
        served.wait_for_letter()
        run("ledger", "copy", f"sqlite:///{tmp_path}/ledger.db", url)

        code, text = town.send(stamped[1], BOB)
        assert (code, "moved" in text) == (451, False)  # no stranger's business
        assert served.wait_for_letter()["reason"] == "ledger-unavailable"
        for arguments in (("balance",), ("statement",), ("buy", "5", "--voucher", "PENNY-AAAAA-AAAAA-AAAAA-AAAAA")):
            said = run(*arguments, "--json", home=town.home, check=False)
            assert said.returncode == 75
            assert json.loads(said.stdout)["error"]["reason"] == "office-unreachable"
            assert b"Traceback" not in said.stderr
        for path in ("/v1/totals", "/v1/revocations", "/healthz"):
            with pytest.raises(HTTPError) as refused:
                urlopen(f"http://127.0.0.1:{town.office_port}{path}")
            assert refused.value.code == 503
            refused.value.close()
        for arguments in ADMIN:
            said = run("--config", str(town.settings), *arguments, check=False)
            assert (said.returncode, b"this ledger has moved to" in said.stderr) == (2, True), (arguments, said.stderr)
            assert b"Traceback" not in said.stderr
        check = run_json("--config", str(town.settings), "check", check=False)
        assert any("has moved to" in one["what"] for one in check["complaints"])
    assert not [
        line
        for line in served.log
        if "exception" in line or line["event"] in ("service.broken_off", "service.internal_error")
    ]

    again = run("--config", str(town.settings), "serve", check=False)
    assert again.returncode == 2
    assert b"has moved to" in again.stderr
    town.write(office=f'ledger = "{url}"')
    with town.serve():
        assert town.send(stamped[0], BOB)[1].endswith("(duplicate)")
        assert town.send(stamped[2], BOB)[0] == 250
    assert town.audit()["settled"] == 2
