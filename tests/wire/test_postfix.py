"""A real Postfix behind the gate, set up by the very file in config/postfix."""

import shutil
import smtplib
import subprocess

import pytest
from tests.support import real_postfix
from tests.support.dns_server import DnsServer
from tests.support.program import run, run_json
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)


@pytest.fixture(scope="module")
def postfix_behind(tmp_path_factory):
    """Postfix behind a gate: gate-in-front.master.cf."""
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port)) as postfix, DnsServer() as names:
        # check asks by TCP, too, which not every machine's own name server answers
        nameservers = f'nameservers = ["127.0.0.1:{names.address[1]}"]\n'
        town = Town.found(tmp_path_factory.mktemp("behind"), port, nameservers)
        with town.serve() as served:
            town.fund(100)
            yield town, postfix, served


@pytest.fixture
def behind(postfix_behind):
    postfix_behind[1].forget()
    return postfix_behind


def test_a_letter_sent_by_the_senders_command_reaches_postfix_byte_for_byte_for_one_cent(behind):
    town, postfix, _ = behind
    spent = town.balance()[0]
    file = town.folder / "letter.eml"
    file.write_bytes(letter())
    via = f"127.0.0.1:{town.gate_port}"
    sent = run_json("send", "--via", via, "--from", ANN, str(file), home=town.home)
    assert [copy["code"] for copy in sent["copies"]] == [250]
    [delivered] = postfix.wait_for_letters(1)
    assert delivered.endswith(file.read_bytes().replace(b"\r\n", b"\n"))
    above = delivered.removesuffix(file.read_bytes().replace(b"\r\n", b"\n"))
    assert b"\nAuthentication-Results: mx.example.org;\n x-postage=pass reason=stamped\n" in above
    assert above.count(b"X-Postage-Stamp: ") == 1
    assert town.balance() == (spent + 1, 0)


def test_without_a_stamp_it_is_refused_and_postfix_never_hears_data(behind):
    town, postfix, _ = behind
    code, text = town.send(letter(), BOB)
    assert (code, "(no-stamp)" in text) == (550, True)
    assert postfix.letters() == []


def test_postfix_behind_the_gate_is_no_open_relay(behind):
    """To Postfix all mail comes from 127.0.0.1; without XCLIENT and the listener's options that would be a neighbour."""
    town, _, _ = behind
    code, text = town.send(letter(), "somebody@elsewhere.example")
    assert code == 554
    assert "Relay access denied" in text


@pytest.mark.parametrize("first", [b"From ann Mon Nov 23 06:00:00 2026\r\n", b"From ann\r\n>From bob\r\nFrom carl\r\n"])
def test_lines_of_an_mbox_at_the_top_cost_no_field(behind, first):
    """Postfix makes fields of them as long as they come first; below another field they would end the header."""
    town, postfix, _ = behind
    octets = letter()
    assert town.send(first + octets, "postmaster@example.org")[0] == 250
    [delivered] = postfix.wait_for_letters(1)
    header, _, body = delivered.partition(b"\n\n")
    assert header.count(b"\nX-Mailbox-Line: ") == first.count(b"\n")
    assert (header + b"\n\n" + body).endswith(octets.replace(b"\r\n", b"\n"))
    assert b"\nAuthentication-Results: mx.example.org;" in header
    assert body == b"Shall we have tea?\n"


def test_postfix_is_told_who_the_client_is(behind):
    town, postfix, _ = behind
    town.send(letter(), "postmaster@example.org")
    [delivered] = postfix.wait_for_letters(1)
    assert b"Received: from client.example (localhost [127.0.0.1])" in delivered


def test_check_has_no_complaint_about_this_postfix(behind):
    town, _, _ = behind
    complaints = run_json("--config", str(town.settings), "check", check=False)["complaints"]
    assert [one for one in complaints if one["key"].startswith("gate")] == []


