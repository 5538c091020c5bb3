"""Hundreds of clients that leave in every state and manner: the program has nothing of them afterwards."""

import contextlib
import random
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest
import trustme

pytestmark = pytest.mark.long

ENVELOPE = b"EHLO c.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<postmaster@example.org>\r\n"
LETTER = b"Subject: x\r\n\r\n" + b"x" * 70_000 + b"\r\n"
WAYS = ("close", "half-close", "reset", "reset before reading")
STATES = {
    "connected": b"",
    "in a command": b"EHL",
    "after MAIL": b"EHLO c.example\r\nMAIL FROM:<a@x.example>\r\n",
    "after RCPT": ENVELOPE,
    "after DATA": ENVELOPE + b"DATA\r\n",
    "in a letter": ENVELOPE + b"DATA\r\n" + LETTER,
    "before the dot": ENVELOPE + b"DATA\r\n" + LETTER + b".\r",
    "after the dot": ENVELOPE + b"DATA\r\n" + LETTER + b".\r\n",
    "in a chunk": ENVELOPE + b"BDAT 100000\r\n" + LETTER,
    "between chunks": ENVELOPE + b"BDAT %d\r\n" % len(LETTER) + LETTER,
    "in a handshake": b"EHLO c.example\r\nSTARTTLS\r\n\x16\x03\x01",
}
CLIENTS = 330


def leave(client: socket.socket, way: str) -> None:
    if way == "half-close":
        client.shutdown(socket.SHUT_WR)
    elif way.startswith("reset"):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if way != "reset before reading":
        client.settimeout(0.05)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
    client.close()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "by TLS"])
def test_nothing_is_left_of_those_who_leave(found_town, tmp_path, is_tls):
    certificate = trustme.CA().issue_cert("mx.example.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "mx.pem")
    town = found_town(
        f'tls_certificate = "{tmp_path}/mx.pem"\ntls_key = "{tmp_path}/mx.pem"\nspool = "{tmp_path}"\n'
        'memory_per_letter = "1KB"\nmax_connections_per_network = 1000\nupstream_connections = 8\nmax_errors = 10000'
    )
    chance = random.Random(5)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with town.serve("--workers", "1") as served:
        descriptors = Path(f"/proc/{served.process.pid}/fd")
        before = len(list(descriptors.iterdir()))
        for number in range(CLIENTS):
            client: socket.socket = socket.create_connection(("127.0.0.1", town.gate_port), timeout=20)
            if is_tls:
                client.recv(1000)
                client.sendall(b"STARTTLS\r\n")
                client.recv(1000)
                client = context.wrap_socket(client)
            with contextlib.suppress(OSError):
                client.sendall(list(STATES.values())[number % len(STATES)])
            leave(client, chance.choice(WAYS))
        end = time.monotonic() + 60
        # What is kept are connections to the mail server, for the next letters.
        while (left := len(list(descriptors.iterdir()))) > before + 8 and time.monotonic() < end:
            time.sleep(0.1)
        assert left <= before + 8
        served.process.terminate()
        served.process.wait(30)
        served.wait_for(lambda line: line["event"] == "service.stopped")
        assert [line for line in served.log if line["event"].endswith("failed") or "exception" in line] == []
