"""Real mail servers behind the gate, set up by the very files in config/: the same claims of each."""

import smtplib
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest
from tests.support import chroots
from tests.support.dns_server import DnsServer
from tests.support.program import Served, run_json
from tests.support.real_dovecot import Dovecot
from tests.support.real_exim import Exim
from tests.support.real_opensmtpd import OpenSMTPD
from tests.support.town import ANN, BOB, Town, letter

CLIENT = "198.51.100.77"
NOBODY = "nobody-of-that-name@example.org"
STRANGER = "somebody@elsewhere.example"


@dataclass
class Behind:
    """A gate, the mail server behind it, and what that one says in its own words."""

    town: Town
    server: Exim | OpenSMTPD | Dovecot
    served: Served
    unknown_user: str
    no_relaying: str


@dataclass
class Kind:
    """How one of them is started, and how it speaks."""

    tree: str
    make: type
    arguments: tuple[str, ...]
    identity: str
    unknown_user: str
    no_relaying: str


KINDS = {
    "exim, told by PROXY": Kind(
        "exim-heavy",
        Exim,
        ("gate-in-front.macros", "heavy"),
        "proxy",
        "550 Unrouteable address",
        "550 relay not permitted",
    ),
    "exim, not told": Kind(
        "exim-light",
        Exim,
        ("gate-in-front-light.macros", "light"),
        "none",
        "550 Unrouteable address",
        "550 relay not permitted",
    ),
    "opensmtpd, told by PROXY": Kind(
        "opensmtpd",
        OpenSMTPD,
        ("smtpd.conf",),
        "proxy",
        f"550 Invalid recipient: <{NOBODY}>",
        f"550 Invalid recipient: <{STRANGER}>",
    ),
    "opensmtpd, not told": Kind(
        "opensmtpd",
        OpenSMTPD,
        ("smtpd-untold.conf",),
        "none",
        f"550 Invalid recipient: <{NOBODY}>",
        f"550 Invalid recipient: <{STRANGER}>",
    ),
    "dovecot over TCP": Kind(
        "dovecot",
        Dovecot,
        ("gate-in-front.conf", "tcp"),
        "xclient",
        f"550 5.1.1 <{NOBODY}> User doesn't exist: {NOBODY}",
        f"550 5.1.1 <{STRANGER}> User doesn't exist: {STRANGER}",
    ),
    "dovecot over a unix socket": Kind(
        "dovecot",
        Dovecot,
        ("gate-in-front.conf", "unix"),
        "none",
        f"550 5.1.1 <{NOBODY}> User doesn't exist: {NOBODY}",
        f"550 5.1.1 <{STRANGER}> User doesn't exist: {STRANGER}",
    ),
}
TOLD = [name for name, kind in KINDS.items() if kind.identity != "none"]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Start each when it is first asked for; all end with the module."""
    running: dict[str, Behind] = {}
    with ExitStack() as stack:
        names = stack.enter_context(DnsServer())

        def start(name: str) -> Behind:
            if name not in running:
                kind = KINDS[name]
                if not chroots.is_available(kind.tree):
                    pytest.skip(chroots.why_not(kind.tree))
                server = stack.enter_context(kind.make(*kind.arguments))
                settings = (
                    f'upstream = "{server.url}"\nupstream_identity = "{kind.identity}"\n'
                    'trusted_fronts = ["127.0.0.1/32"]\n'
                    # check asks by TCP, too, which not every machine's own name server answers
                    f'nameservers = ["127.0.0.1:{names.address[1]}"]'
                )
                town = Town.found(tmp_path_factory.mktemp("town"), server.port, settings)
                served = stack.enter_context(town.serve())
                town.fund(100)
                running[name] = Behind(town, server, served, kind.unknown_user, kind.no_relaying)
            running[name].server.forget()
            return running[name]

        yield start


@pytest.fixture(params=list(KINDS))
def behind(request, started) -> Behind:
    return started(request.param)


@pytest.fixture(params=TOLD)
def behind_and_told(request, started) -> Behind:
    return started(request.param)


def test_a_stamped_letter_arrives_byte_for_byte_for_one_cent(behind):
    spent = behind.town.balance()[0]
    stamped = behind.town.stamped(letter(), BOB)
    assert behind.town.send(stamped, BOB)[0] == 250
    [delivered] = behind.server.wait_for_letters(1)
    assert delivered.endswith(stamped.replace(b"\r\n", b"\n"))
    assert b"Authentication-Results: mx.example.org;" in delivered
    assert behind.town.balance() == (spent + 1, 0)


def test_one_whose_line_ends_were_doubled_on_the_way_arrives_as_it_was_stamped(behind):
    stamped = behind.town.stamped(letter(), BOB)
    assert behind.town.send(stamped.replace(b"\r\n", b"\r\r\n"), BOB)[0] == 250
    [delivered] = behind.server.wait_for_letters(1)
    assert delivered.endswith(stamped.replace(b"\r\n", b"\n"))


def test_an_unstamped_one_is_refused_with_the_sentence(behind):
    said = behind.town.send(letter(), BOB)
    assert said == (550, "5.7.1 Postage due: bob@example.org needs a 1-cent stamp from post.example.org (no-stamp)")
    assert behind.server.letters() == []


def test_an_unknown_user_is_refused_in_the_servers_own_words(behind):
    code, text = behind.town.send(letter(), NOBODY)
    assert f"{code} {text}" == behind.unknown_user


def test_it_is_no_open_relay(behind):
    """The client's address is 127.0.0.1, which mail servers take for a neighbour."""
    code, text = behind.town.send(letter(), STRANGER)
    assert f"{code} {text}" == behind.no_relaying


def test_check_has_no_complaint(behind):
    said = run_json("--config", str(behind.town.settings), "check", check=False)
    assert [one for one in said["complaints"] if one["key"].startswith("gate")] == []


def from_a_client(behind) -> bytes:
    """A letter as it was delivered, of which a front has told the gate whose it is."""
    town = behind.town
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port)) as smtp:
        smtp.ehlo("front.example")
        smtp.docmd(f"XCLIENT ADDR={CLIENT} NAME=[UNAVAILABLE]")
        smtp.ehlo("client.example")
        smtp.mail(ANN)
        smtp.rcpt(BOB)
        assert smtp.data(town.stamped(letter(), BOB))[0] == 250
    [delivered] = behind.server.wait_for_letters(1)
    return delivered


def test_the_letter_tells_the_client(behind):
    """In the mail server's own Received field where that was told, else in the gate's."""
    delivered = from_a_client(behind)
    first = next(field for field in delivered.split(b"Received:") if b"client.example" in field).partition(b";")[0]
    assert f"[{CLIENT}]".encode() in first


def test_it_knows_the_client_itself(behind_and_told):
    delivered = from_a_client(behind_and_told)
    topmost = delivered[delivered.index(b"Received:") :].partition(b";")[0]
    assert f"[{CLIENT}]".encode() in topmost


MANY = ["opensmtpd, told by PROXY", "opensmtpd, not told", "exim, told by PROXY", "exim, not told"]


@pytest.mark.parametrize("behind", MANY, indirect=True)
def test_it_takes_more_letters_over_one_connection_than_it_would_if_nobody_had_told_it(behind):
    """OpenSMTPD breaks off at a connection's 100th letter, and Exim leaves the 11th to the next run of its queue."""
    town = behind.town
    for number in range(110):
        assert town.send(letter(str(number)), "postmaster@example.org")[0] == 250
    assert len(behind.server.wait_for_letters(110)) == 110
