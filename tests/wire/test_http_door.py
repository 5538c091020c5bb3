"""Strangers hold the office's API and the gate's pages in every way, and nobody else notices: as programs, on sockets."""

import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from tests.bench.sink import wait_for_port
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.real_postfix import free_port
from tests.support.town import BOB, Town, letter

pytestmark = pytest.mark.long

HALF_HEADER = b"GET /healthz HTTP/1.1\r\nHost: he"
HALF_BODY = (
    b"POST /v1/redemptions/hold HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
    b"Authorization: Bearer nobody\r\n\r\n{"
)
KEPT = b"GET /.well-known/pennyred HTTP/1.1\r\nHost: here\r\n\r\n"
SAID = {"nothing": b"", "half a header": HALF_HEADER, "half a body": HALF_BODY, "one request": KEPT}
MANY = 520
RECIPE = Path(__file__).parents[2] / "config/many/haproxy.cfg"


@contextmanager
def holding(port, said, count=MANY, networks=26):
    """So many connections, of so many networks, that say this and then nothing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ExitStack() as stack:
        for number in range(count):
            one = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 30, (f"127.0.7.{1 + number % networks}", 0))
            )
            with suppress(OSError):  # let go already
                one.sendall(said)
        yield


def ask(port, path="/.well-known/pennyred", scheme="http", context=None, **fields):
    """The status of a page."""
    asked = urllib.request.Request(f"{scheme}://localhost:{port}{path}", headers=fields)
    try:
        with urllib.request.urlopen(asked, timeout=30, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def greets(port):
    with closing(socket.create_connection(("127.0.0.1", port), 30)) as client:
        return client.recv(3) == b"220"


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_hundreds_of_silent_connections_stop_neither_the_api_nor_mail(tmp_path, said):
    with MailServer() as server:
        town = Town.found(tmp_path, server.port)
        with town.serve("--workers", "2") as served:
            with holding(town.office_port, said):
                assert [ask(town.office_port) for _ in range(20)] == [200] * 20
                town.fund(1)
                assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
                assert greets(town.gate_port)
            assert ask(town.office_port) == 200
        assert {line["event"] for line in served.log} <= {
            "ledger.serving",
            "ledger.stopped",
            "service.serving",
            "letter",
            "http.crowded",
            "service.stopping",
            "service.stopped",
        }


def localhost_certificate(folder):
    """`post.pem` and `post.key` there; who believes them."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "post.pem")
    issued.private_key_pem.write_to_path(folder / "post.key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_silence_after_and_in_the_handshake_stops_nobody(tmp_path):
    context = localhost_certificate(tmp_path)
    with MailServer() as server:
        town = Town.found(
            tmp_path, server.port, office='tls_certificate = "post.pem"\ntls_key = "post.key"\nmax_connections = 100'
        )
        with town.serve(), ExitStack() as stack:
            for said in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
                stack.enter_context(holding(town.office_port, said, 60))
            for number in range(60):
                plain = socket.create_connection(("127.0.0.1", town.office_port), 30, (f"127.0.8.{number + 1}", 0))
                stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            assert [ask(town.office_port, scheme="https", context=context) for _ in range(10)] == [200] * 10


def test_a_gate_elsewhere_is_not_silenced_so_nothing_is_sent_on_trust(tmp_path):
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, 'on_office_down = "accept"', is_divided=True)
        with town.serve() as served:
            town.fund(12)
            assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250  # now it would be trusted
            with ExitStack() as stack:
                for said in SAID.values():
                    stack.enter_context(holding(town.office_port, said, 200))
                for _ in range(10):
                    assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
                assert town.balance() == (11, 0)
        assert not {line["event"] for line in served.log} & {"trust.accepted", "office.down", "outbox.waiting"}


@dataclass
class ServedWithFewFiles(Served):
    """`pennyred serve` where the system allows few descriptors."""

    def _passing(self):
        return ["prlimit", "--nofile=600:600"]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit (util-linux)")
