"""The started program, spoken with over sockets: these tests would survive a rewrite in another language."""

import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest
from tests.support.corpus import corpus_letters, with_crlf
from tests.support.town import Town

BOB = "bob@example.org"
EVE = "eve@example.org"
WITHOUT_DNS = '[gate.authentication]\ncheck = "never"\n'
"""Where this machine's does not answer, it is not known whose allowance is used up."""


@pytest.fixture(scope="module", params=[False, True], ids=["inside", "http"])
def shared_town(request, tmp_path_factory, mail_server):
    """As for other tests, and once more with the office as a program of its own."""
    folder = tmp_path_factory.mktemp("town")
    town = Town.found(folder, mail_server.port, 'max_size = "1MB"', is_divided=request.param)
    with town.serve() as served:
        town.fund(100_000)
        yield town, served


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["inside", "http"])
def found_town(request, tmp_path, mail_server):
    """Makes towns with settings of their own, both ways."""
    mail_server.forget()

    def found(gate="", office=""):
        return Town.found(tmp_path, mail_server.port, gate, office, is_divided=request.param)

    return found


def test_an_unstamped_letter_is_told_what_to_do(town, letter, mail_server):
    code, text = town.send(letter(), BOB)
    assert code == 550
    assert text == "5.7.1 Postage due: bob@example.org needs a 1-cent stamp from post.example.org (no-stamp)"
    assert mail_server.letters == []


def test_a_stamped_letter_is_delivered_byte_for_byte_and_costs_one_cent(town, letter, mail_server):
    spent = town.balance()[0]
    stamped = town.stamped(letter(), BOB)
    assert town.send(stamped, BOB)[0] == 250
    [taken] = mail_server.letters
    assert taken.letter.endswith(stamped)
    added = taken.letter.removesuffix(stamped)
    assert added.startswith(b"Authentication-Results: mx.example.org;\r\n x-postage=pass reason=stamped\r\n")
    assert town.balance() == (spent + 1, 0)


def test_the_same_letter_again_is_a_duplicate(town, letter, mail_server):
    stamped = town.stamped(letter(), BOB)
    town.send(stamped, BOB)
    spent = town.balance()
    assert town.send(stamped, BOB) == (250, "2.0.0 Already delivered; not charged again (duplicate)")
    assert len(mail_server.letters) == 1
    assert town.balance() == spent


def test_the_mail_servers_refusal_comes_back_verbatim_and_the_retry_is_charged_once(town, letter, mail_server):
    spent = town.balance()[0]
    stamped = town.stamped(letter(), BOB)
    mail_server.answer(b".", b"451-4.2.0 Mailbox\r\n451 4.2.0 busy\r\n")
    assert town.send(stamped, BOB) == (451, "4.2.0 Mailbox\n4.2.0 busy")
    assert town.balance() == (spent, 0)
    assert town.send(stamped, BOB)[0] == 250
    assert town.balance() == (spent + 1, 0)


def test_an_unknown_user_is_refused_by_the_mail_server_before_any_data(town, letter, mail_server):
    mail_server.answer(b"RCPT", b"550 5.1.1 <nobody@example.org>: no such user\r\n")
    assert town.send(letter(), "nobody@example.org") == (550, "5.1.1 <nobody@example.org>: no such user")


def test_too_big_is_said_at_mail(town):
    with smtplib.SMTP("127.0.0.1", town.gate_port) as smtp:
        smtp.ehlo()
        assert smtp.mail("ann@sender.example", ["SIZE=2000000"])[0] == 552


def test_a_free_recipient_and_one_that_needs_a_stamp_get_the_letter_one_after_the_other(town, letter, mail_server):
    """Else postmaster would lose the letter because Bob has no stamp."""
    stamped = town.stamped(letter(), BOB)
    with smtplib.SMTP("127.0.0.1", town.gate_port) as smtp:
        for one, other in (("postmaster@example.org", BOB), (BOB, "postmaster@example.org")):
            smtp.ehlo()
            smtp.mail("ann@sender.example")
            assert smtp.rcpt(one)[0] == 250
            assert smtp.rcpt(other)[0] == 452
            assert smtp.data(stamped)[0] == 250
    assert [taken.recipients for taken in mail_server.letters] == [
        [b"rcpt TO:<postmaster@example.org>\r\n"],
        [b"rcpt TO:<bob@example.org>\r\n"],
    ]


def test_the_price_is_said_in_ehlo(town):
    with smtplib.SMTP("127.0.0.1", town.gate_port) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["xpostage"] == "1 post.example.org"


def test_the_client_is_told_to_the_mail_server(town, letter, mail_server):
    town.send(letter(), "postmaster@example.org")
    heard = b"".join(mail_server.fake.heard)
    assert b"XCLIENT " in heard
    assert b"ADDR=127.0.0.1" in heard


