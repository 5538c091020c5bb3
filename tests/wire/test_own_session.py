"""Real mail servers whose listener is not made for the gate: it wants TLS, or a login. No mail is lost by that."""

import json
from pathlib import Path

import pytest
import trustme
from tests.support import chroots, real_postfix
from tests.support.program import run
from tests.support.real_opensmtpd import OpenSMTPD
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import BOB, Town, letter

REFUSALS = {
    "TLS": ({"smtpd_tls_security_level": "encrypt"}, "530 5.7.0 Must issue a STARTTLS command first"),
    "a login": (
        {"smtpd_sender_restrictions": "check_sender_access static:{530 5.7.0 Authentication required}"},
        "Authentication required",
    ),
}


DEAD_MILTER = {"smtpd_milters": "inet:127.0.0.1:1", "milter_default_action": "tempfail"}
GREYLISTED = {"smtpd_recipient_restrictions": "check_client_access static:{450 4.2.0 Greylisted}, permit"}
RELAYING = {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "mynetworks": "0.0.0.0/0"}
DENYING = {"smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "mx.key")
    issued.cert_chain_pems[0].write_to_path(folder / "mx.pem")
    return folder


def heard_and_complained(town: Town, *said: str) -> str:
    """A letter to somebody who needs no stamp hears "later", the log says why; what `check` prints."""
    with town.serve() as served:
        code, text = town.send(letter(), "postmaster@example.org")
        assert (code, text[:6]) == (451, "4.4.1 ")
        assert not any(one in text for one in said), "what it said to the gate is none of the client's business"
        line = served.wait_for(lambda line: all(one in str(line) for one in said))
        assert line["event"] in ("smtp.unavailable", "letter")
    done = run("--config", str(town.settings), "check", check=False)
    assert done.returncode == 2
    return done.stdout.decode()


def checked(town: Town) -> list[dict]:
    """The complaints of `check`."""
    done = run("--config", str(town.settings), "check", "--json", check=False)
    return json.loads(done.stdout)["complaints"]


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize("wanted", REFUSALS)
def test_a_postfix_that_wants_more_of_the_gate_loses_no_mail_and_check_says_so(tmp_path, certificate, wanted):
    settings, said = REFUSALS[wanted]
    port = free_port()
    listener = (
        f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_authorized_xclient_hosts=127.0.0.1\n"
        f"  -o smtpd_tls_cert_file={certificate}/mx.pem\n  -o smtpd_tls_key_file={certificate}/mx.key\n"
    )
    with Postfix(listener, settings):
        printed = heard_and_complained(Town.found(tmp_path, port), "530 5.7.0 ", said)
        assert said in printed
        assert "gate.upstream: " in printed


@pytest.mark.skipif(not chroots.is_available("opensmtpd"), reason=chroots.why_not("opensmtpd"))
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("tls-require pki gate", "Must issue a STARTTLS command first"),
        ("tls-require pki gate auth", "Must issue a STARTTLS command first"),
    ],
)
def test_an_opensmtpd_that_wants_more_of_the_gate_loses_no_mail_and_check_says_so(tmp_path, certificate, option, said):
    class Strict(OpenSMTPD):
        def write(self, path: str, text: str, mode: int = 0o644) -> Path:
            if path == "/etc/smtpd.conf":
                super().write("/etc/mx.pem", (certificate / "mx.pem").read_text())
                super().write("/etc/mx.key", (certificate / "mx.key").read_text(), 0o600)
                pki = 'pki gate cert "/etc/mx.pem"\npki gate key "/etc/mx.key"\n'
                text = pki + text.replace(f"port {self.port}", f"port {self.port} {option}")
            return super().write(path, text, mode)

    with Strict("smtpd-untold.conf") as server:
        town = Town.found(tmp_path, server.port, f'upstream = "{server.url}"\nupstream_identity = "none"')
        printed = heard_and_complained(town, "530 5.5.1 ", said)
        assert said in printed


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
def test_what_a_postfix_says_of_a_letter_is_passed_on_all_the_same(tmp_path):
    port = free_port()
    listener = f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_authorized_xclient_hosts=127.0.0.1\n"
    with Postfix(listener):
        town = Town.found(tmp_path, port)
        with town.serve():
            code, text = town.send(letter(), "somebody@elsewhere.example")
            assert (code, "Relay access denied" in text) == (554, True)
            code, text = town.send(letter(), BOB)
            assert (code, "(no-stamp)" in text) == (550, True)


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (DEAD_MILTER | DENYING, "MAIL: 451 4.7.1 Service unavailable"),
        ({"queue_minfree": "9999999999999"} | DENYING, "MAIL: 452 4.3.1 Insufficient system storage"),
        (GREYLISTED | RELAYING, "Greylisted"),
    ],
)
def test_of_a_postfix_that_puts_everybody_off_check_says_that_it_has_found_out_nothing(tmp_path, settings, said):
    port = free_port()
    with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_authorized_xclient_hosts=127.0.0.1\n", settings):
        town = Town.found(tmp_path, port)
        complaints = checked(town)
    [complaint] = [one for one in complaints if one["key"] == "gate.upstream"]
    assert said in complaint["what"]
    assert complaint["later"]


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        (DENYING | {"mynetworks": ""}, "gate.outgoing.upstream", "554 5.7.1 "),
        (DEAD_MILTER | RELAYING, "gate.outgoing.upstream", "451 4.7.1 Service unavailable"),
        (RELAYING | {"smtpd_authorized_xforward_hosts": ""}, "gate.outgoing.upstream_identity", "XFORWARD"),
        (RELAYING, "", ""),
    ],
)
def test_a_postfix_that_sends_out_nothing_for_the_gate_is_named(tmp_path, settings, key, said):
    """Else every letter of the house's users would bounce, or wait."""
    port = free_port()
    identity = "xforward" if said == "XFORWARD" else "none"
    with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", settings):
        outgoing = f'[gate.outgoing]\nupstream = "smtp://127.0.0.1:{port}"\nupstream_identity = "{identity}"\n'
        complaints = checked(Town.found(tmp_path, free_port(), outgoing))
    found = {one["key"]: one["what"] for one in complaints if one["key"].startswith("gate.outgoing")}
    assert list(found) == [key] * bool(key)
    assert said in found.get(key, "")