def test_http_does_not_take_the_descriptors_that_mail_needs(tmp_path):
    with MailServer() as server:
        town = Town.found(tmp_path, server.port)
        with ServedWithFewFiles(town.settings) as served:
            [few] = [line for line in served.log if line["event"] == "service.few_descriptors"]
            assert few["allowed"] == 600
            with ExitStack() as stack:
                for said in (b"", HALF_BODY):
                    stack.enter_context(holding(town.office_port, said, 1000, 200))
                assert len(list(Path(f"/proc/{served.process.pid}/fd").iterdir())) < 300
                town.fund(1)
                clients = [
                    stack.enter_context(
                        socket.create_connection(("127.0.0.1", town.gate_port), 30, (f"127.0.6.{n}", 0))
                    )
                    for n in range(1, 100)
                ]
                assert {one.recv(3) for one in clients} == {b"220"}
                assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250


def test_whoever_holds_the_gate_s_pages_does_not_keep_a_watcher_from_them(tmp_path):
    metrics = free_port()
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, f'metrics = "127.0.0.1:{metrics}"')
        with town.serve():
            for said in (b"", HALF_HEADER, b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"):
                with holding(metrics, said, 200):
                    assert [ask(metrics, path) for path in ("/metrics", "/healthz")] == [200] * 2


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs HAProxy (apt-get install haproxy)")
def test_behind_haproxy_half_requests_stop_nobody_and_a_client_has_his_share(tmp_path):
    front = free_port()
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, office='trusted_proxies = ["127.0.0.1/32"]\nmax_connections = 100')
        recipe = RECIPE.read_text()
        frontend = recipe[recipe.index("frontend office") : recipe.index("frontend database")]
        for written, here in (
            ("bind 10.0.0.20:8025", f"bind 127.0.0.1:{front}"),
            ("10.0.0.21:8025", f"127.0.0.1:{town.office_port}"),
            ("    server office2 10.0.0.22:8025 check on-marked-down shutdown-sessions\n", ""),
        ):
            assert written in frontend
            frontend = frontend.replace(written, here)
        defaults = "defaults\n    timeout connect 3s\n    timeout client 1m\n    timeout server 1m\n"
        (tmp_path / "haproxy.cfg").write_text(f"global\n    maxconn 2000\n{defaults}{frontend}")
        with town.serve():
            haproxy = subprocess.Popen(["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"], stderr=subprocess.DEVNULL)
            try:
                wait_for_port(front, haproxy, is_greeting=False)
                for said in (HALF_HEADER, HALF_BODY, KEPT):
                    with holding(front, said, 300):
                        assert [ask(front) for _ in range(10)] == [200] * 10
            finally:
                haproxy.terminate()
                haproxy.wait()


NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 2000; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream office {{ server 127.0.0.1:{office}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{front} ssl; ssl_certificate {folder}/post.pem; ssl_certificate_key {folder}/post.key;
    location / {{
      proxy_pass http://office; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (apt-get install nginx-light)")
def test_behind_nginx_with_tls_an_office_is_reached_and_silence_stops_nobody(tmp_path):
    """As root it would hand its work to a user who cannot enter the test's folder, so it is told to stay."""
    front, context = free_port(), localhost_certificate(tmp_path)
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, office='trusted_proxies = ["127.0.0.1/32"]\nmax_connections = 100')
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(user + NGINX.format(folder=tmp_path, office=town.office_port, front=front))
        with town.serve():
            nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf"], stderr=subprocess.DEVNULL)
            try:
                wait_for_port(front, nginx, is_greeting=False)
                for said in (b"", HALF_HEADER, HALF_BODY):
                    with holding(town.office_port, said, 300), holding(front, said, 300):
                        assert [ask(front, scheme="https", context=context) for _ in range(10)] == [200] * 10
            finally:
                nginx.terminate()
                nginx.wait()


def test_a_request_that_is_broken_off_is_nobody_s_mistake(tmp_path):
    """Signed, so that its body is read; then the client is gone."""
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, is_divided=True)
        token = (tmp_path / "post.token").read_bytes().strip()
        with town.serve() as served:
            for body in (b"", b"{", b'{"holds": ['):
                with closing(socket.create_connection(("127.0.0.1", town.office_port), 30)) as one:
                    one.sendall(HALF_BODY.replace(b"nobody", token).rpartition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body)
                    assert ask(town.office_port) == 200
            assert ask(town.office_port) == 200
        office = served.office.log
        assert {line["event"] for line in office} <= {"service.serving", "service.stopping", "service.stopped"}, (
            json.dumps(office)
        )