def test_one_line_a_letter_says_everything(town, served, letter, mail_server):
    subject = letter()
    mail_server.answer(b".", b"250 2.0.0 Ok: queued as 4XyZ\r\n")
    town.send(town.stamped(subject, BOB, EVE), BOB, EVE)
    line = served.wait_for(lambda one: one["event"] == "letter" and "4XyZ" in one.get("upstream", ""))
    assert line["source"] == "127.0.0.1"
    assert line["sender"] == "ann@sender.example"
    assert [(one["to"], one["reason"]) for one in line["recipients"]] == [
        (BOB, "stamped"),
        (EVE, "stamped"),
    ]
    assert line["recipients"][0]["account"] == town.wallet.account
    assert line["upstream"] == "250 2.0.0 Ok: queued as 4XyZ"
    assert line["upstream_ms"] >= 0
    assert line["receive_ms"] >= 0


def test_a_client_that_hangs_up_after_the_dot_changes_nothing(town, letter, mail_server):
    """The answer is lost; the letter is delivered and charged once, and the retry is told so."""
    spent = town.balance()[0]
    stamped = town.stamped(letter(), BOB)
    with socket.create_connection(("127.0.0.1", town.gate_port)) as client:
        lines = client.makefile("rb")
        lines.readline()
        for command in (b"HELO x", b"MAIL FROM:<ann@sender.example>", b"RCPT TO:<bob@example.org>", b"DATA"):
            client.sendall(command + b"\r\n")
            lines.readline()
        client.sendall(stamped + b".\r\n")
    mail_server.until(lambda: len(mail_server.fake.letters) == 1)
    code = town.send(stamped, BOB)[0]
    while code == 451:  # the first delivery is being settled
        code = town.send(stamped, BOB)[0]
    assert code == 250
    assert len(mail_server.letters) == 1
    assert town.balance() == (spent + 1, 0)


def test_a_client_that_hangs_up_before_the_dot_sends_nothing(town, letter, mail_server):
    with socket.create_connection(("127.0.0.1", town.gate_port)) as client:
        lines = client.makefile("rb")
        lines.readline()
        for command in (b"HELO x", b"MAIL FROM:<ann@sender.example>", b"RCPT TO:<bob@example.org>", b"DATA"):
            client.sendall(command + b"\r\n")
            lines.readline()
        client.sendall(town.stamped(letter(), BOB))
    assert town.send(letter(), "postmaster@example.org")[0] == 250
    assert len(mail_server.letters) == 1


def test_every_letter_of_the_corpus_goes_through_byte_for_byte(town, mail_server):
    letters = [with_crlf(octets) for _, octets in corpus_letters()]
    if not letters:
        pytest.skip("no corpus beside the checkout")
    with smtplib.SMTP("127.0.0.1", town.gate_port) as smtp:
        smtp.ehlo()
        for number, octets in enumerate(letters):
            smtp.mail("a@x.example")
            smtp.rcpt("postmaster@example.org")
            assert smtp.data(octets)[0] == 250
            sent = octets if octets.endswith(b"\r\n") else octets + b"\r\n"  # as SMTP cannot say it otherwise
            received = mail_server.letters[number].letter
            assert received.endswith(sent)
            added = b"Authentication-Results: mx.example.org;\r\n x-postage=none reason=postmaster\r\n"
            assert received.removesuffix(sent) == added


def test_a_ledger_that_cannot_write_means_later_and_free_mail_goes_on(found_town, letter, mail_server):
    """A hold is written nowhere, so some letters pass before the ledger knows; their payments wait in the outbox."""
    town = found_town()
    with town.serve():
        town.fund(100)
        other = apsw.Connection(str(town.folder / "ledger.db"))
        other.execute("BEGIN EXCLUSIVE")
        taken, ends = 0, time.monotonic() + 60
        while (said := town.send(stamped := town.stamped(letter(), BOB), BOB))[0] == 250:
            taken += 1
            assert time.monotonic() < ends
        assert (said[0], said[1][:5]) == (451, "4.3.0")
        assert not (taken and town.is_divided), "a hold over HTTP lasts"
        assert town.send(letter(), "postmaster@example.org")[0] == 250
        other.execute("ROLLBACK")
        other.close()
        while (code := town.send(stamped, BOB)[0]) == 451:  # an office elsewhere is left alone for some seconds
            assert time.monotonic() < ends
            time.sleep(0.2)
        assert code == 250
        while town.balance() != (taken + 1, 0):
            assert time.monotonic() < ends
            time.sleep(0.5)


def test_a_log_on_a_full_disk_costs_no_letter_its_answer(found_town, letter, mail_server):
    """Else free mail would be delivered again with each retry."""
    town = found_town()
    arguments = [sys.executable, "-m", "pennyred", "--config", str(town.settings), "serve"]
    with Path("/dev/full").open("w") as full, subprocess.Popen(arguments, stderr=full) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    code, _ = town.send(letter(), "postmaster@example.org")
                    break
                except ConnectionRefusedError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert code == 250
            assert len(mail_server.letters) == 1
        finally:
            process.terminate()
    assert process.returncode == 0


