"""An office elsewhere that forgets what it held, while the mail server has the letter: the stamp pays, and once."""

import shutil
import threading
from contextlib import ExitStack

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.town import BOB, Town, letter


@pytest.mark.long
@pytest.mark.parametrize("means", ["killed", "set back to a copy"])
def test_a_letter_that_was_delivered_meanwhile_is_paid_by_its_stamp(tmp_path, means):
    ledger, saved = "ledger.db", tmp_path / "saved"
    with MailServer() as server, ExitStack() as stack:
        town = Town.found(tmp_path, server.port, office="workers = 2", is_divided=True)
        office = Served(town.office_settings)
        with office:
            town.fund(5)
            gate = stack.enter_context(Served(town.settings))
            assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250  # the gate asks in passing who the office is
        saved.mkdir()
        for path in tmp_path.glob(f"{ledger}*"):
            shutil.copy(path, saved)
        office = Served(town.office_settings)
        office.__enter__()
        release, stamped, said = server.hold_back(b"."), town.stamped(letter(), BOB), []
        sending = threading.Thread(target=lambda: said.append(town.send(stamped, BOB)))
        sending.start()
        server.until(lambda: server.fake.unanswered == 2)
        office.kill()
        if means == "set back to a copy":
            for path in tmp_path.glob(f"{ledger}*"):
                path.unlink()
            for path in saved.iterdir():
                shutil.copy(path, tmp_path)
        release()
        sending.join()
        assert said[0][0] == 250
        with Served(town.office_settings):
            gate.wait_for(lambda line: line["event"] == "outbox.settled")
            code, text = town.send(stamped, BOB)
            assert (code, len(server.letters)) == (250, 2), text  # its second coming is no second letter
            assert town.balance() == (2, 0)
        assert town.audit()["balanced"]
