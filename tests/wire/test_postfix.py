"""A real Postfix behind the gate and in front of it, set up by the very files in config/postfix."""

import shutil
import smtplib
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import real_postfix
from program import run, run_json
from real_postfix import Postfix, free_port
from town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

CONFIG = Path(__file__).parents[2] / "config/postfix"


def services(name: str, **ports: int) -> str:
    """One of config/postfix's files, with other ports (the ones it names are taken on a machine that has a Postfix)."""
    text = (CONFIG / name).read_text()
    for written, port in ports.items():
        text = text.replace(f"127.0.0.1:{written.removeprefix('p')}", f"127.0.0.1:{port}")
    if "front" in ports:
        text = text.replace("smtp inet", f"127.0.0.1:{ports['front']} inet")
    return text


@pytest.fixture(scope="module")
def postfix_behind(tmp_path_factory):
    """Postfix behind a gate: gate-in-front.master.cf."""
    port = free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port)) as postfix:
        town = Town.found(tmp_path_factory.mktemp("behind"), port)
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


@pytest.fixture(scope="module")
def postfix_in_front(tmp_path_factory):
    """Postfix in front, asking the gate as its before-queue filter: gate-as-filter.master.cf."""
    front, second = free_port(), free_port()
    town = Town.found(tmp_path_factory.mktemp("front"), second, 'trusted_fronts = ["127.0.0.1/32"]')
    files = services("gate-as-filter.master.cf", p10024=town.gate_port, p10026=second, front=front)
    with Postfix(files, {"smtpd_authorized_xclient_hosts": "127.0.0.1"}) as postfix, town.serve() as served:
        town.fund(100)
        town.gate_port = front  # what a client speaks with
        yield town, postfix, served


@pytest.fixture
def in_front(postfix_in_front):
    postfix_in_front[1].forget()
    return postfix_in_front


def test_as_a_filter_the_gate_lets_stamped_mail_through_for_one_cent(in_front):
    town, postfix, _ = in_front
    spent = town.balance()[0]
    stamped = town.stamped(letter(), BOB)
    assert town.send(stamped, BOB)[0] == 250
    [delivered] = postfix.wait_for_letters(1)
    assert delivered.endswith(stamped.replace(b"\r\n", b"\n"))
    assert town.balance() == (spent + 1, 0)


def test_as_a_filter_its_refusal_reaches_the_client(in_front):
    town, postfix, _ = in_front
    code, text = town.send(letter(), BOB)
    assert code == 550
    assert "5.7.1 Postage due: bob@example.org needs a 1-cent stamp" in text
    assert postfix.letters() == []


def test_as_a_filter_the_gate_is_told_who_the_client_is(in_front):
    """Else every source would look like one, and a single spammer would use up everybody's allowance."""
    town, _, served = in_front
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port)) as smtp:
        smtp.ehlo("front.example")
        smtp.docmd("XCLIENT ADDR=198.51.100.77 NAME=spam.example")
        smtp.ehlo("spam.example")
        smtp.mail("a@spam.example")
        smtp.rcpt(BOB)
        assert smtp.data(letter())[0] == 550
    line = served.wait_for(lambda one: one.get("sender") == "a@spam.example")
    assert line["source"] == "198.51.100.77"


def test_as_a_filter_it_is_no_open_relay(in_front):
    town, _, _ = in_front
    assert town.send(letter(), "somebody@elsewhere.example")[0] == 554
