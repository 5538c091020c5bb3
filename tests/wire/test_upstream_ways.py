"""A real Postfix behind the gate, reached by TLS, and told in each way who the client is."""

import smtplib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from tests.support import real_postfix
from tests.support.dns_server import DnsServer
from tests.support.program import run_json
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

CLIENT = "198.51.100.77"
LISTENER = """127.0.0.1:{port} inet n - n - - smtpd
  -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_authorized_xforward_hosts=127.0.0.1
  -o mynetworks=
  -o smtpd_tls_cert_file={folder}/mx.pem
  -o smtpd_tls_key_file={folder}/mx.key
  -o {tls}
"""
TLS = {"smtps": "smtpd_tls_wrappermode=yes", "smtp+starttls": "smtpd_tls_security_level=encrypt"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for 127.0.0.1 and who issued it."""
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "mx.key")
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(folder / "mx.pem", append=number > 0)
    return folder


@dataclass
class Ways:
    """A gate before a Postfix of its own, reached at `scheme`; a context manager."""

    folder: Path
    certificates: Path
    scheme: str
    settings: str = ""

    def __enter__(self) -> "Ways":
        port = free_port()
        tls = TLS.get(self.scheme, "smtpd_tls_security_level=none")
        listener = LISTENER.format(port=port, folder=self.certificates, tls=tls)
        self.postfix = Postfix(listener, {"inet_protocols": "all"}).__enter__()
        self.names = DnsServer().__enter__()  # check asks by TCP, too, which not every machine's name server answers
        upstream = f'upstream = "{self.scheme}://127.0.0.1:{port}"\ntrusted_fronts = ["127.0.0.1/32"]\n'
        upstream += f'nameservers = ["127.0.0.1:{self.names.address[1]}"]\n'
        self.town = Town.found(self.folder, port, upstream + self.settings)
        return self

    def __exit__(self, *exception: object) -> None:
        self.names.__exit__(*exception)
        self.postfix.__exit__(*exception)

    def complaints(self) -> list[str]:
        """What `check` has to say of the mail server."""
        said = run_json("--config", str(self.town.settings), "check", check=False)["complaints"]
        return [one["what"] for one in said if one["key"].startswith("gate")]

    def send(self) -> int:
        """A stamped letter from CLIENT, who is behind a trusted front; the code of the answer."""
        with closing(smtplib.SMTP("127.0.0.1", self.town.gate_port)) as smtp:
            smtp.ehlo("front.example")
            smtp.docmd(f"XCLIENT ADDR={CLIENT} NAME=[UNAVAILABLE]")
            smtp.ehlo("client.example")
            for code, _ in (smtp.mail(ANN), smtp.rcpt(BOB)):
                if code != 250:
                    return code
            return smtp.data(self.town.stamped(letter(), BOB))[0]


@pytest.mark.parametrize("scheme", list(TLS))
def test_a_letter_reaches_postfix_by_tls(tmp_path, certificates, scheme):
    with Ways(tmp_path, certificates, scheme, f'upstream_tls_ca = "{certificates}/ca.pem"') as ways:
        assert ways.complaints() == []
        with ways.town.serve():
            ways.town.fund(1)
            assert ways.send() == 250
        [delivered] = ways.postfix.wait_for_letters(1)
        assert b"ESMTPS" in delivered
        assert f"[{CLIENT}]".encode() in delivered


def test_a_certificate_that_proves_nothing_is_named_by_check_and_sends_mail_away_for_now(tmp_path, certificates):
    with Ways(tmp_path, certificates, "smtps") as ways:
        [complaint] = ways.complaints()
        assert "certificate: unable to get local issuer certificate" in complaint
        with ways.town.serve() as served:
            ways.town.fund(1)
            assert ways.send() == 451
            line = served.wait_for(lambda line: line["event"] == "smtp.upstream_down")
            assert "certificate: unable to get local issuer certificate" in line["detail"]
        assert ways.postfix.letters() == []


@pytest.mark.parametrize("identity", ["xclient", "xforward", "none"])
def test_each_letter_tells_its_client(tmp_path, certificates, identity):
    with Ways(tmp_path, certificates, "smtp", f'upstream_identity = "{identity}"') as ways:
        assert ways.complaints() == []
        with ways.town.serve():
            ways.town.fund(3)
            for _ in range(3):  # over one connection, where that can be
                assert ways.send() == 250
        delivered = ways.postfix.wait_for_letters(3)
        told = ways.postfix.log.read_text().count(f"[{CLIENT}]") if identity == "xforward" else 3
        assert told >= 3, "Postfix's log"
        if identity != "xforward":
            assert all(f"[{CLIENT}]".encode() in one for one in delivered)


def test_xforward_that_is_not_offered_is_named_by_check(tmp_path, certificates):
    with Ways(tmp_path, certificates, "smtp", 'upstream_identity = "xforward"') as ways:
        text = (ways.postfix.folder / "conf/master.cf").read_text()
        (ways.postfix.folder / "conf/master.cf").write_text(text.replace("xforward_hosts=127.0.0.1", "xforward_hosts="))
        ways.postfix.stop()
        ways.postfix.start()
        [complaint] = ways.complaints()
        assert "does not offer XFORWARD to this gate" in complaint


def test_authorities_that_cannot_be_read_are_named(tmp_path, certificates):
    with Ways(tmp_path, certificates, "smtps", 'upstream_tls_ca = "nowhere.pem"') as ways:
        [complaint] = ways.complaints()
        assert "nowhere.pem" in complaint
