"""Real mail servers behind the gate are told who the client is, in all that they judge clients by."""

import smtplib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import chroots, real_postfix
from tests.support.dns_server import DnsServer
from tests.support.policy_server import PolicyServer
from tests.support.program import Served, run_json
from tests.support.real_exim import Exim
from tests.support.real_opensmtpd import HOST, OpenSMTPD
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, Town, letter

FREE = "postmaster@example.org"
needs_postfix = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

NAMED, UNPROVEN, NAMELESS, SILENT, ODD = (f"198.51.100.{last}" for last in (1, 2, 3, 4, 5))
SIXTH = "2001:db8::6"
ZONE = {
    "1.100.51.198.in-addr.arpa": {"PTR": ["mail.sender.example."]},
    "mail.sender.example": {"A": [NAMED]},
    "2.100.51.198.in-addr.arpa": {"PTR": ["dialup.sender.example."]},
    "dialup.sender.example": {"A": [NAMED]},
    "5.100.51.198.in-addr.arpa": {"PTR": ["-a_b.1\\\\032.sender.example."]},
}


@dataclass
class Behind:
    """A gate in front of a mail server; what it is asked comes from a front that may say who the client is."""

    town: Town
    postfix: Postfix
    served: Served

    def client(self, told: str, hello: str = "ehlo") -> smtplib.SMTP:
        """A session of whom a front has told so."""
        smtp = smtplib.SMTP("127.0.0.1", self.town.gate_port, timeout=60)
        smtp.ehlo("front.example")
        assert smtp.docmd(f"XCLIENT {told}")[0] == 220
        getattr(smtp, hello)("client.example")
        return smtp

    def asked(self, told: str) -> tuple[int, str]:
        """The answer to a recipient, or to MAIL where that is refused."""
        with closing(self.client(told)) as smtp:
            code, text = smtp.mail(ANN)
            if code == 250:
                code, text = smtp.rcpt(FREE)
            return code, text.decode()

    def send(self, told: str, hello: str = "ehlo") -> bytes:
        """A letter as it arrives."""
        self.postfix.forget()
        with closing(self.client(told, hello)) as smtp:
            assert smtp.sendmail(ANN, [FREE], letter()) == {}
        [delivered] = self.postfix.wait_for_letters(1)
        return delivered


@contextmanager
def postfix(folder: Path, settings: dict[str, str], dns: DnsServer, gate: str = "") -> Iterator[Behind]:
    port = free_port()
    host, dns_port = dns.address
    lines = f'trusted_fronts = ["127.0.0.1/32"]\nnameservers = ["{host}:{dns_port}"]\n{gate}'
    town = Town.found(folder, port, lines)
    listener = services("gate-in-front.master.cf", p10025=port)
    if "proxy" in gate:
        listener += "    -o smtpd_upstream_proxy_protocol=haproxy\n"
    with Postfix(listener, {"inet_protocols": "all"} | settings) as server, town.serve() as served:
        yield Behind(town, server, served)


@pytest.fixture
def dns():
    with DnsServer(ZONE) as server:
        server.fall_silent("4.100.51.198.in-addr.arpa")
        yield server


@needs_postfix
@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        ("reject_unknown_reverse_client_hostname", {NAMED: 250, UNPROVEN: 250, NAMELESS: 550, SILENT: 450, ODD: 550}),
        ("reject_unknown_client_hostname", {NAMED: 250, UNPROVEN: 550, NAMELESS: 550, SILENT: 450, ODD: 550}),
        (
            "check_reverse_client_hostname_access inline:{dialup.sender.example=REJECT,localhost=REJECT}",
            {NAMED: 250, UNPROVEN: 554, NAMELESS: 250, SILENT: 250, ODD: 250},
        ),
    ],
)
def test_rules_by_name_and_reverse_name_work_behind_the_gate(tmp_path, dns, rule, codes):
    """A name that could be no host's is none: Postfix would refuse XCLIENT for it, and anybody may write one into DNS."""
    settings = {
        "smtpd_recipient_restrictions": rule,
        "unknown_client_reject_code": "550",
        "unknown_address_tempfail_action": "defer",
    }
    with postfix(tmp_path, settings, dns) as behind:
        assert {address: behind.asked(f"ADDR={address}")[0] for address in codes} == codes


