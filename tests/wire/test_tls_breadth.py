"""STARTTLS with whatever a client has: as much as a real Postfix takes by default, and the best of it for who has more."""

import socket
import ssl
import warnings
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
from tests.support import real_postfix
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import Town

pytestmark = pytest.mark.long

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
KINDS = {"rsa": trustme.KeyType.RSA, "ecdsa": trustme.KeyType.ECDSA}


def client_context(ciphers: str, version: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


ALL = "ALL:COMPLEMENTOFALL"
SUITES = [one["name"] for one in client_context(ALL, "1.2").get_ciphers() if not one["name"].startswith("TLS_")]


def agreed(port: int, ciphers: str = ALL, version: str = "1.2") -> str:
    """What a client that has no more than this agrees on with the server; empty: nothing."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as plain:
        plain.recv(1000)
        for line in (b"EHLO client.example\r\n", b"STARTTLS\r\n"):
            plain.sendall(line)
            assert plain.recv(4000).startswith(b"2")
        try:
            with client_context(ciphers, version).wrap_socket(plain) as secured:
                secured.sendall(b"EHLO client.example\r\n")
                assert secured.recv(4000).startswith(b"250")
                found = secured.cipher()
                assert found is not None
                return found[0]
        except (ssl.SSLError, ConnectionError):
            return ""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o755)
    authority = trustme.CA()
    for name, kind in KINDS.items():
        issued = authority.issue_cert("mx.example.org", key_type=kind)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


@contextmanager
def gate(folder: Path, certificates: Path, kind: str, more: str = ""):
    tls = f'tls_certificate = "{certificates}/{kind}.pem"\ntls_key = "{certificates}/{kind}.key"'
    town = Town.found(folder, free_port(), f"{tls}\n{more}")
    with town.serve() as served:
        yield town.gate_port, served


@pytest.mark.parametrize("kind", KINDS)
def test_every_version_of_tls_is_answered_and_the_best_suite_is_taken(tmp_path, certificates, kind):
    with gate(tmp_path, certificates, kind) as (port, _):
        name = "RSA" if kind == "rsa" else "ECDSA"
        assert [agreed(port, version=version) for version in VERSIONS] == [
            f"ECDHE-{name}-AES256-SHA",
            f"ECDHE-{name}-AES256-SHA",
            f"ECDHE-{name}-AES256-GCM-SHA384",
            "TLS_AES_256_GCM_SHA384",
        ]
        poor_first = f"aNULL:kRSA:ECDHE-{name}-AES128-SHA:ECDHE-{name}-AES128-GCM-SHA256"
        assert agreed(port, poor_first) == f"ECDHE-{name}-AES128-GCM-SHA256", "whatever the client would rather have"


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_real_postfix_takes_by_default_the_gate_takes_too(tmp_path, certificates, kind):
    port = free_port()
    tls = {
        "smtpd_tls_cert_file": f"{certificates}/{kind}.pem",
        "smtpd_tls_key_file": f"{certificates}/{kind}.key",
        "smtpd_tls_security_level": "may",
    }
    more = "max_connections_per_network = 1000"
    with (
        Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", tls),
        gate(tmp_path, certificates, kind, more) as (ours, _),
    ):
        for version in ("1.0", "1.2"):
            taken = [suite for suite in SUITES if agreed(port, suite, version)]
            assert len(taken) > 7
            assert [suite for suite in taken if agreed(ours, suite, version) != suite] == []


def test_a_list_of_ones_own_goes_with_old_versions_too(tmp_path, certificates):
    with gate(tmp_path, certificates, "rsa", 'tls_ciphers = "AES128-GCM-SHA256:AES128-SHA"') as (port, _):
        assert agreed(port, version="1.0") == "AES128-SHA"
        assert agreed(port, "AES128-SHA:AES128-GCM-SHA256") == "AES128-GCM-SHA256"
        assert agreed(port, "ECDHE-RSA-AES128-SHA") == ""


def test_who_wants_less_says_so_and_a_client_that_has_nothing_in_common_leaves_a_line(tmp_path, certificates):
    settings = 'tls_minimum = "1.2"\ntls_ciphers = "ECDHE+AESGCM"'
    with gate(tmp_path, certificates, "rsa", settings) as (port, served):
        assert agreed(port, version="1.2") == "ECDHE-RSA-AES256-GCM-SHA384"
        assert agreed(port, version="1.1") == ""
        line = served.wait_for(lambda line: line["event"] == "smtp.tls_failed")
        assert (line["reason"], line["client"], line["times"]) == ("UNSUPPORTED_PROTOCOL", "127.0.0.1", 1)
        assert agreed(port, "AES256-SHA", version="1.2") == ""
        line = served.wait_for(lambda line: line["event"] == "smtp.tls_failed")
        assert line["reason"] == "NO_SHARED_CIPHER"