def test_modes_are_reread_on_hup(found_town, letter, mail_server):
    town = found_town('mode = "monitor"')
    with town.serve() as served:
        assert town.send(letter(), BOB)[0] == 250
        assert b"x-postage=fail reason=no-stamp" in mail_server.letters[-1].letter
        town.write(f'mode = "bulk"\n[gate.allowance]\nper_day = 2\n{WITHOUT_DNS}')
        served.process.send_signal(signal.SIGHUP)
        served.wait_for(lambda line: line["event"] == "settings.reread")
        assert [town.send(letter(), BOB)[0] for _ in range(3)] == [250, 250, 550]
        town.write('mode = "nonsense"')
        served.process.send_signal(signal.SIGHUP)
        assert "nonsense" in served.wait_for(lambda line: "not_reread" in line["event"])["error"]
        assert town.send(letter(), BOB)[0] == 550
    assert served.process.returncode == 0


def reread(served):
    served.process.send_signal(signal.SIGHUP)
    served.wait_for(lambda line: line["event"] == "settings.reread")


def test_what_is_said_is_reread_with_what_is_asked(found_town, letter):
    town = found_town()
    with town.serve() as served:
        town.write('price = 2\nhelp_url = "https://example.org/p"')
        reread(served)
        code, text = town.send(letter(), BOB)
        assert code == 550
        assert "a 2-cent stamp" in text
        assert text.endswith("(no-stamp); see https://example.org/p")
        with smtplib.SMTP("127.0.0.1", town.gate_port) as smtp:
            smtp.ehlo()
            assert smtp.esmtp_features["xpostage"] == "2 post.example.org"


def test_a_lease_does_not_become_shorter_than_the_wait_for_the_mail_server(found_town, letter, mail_server):
    """The wait stays as it was at the start; a lease that ended before it would let the retry deliver once more."""
    town = found_town()
    with town.serve() as served:
        town.fund(10)
        town.write("upstream_timeout_seconds = 1\ntransfer_timeout_seconds = 1")
        reread(served)
        stamped = town.stamped(letter(), BOB)
        let_it_answer = mail_server.hold_back(b".")
        answers: list[int] = []
        client = threading.Thread(target=lambda: answers.append(town.send(stamped, BOB)[0]))
        client.start()
        mail_server.until(lambda: b"DATA\r\n" in mail_server.fake.commands)
        time.sleep(4)
        assert town.send(stamped, BOB)[0] == 451
        let_it_answer()
        client.join()
    assert answers == [250]
    assert len(mail_server.letters) == 1


def test_the_allowance_survives_a_restart(found_town, letter):
    town = found_town(f'mode = "bulk"\n[gate.allowance]\nper_day = 1\n{WITHOUT_DNS}')
    with town.serve():
        assert town.send(letter(), BOB)[0] == 250
    with town.serve():
        assert town.send(letter(), BOB)[0] == 550


def test_sigterm_finishes_the_letter_in_hand(found_town, letter, mail_server):
    town = found_town()
    with town.serve() as served:
        town.fund(10)
        stamped = town.stamped(letter(), BOB)
        let_it_answer = mail_server.hold_back(b".")
        answers: list[tuple[int, str]] = []
        client = threading.Thread(target=lambda: answers.append(town.send(stamped, BOB)))
        client.start()
        mail_server.until(lambda: b"DATA\r\n" in mail_server.fake.commands)
        served.process.terminate()
        served.wait_for(lambda line: line["event"] == "service.stopping")
        let_it_answer()
        client.join()
        assert served.process.wait(30) == 0
    assert [code for code, _ in answers] == [250]
    with town.serve():
        assert town.balance() == (1, 0)


def test_two_workers_share_ledger_and_allowances(found_town, letter, mail_server):
    town = found_town(f'mode = "bulk"\n[gate.allowance]\nper_day = 5\n{WITHOUT_DNS}')
    with town.serve("--workers", "2") as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        town.fund(100)
        codes = [town.send(letter(), BOB)[0] for _ in range(12)]
        assert codes == [250] * 5 + [550] * 7
        stamped = town.stamped(letter(), BOB)
        assert {town.send(stamped, BOB)[0] for _ in range(8)} == {250}
        assert town.balance() == (1, 0)
    assert served.process.returncode == 0
    assert town.audit()["balanced"]


def test_a_port_that_somebody_else_has_is_named_and_not_shared(found_town):
    """The system would share it out, and every other letter would go past this gate (Postfix allows that, too)."""
    town = found_town()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", town.gate_port))
        other.listen()
        command = [sys.executable, "-m", "pennyred", "--config", str(town.settings), "serve"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"127.0.0.1:{town.gate_port}: somebody else listens there already".encode() in done.stderr