@needs_postfix
@pytest.mark.parametrize("identity", ["xclient", "proxy"])
def test_postfix_judges_by_all_that_the_gate_knows_of_a_client(tmp_path, dns, identity):
    told = (
        "NAME=a.example REVERSE_NAME=b.example LOGIN=ann DESTADDR=192.0.2.25 DESTPORT=2525 PORT=4711 ADDR=198.51.100.7"
    )
    with (
        PolicyServer() as policy,
        postfix(
            tmp_path,
            {"smtpd_recipient_restrictions": policy.restriction},
            dns,
            f'upstream_identity = "{identity}"',
        ) as behind,
    ):
        assert behind.asked(told)[0] == 250
        [one] = policy.told
        assert (one["client_address"], one["helo_name"], one["protocol_name"]) == (
            "198.51.100.7",
            "client.example",
            "ESMTP",
        )
        assert (one["server_address"], one["server_port"]) == ("192.0.2.25", "2525")
        if identity == "xclient":
            assert (one["client_name"], one["reverse_client_name"]) == ("a.example", "b.example")
            assert (one["sasl_username"], one["sasl_method"]) == ("ann", "XCLIENT")
        assert behind.asked(f"DESTADDR=IPV6:2001:db8::25 DESTPORT=25 ADDR=IPV6:{SIXTH}")[0] == 250
        assert (policy.told[1]["client_address"], policy.told[1]["server_address"]) == (SIXTH, "2001:db8::25")
        assert policy.told[1]["sasl_username"] == "", "nobody inherits a login"
        assert behind.asked("ADDR=198.51.100.8")[0] == 250, "where it has connected to is not known"


@needs_postfix
@pytest.mark.parametrize("identity", ["xclient", "proxy"])
def test_who_has_said_helo_is_no_esmtp_client_to_postfix(tmp_path, dns, identity):
    strict = {"smtpd_forbid_unauth_pipelining": "yes", "smtpd_data_restrictions": "reject_unauth_pipelining"}
    with postfix(tmp_path, strict, dns, f'upstream_identity = "{identity}"') as behind:
        for hello, protocol in (("helo", b"with SMTP"), ("ehlo", b"with ESMTP")):
            received = behind.send(f"ADDR={NAMED}", hello).partition(b"Received: ")[2].partition(b"\n\tfor")[0]
            assert protocol + b" id" in received


@needs_postfix
@pytest.mark.parametrize("identity", ["xclient", "xforward", "proxy"])
def test_a_postfix_without_ipv6_understands_no_ipv6_client_which_is_said_to_whoever_asks(tmp_path, dns, identity):
    gate = f'upstream_identity = "{identity}"'
    allowed = {"smtpd_authorized_xforward_hosts": "127.0.0.1"}
    with postfix(tmp_path, {"inet_protocols": "ipv4"} | allowed, dns, gate) as behind:
        code, text = behind.asked(f"ADDR=IPV6:{SIXTH}")
        assert code == 451
        assert (
            text == "4.3.5 Try again later: the mail server does not understand who this client is (identity-refused)"
        )
        line = behind.served.wait_for(lambda line: line["event"] == "smtp.identity_refused")
        assert "told of an IPv6 client" in line["detail"]
        assert behind.asked(f"ADDR={NAMED}")[0] == 250
        assert not [line for line in behind.served.log if line["event"] == "smtp.upstream_down"]
        settings = str(behind.town.settings)
        complaints = run_json("--config", settings, "check", check=False)["complaints"]
        [complaint] = [one for one in complaints if one["key"] == "gate.upstream_identity"]
        assert "does not understand IPv6 clients" in complaint["what"]
        assert "inet_protocols" in complaint["expected"]


