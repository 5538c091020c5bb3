"""An office whose ledger was put back, as programs: mail goes on, and what it signs says so."""

import json
import shutil
import urllib.request

import pytest
from tests.support.mailserver import MailServer
from tests.support.town import BOB, Town, letter


def totals(town):
    with urllib.request.urlopen(f"http://127.0.0.1:{town.office_port}/v1/totals", timeout=30) as answer:
        return json.load(answer)


def spend(town):
    """One letter more, and the totals after it."""
    assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
    return totals(town)


@pytest.mark.long
@pytest.mark.parametrize("means", ["a copy of the file", "the command"])
def test_an_office_that_lost_what_it_had_signed_begins_an_epoch_before_it_signs_again(tmp_path, means):
    ledger, saved = "ledger.db", tmp_path / "saved.db"
    with MailServer() as server:
        town = Town.found(tmp_path, server.port)
        with town.serve():
            town.fund(5)
            before = spend(town)
        if means == "the command":
            town.admin("ledger", "backup", str(saved))
        else:
            shutil.copy(tmp_path / ledger, saved)
        with town.serve():
            lost = spend(town)
            assert (lost["batch"], lost["epochs"]) == (before["batch"] + 1, [])
        for path in tmp_path.glob(f"{ledger}*"):
            path.unlink()
        if means == "the command":
            town.admin("ledger", "restore", str(saved))
        else:
            shutil.copy(saved, tmp_path / ledger)
        with town.serve("--workers", "2") as served:
            begun = totals(town)
            assert begun["batch"] == lost["batch"]
            assert begun["hash"] != lost["hash"]
            assert [one["follows"] for one in begun["epochs"]] == [before["batch"]]
            assert spend(town)["epochs"] == begun["epochs"]
        went_back = [line for line in served.log if line["event"] == "ledger.went_back"]
        assert len(went_back) == (means != "the command")
        assert town.audit()["balanced"]
