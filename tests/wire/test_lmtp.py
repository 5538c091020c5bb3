"""LMTP behind the started program, two workers and the ledger on disk: answers that differ, the retry, the audit."""

import time

import pytest
from tests.support.fake_upstream import CLOSE
from tests.support.mailserver import MailServer
from tests.support.town import BOB, Town, letter

EVE, KIM = "eve@example.org", "kim@example.org"
FREE = ("postmaster@example.org", "abuse@example.org")
OK, NO, WAIT = b"250 2.0.0 Saved\r\n", b"552 5.2.2 Quota exceeded\r\n", b"452 4.2.2 Mailbox is busy\r\n"
LIMIT_SECONDS = 60


@pytest.fixture(name="behind", params=["tcp", pytest.param("unix", marks=pytest.mark.long)])
def two_workers(request, tmp_path):
    path = tmp_path / "lmtp" if request.param == "unix" else None
    with MailServer(is_lmtp=True, path=path) as server:
        settings = f'upstream = "{server.fake.url}"\ntransfer_timeout_seconds = 1\nupstream_timeout_seconds = 1'
        town = Town.found(tmp_path, server.port, settings)
        with town.serve("--workers", "2"):
            town.fund(20)
            yield town, server


def copies(server: MailServer) -> dict[str, int]:
    """How many each has."""
    lines = [line for taken in server.letters for line in taken.accepted]
    names = [line.split(b"<")[1].split(b">")[0].decode() for line in lines]
    return {name: names.count(name) for name in names}


def audited(town: Town, settled: int) -> bool:
    audit = town.audit()
    return (audit["balanced"], audit["settled"], audit["held"]) == (True, settled, 0)


def test_who_has_it_pays_once_and_the_retry_reaches_the_others_only(behind):
    town, server = behind
    stamped = town.stamped(letter(), BOB, EVE, KIM)
    server.answer(b".", OK, NO, WAIT)
    assert town.send(stamped, BOB, EVE, KIM) == (452, "4.2.2 Mailbox is busy")
    assert copies(server) == {BOB: 1}
    assert audited(town, 1)
    server.answer(b".", NO, OK)
    code, text = town.send(stamped, BOB, EVE, KIM)
    assert code == 550
    assert text == f"5.0.0 refused (552 5.2.2 Quota exceeded): {EVE}\n5.0.0 delivered: {BOB}, {KIM}"
    assert copies(server) == {BOB: 1, KIM: 1}
    assert audited(town, 2)
    assert town.balance() == (2, 0)


def test_one_that_hangs_up_between_two_answers_leaves_the_rest_in_doubt_until_the_lease_is_over(behind):
    town, server = behind
    stamped = town.stamped(letter(), BOB, EVE)
    server.answer(b".", OK, CLOSE)
    assert town.send(stamped, BOB, EVE)[0] == 451
    assert town.balance() == (1, 1)
    deadline = time.monotonic() + LIMIT_SECONDS
    while (code := town.send(stamped, BOB, EVE)[0]) == 451 and time.monotonic() < deadline:
        assert copies(server) == {BOB: 1}
        time.sleep(0.2)  # as a client would: the office's clock is what is waited for
    assert code == 250
    assert copies(server) == {BOB: 1, EVE: 1}
    assert audited(town, 2)


def test_without_stamps_the_retry_by_another_worker_reaches_the_others_only(behind):
    town, server = behind
    plain = letter()
    for _ in range(6):
        server.answer(b".", OK, WAIT) if not server.letters else server.answer(b".", WAIT)
        assert town.send(plain, *FREE)[0] == 452
    assert town.send(plain, *FREE)[0] == 250
    assert copies(server) == dict.fromkeys(FREE, 1)