def test_swaks_without_a_stamp_is_told_what_to_do(behind):
    if not shutil.which("swaks"):
        pytest.skip("needs Debian's swaks (apt-get install swaks)")
    town, _, _ = behind
    command = [
        "swaks",
        "--server",
        f"127.0.0.1:{town.gate_port}",
        "--from",
        ANN,
        "--to",
        BOB,
        "--helo",
        "client.example",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (
        "<** 550 5.7.1 Postage due: bob@example.org needs a 1-cent stamp from post.example.org (no-stamp)"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("identity", "neighbours"),
    [
        pytest.param("none", "127.0.0.0/8", id="whoever comes through the gate is a neighbour"),
        pytest.param("xclient", "0.0.0.0/0", id="everybody is a neighbour"),
    ],
)
def test_check_complains_of_an_open_relay(tmp_path, identity, neighbours):
    port = free_port()
    listener = f"127.0.0.1:{port} inet n - n - - smtpd\n    -o smtpd_authorized_xclient_hosts=127.0.0.1\n"
    relaying = {"mynetworks": neighbours, "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"}
    with Postfix(listener, relaying):
        town = Town.found(tmp_path, port, f'upstream_identity = "{identity}"')
        done = run("--config", str(town.settings), "check", check=False)
    assert done.returncode == 2
    assert b"OPEN RELAY" in done.stdout


def test_check_complains_of_a_postfix_that_will_not_be_told_the_client_and_the_gate_hands_nothing_over(tmp_path):
    port = free_port()
    with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n"):
        town = Town.found(tmp_path, port)
        done = run("--config", str(town.settings), "check", check=False)
        assert b"gate.upstream_identity" in done.stdout
        with town.serve():
            assert town.send(letter(), "postmaster@example.org")[0] == 451


def test_a_callout_hears_postfixs_own_answers_and_leaves_nothing_behind(behind):
    """Another mail server asks whether an address exists: null sender, RCPT, and away before DATA."""
    town, postfix, served = behind
    for mailbox, code in [(BOB, 250), ("postmaster@example.org", 250), ("somebody@elsewhere.example", 554)]:
        with smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60) as smtp:
            smtp.ehlo("prober.example")
            assert smtp.mail("")[0] == 250
            said, text = smtp.rcpt(mailbox)
            assert (said, b"Relay access denied" in text) == (code, code == 554)
            assert smtp.rset()[0] == 250
            assert smtp.vrfy(mailbox)[0] == 252
            assert smtp.docmd("ETRN", "example.org")[0] == 502
    assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
    assert len(postfix.wait_for_letters(1)) == 1
    assert [line for line in served.log if line.get("helo") == "prober.example"] == []


@pytest.mark.parametrize("identity", ["xclient", "xforward", "none"])
def test_a_postfix_that_forbids_unauthorised_pipelining_finds_none(tmp_path, identity):
    """As Postfix does by default from 3.9 on, and as many set it before: whoever is told so is refused or cut off."""
    port = free_port()
    strict = {"smtpd_forbid_unauth_pipelining": "yes", "smtpd_data_restrictions": "reject_unauth_pipelining"}
    listener = services("gate-in-front.master.cf", p10025=port)
    listener += "    -o smtpd_authorized_xforward_hosts=127.0.0.1\n"
    with Postfix(listener, strict) as postfix:
        town = Town.found(tmp_path, port, f'upstream_identity = "{identity}"')
        with town.serve():
            for _ in range(3):
                assert town.send(letter(), "postmaster@example.org")[0] == 250
        assert "improper command pipelining" not in postfix.log.read_text()


def test_the_mail_server_behind_many_gates_is_told_to_believe_them(tmp_path):
    """config/many/postfix.master.cf: without it no letter of "your mail server, as it is" would be taken, or all."""
    port = free_port()
    recipe = (real_postfix.CONFIG.parent / "many/postfix.master.cf").read_text()
    listener = recipe.replace("10.0.0.40:25", f"127.0.0.1:{port}").replace("10.0.0.31,10.0.0.32,10.0.0.33", "127.0.0.1")
    with Postfix(listener, {"inet_protocols": "all"}) as postfix:
        town = Town.found(tmp_path, port)
        complaints = run_json("--config", str(town.settings), "check", check=False)["complaints"]
        assert [one for one in complaints if one["key"].startswith("gate.upstream")] == []
        with town.serve():
            assert town.send(letter(), "somebody@elsewhere.example")[0] == 554
            assert town.send(letter(), "postmaster@example.org")[0] == 250
            [delivered] = postfix.wait_for_letters(1)
    assert b"Received: from client.example (localhost [127.0.0.1])" in delivered
