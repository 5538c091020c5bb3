"""TLS to the mail server: proven to be the one, or nothing is sent."""

import asyncio
import datetime as dt
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme
from tests.support.smtp_gate import SECONDS_MAX, Notes, mail_server

from pennyred.gate.upstream import addresses
from pennyred.gate.upstream.endpoint import IdentityMode, Security, parse_url
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.pool import UpstreamPool
from pennyred.gate.upstream.tls import client_context
from pennyred.postage.errors import Unavailable

CA = trustme.CA()
OTHERS = trustme.CA()
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
CERTIFICATES = {
    "its own": CA.issue_cert("127.0.0.1"),
    "another name": CA.issue_cert("mx.elsewhere.example"),
    "another authority": OTHERS.issue_cert("127.0.0.1"),
    "by name": CA.issue_cert("mx.example.test"),
    "expired": CA.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO + dt.timedelta(days=90)),
}


def server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATES[certificate].configure_cert(context)
    return context


class SecureServer:
    """Says yes to everything, by TLS from the start or after STARTTLS."""

    def __init__(self, scheme: str, certificate: str = "its own", **script: bytes) -> None:
        self.scheme = scheme
        self.context = server_context(certificate)
        self.offer = script.get("offer", b"250-mx.example.org\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
        self.ready = script.get("ready", b"220 go on\r\n")
        self.is_silent = "is_silent" in script
        self.heard: list[bytes] = []
        self.heard_by_tls: list[bytes] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_tls = self.scheme == "smtps"
        try:
            if self.is_silent:
                await reader.read()
                return
            if is_tls:
                await writer.start_tls(self.context)
            writer.write(b"220 mx.example.org\r\n")
            while line := await reader.readline():
                (self.heard_by_tls if is_tls else self.heard).append(line)
                if line.startswith(b"EHLO"):
                    writer.write(b"250-mx.example.org\r\n250 PIPELINING\r\n" if is_tls else self.offer)
                elif line.startswith(b"STARTTLS"):
                    writer.write(self.ready)
                    await writer.drain()
                    if not self.ready.startswith(b"220"):
                        continue
                    await writer.start_tls(self.context)
                    is_tls = True
                else:
                    writer.write(b"250 yes\r\n")
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(server: SecureServer, host: str = "127.0.0.1", port: int = 0):
    tasks = set()

    def accept(reader, writer):
        tasks.add(asyncio.get_running_loop().create_task(server.serve(reader, writer)))

    listener = await asyncio.start_server(accept, host, port)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reached(server: SecureServer, tmp_path, *, is_verified: bool = True, seconds: float = 5) -> None:
    """Come as the gate comes, say MAIL; raises what the gate would see."""
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def story() -> None:
        async with asyncio.timeout(SECONDS_MAX), running(server):
            options = mail_server(
                server.url,
                identity=IdentityMode.NONE,
                tls=client_context(tmp_path / "ca.pem", is_verified=is_verified),
                connect_seconds=seconds,
                greeting_seconds=seconds,
            )
            pool = UpstreamPool(options)
            try:
                client = ClientIdentity("198.51.100.7", helo="client.example")
                connection = await pool.acquire(client)
                await connection.begin(client, [b"MAIL FROM:<secret@example.com>"])
                pool.release(connection)
            finally:
                await pool.close()

    asyncio.run(story())


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
@pytest.mark.parametrize("certificate", ["another authority", "its own", "expired"])
def test_of_several_addresses_the_one_that_proves_its_name_is_spoken_with(scheme, certificate, tmp_path, monkeypatch):
    async def resolve(host, port):
        assert host == "mx.example.test"
        return ["127.0.0.2", "127.0.0.3"]

    monkeypatch.setattr(addresses, "resolve", resolve)
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    wrong, right = SecureServer(scheme, certificate), SecureServer(scheme, "by name")

    async def story() -> None:
        async with asyncio.timeout(SECONDS_MAX), running(wrong, "127.0.0.2"), running(right, "127.0.0.3", wrong.port):
            tls = client_context(tmp_path / "ca.pem", is_verified=True)
            url = f"{scheme}://mx.example.test:{wrong.port}"
            pool = UpstreamPool(mail_server(url, identity=IdentityMode.NONE, tls=tls), log=notes)
            client = ClientIdentity("198.51.100.7", helo="client.example")
            connection = await pool.acquire(client)
            await connection.begin(client, [b"MAIL FROM:<secret@example.com>"])
            pool.release(connection)
            await pool.close()

    notes = Notes()
    asyncio.run(story())
    assert wrong.heard_by_tls == []
    assert b"MAIL FROM:<secret@example.com>\r\n" in right.heard_by_tls
    assert "TLS: its certificate" in notes.lines[0][2]["detail"]
    assert notes.lines[0][2]["address"] == f"127.0.0.2:{wrong.port}"


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_name_with_a_final_dot_is_the_name_that_a_certificate_has(scheme, tmp_path, monkeypatch):
    asked = []

    async def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    monkeypatch.setattr(addresses, "resolve", resolve)
    monkeypatch.setattr(SecureServer, "url", property(lambda self: f"{scheme}://mx.example.test.:{self.port}"))
    server = SecureServer(scheme, "by name")
    reached(server, tmp_path)
    assert b"MAIL FROM:<secret@example.com>\r\n" in server.heard_by_tls
    assert asked == ["mx.example.test."], "whole as it is, so that the resolver appends nothing"


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_nothing_is_said_in_plain_text_but_starttls(scheme, tmp_path):
    server = SecureServer(scheme)
    reached(server, tmp_path)
    assert server.heard == ([] if scheme == "smtps" else [b"EHLO gate.example.org\r\n", b"STARTTLS\r\n"])
    assert server.heard_by_tls[:2] == [b"EHLO gate.example.org\r\n", b"MAIL FROM:<secret@example.com>\r\n"]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
@pytest.mark.parametrize(
    ("certificate", "why"),
    [("another name", "mismatch"), ("another authority", "unable to get local issuer"), ("expired", "expired")],
)
def test_one_that_cannot_prove_who_it_is_gets_nothing(scheme, certificate, why, tmp_path):
    server = SecureServer(scheme, certificate)
    with pytest.raises(Unavailable, match=f"certificate.*{why}"):
        reached(server, tmp_path)
    assert server.heard_by_tls == []


@pytest.mark.parametrize("certificate", ["another name", "another authority", "expired"])
def test_unless_the_settings_say_so(certificate, tmp_path):
    server = SecureServer("smtps", certificate)
    reached(server, tmp_path, is_verified=False)
    assert len(server.heard_by_tls) > 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({"offer": b"250-mx.example.org\r\n250 PIPELINING\r\n"}, "STARTTLS is not offered"),
        ({"ready": b"454 4.7.0 not now\r\n"}, "454 4.7.0 not now"),
        ({"ready": b"220 go on\r\n250 injected\r\n"}, "more than its answer to STARTTLS"),
        ({"ready": b"220 go on\r\n250 inj"}, "more than its answer to STARTTLS"),
    ],
    ids=["stripped", "refused", "a reply injected", "half a reply injected"],
)
def test_there_is_no_way_back_to_plain_text(script, why, tmp_path):
    server = SecureServer("smtp+starttls", **script)
    with pytest.raises(Unavailable, match=why):
        reached(server, tmp_path)
    assert not any(line.startswith(b"MAIL") for line in server.heard)


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_one_that_never_answers_is_given_up(scheme, tmp_path):
    with pytest.raises(Unavailable):
        reached(SecureServer(scheme, is_silent=b""), tmp_path, seconds=0.2)


def test_the_authorities_of_this_machine_are_asked_where_no_others_are_named():
    context = client_context(None, is_verified=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtps://mx.example.org", 465, Security.IMPLICIT),
        ("smtps://mx.example.org:10465", 10465, Security.IMPLICIT),
        ("smtp+starttls://mx.example.org", 25, Security.STARTTLS),
        ("smtp://mx.example.org", 25, Security.NONE),
    ],
)
def test_what_a_url_says_of_it(url, port, security):
    endpoint = parse_url(url)
    assert (endpoint.host, endpoint.port, endpoint.security) == ("mx.example.org", port, security)


def test_a_file_without_a_certificate_is_an_error_and_not_the_machines_own_authorities(tmp_path):
    for text in ("", " \n", "nothing of the kind"):
        (tmp_path / "ca.pem").write_text(text)
        with pytest.raises(OSError):
            client_context(tmp_path / "ca.pem", is_verified=True)