@needs_postfix
def test_a_client_refused_as_soon_as_it_is_named_hears_so(tmp_path, dns):
    """With smtpd_delay_reject = no Postfix answers XCLIENT with its word on the client."""
    settings = {
        "smtpd_delay_reject": "no",
        "smtpd_client_restrictions": f"check_client_access inline:{{{NAMED}=REJECT}}",
    }
    with postfix(tmp_path, settings, dns) as behind:
        code, text = behind.asked(f"ADDR={NAMED}")
        assert (code, "Client host rejected" in text) == (554, True)
        assert behind.asked(f"ADDR={UNPROVEN}")[0] == 250


@needs_postfix
@pytest.mark.parametrize("identity", ["xclient", "xforward"])
def test_ten_sessions_of_one_client_take_two_connections_at_most(tmp_path, dns, identity):
    """Postfix hears XCLIENT from those only whom it believes: a connection told of somebody is that one's for good."""
    allowed = {"smtpd_authorized_xforward_hosts": "127.0.0.1"}
    with postfix(tmp_path, allowed, dns, f'upstream_identity = "{identity}"') as behind:
        for _ in range(10):
            behind.send(f"ADDR={NAMED}")
        log = behind.postfix.log.read_text()
        assert log.count("behind-gate/smtpd") > 10
        assert log.count(": connect from") <= 2
        assert f"(mail.sender.example [{NAMED}])".encode() in behind.send(f"ADDR={NAMED}") or identity == "xforward"
        delivered = behind.send("ADDR=198.51.100.99 NAME=[UNAVAILABLE]")
        assert identity == "xforward" or b"(unknown [198.51.100.99])" in delivered


def test_opensmtpd_on_an_ipv6_address_still_knows_an_ipv4_client_by_its_rules(tmp_path):
    if not chroots.is_available("opensmtpd"):
        pytest.skip(chroots.why_not("opensmtpd"))

    class OnIPv6(OpenSMTPD):
        def write(self, path: str, text: str, mode: int = 0o644) -> Path:
            if path == "/etc/smtpd.conf":
                text = text.replace(f"listen on {HOST}", "listen on ::1")
                rule = 'match from src 198.51.100.0/24 for domain "example.org" reject\n'
                text = text.replace(
                    'match from any for domain "example.org"', f'{rule}match from any for domain "example.org"'
                )
            return super().write(path, text, mode)

    with OnIPv6("smtpd.conf", host="::1") as server:
        settings = (
            f'upstream = "smtp://[::1]:{server.port}"\nupstream_identity = "proxy"\ntrusted_fronts = ["127.0.0.1/32"]'
        )
        town = Town.found(tmp_path, server.port, settings)
        with town.serve() as served:
            behind = Behind(town, server, served)
            assert behind.asked("ADDR=198.51.100.7")[0] == 550
            for other in ("ADDR=192.0.2.7", f"ADDR=IPV6:{SIXTH}", "DESTADDR=192.0.2.25 DESTPORT=25 ADDR=192.0.2.7"):
                assert behind.asked(other)[0] == 250


def test_exim_takes_every_kind_of_client_and_knows_how_it_has_greeted(tmp_path):
    if not chroots.is_available("exim-heavy"):
        pytest.skip(chroots.why_not("exim-heavy"))

    with Exim("gate-in-front.macros") as server:
        lines = f'upstream = "{server.url}"\nupstream_identity = "proxy"\ntrusted_fronts = ["127.0.0.1/32"]'
        town = Town.found(tmp_path, server.port, lines)
        with town.serve() as served:
            behind = Behind(town, server, served)
            for told in ("ADDR=192.0.2.7", f"ADDR=IPV6:{SIXTH}"):
                assert b"with esmtp" in behind.send(told)
                assert b"with smtp" in behind.send(f"DESTADDR=192.0.2.25 DESTPORT=25 {told}", "helo")
