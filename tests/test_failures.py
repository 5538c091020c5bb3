"""What went wrong outside is said in words, whoever raised it; nothing of Python's own is left."""

import errno
import os
import re
import smtplib
import socket
import ssl
from contextlib import closing

import aiohttp
import apsw
import asyncpg
import dns.exception
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.failures import place_name, said, told, what
from pennyred.programs.systemd.activation import addresses

PYTHONS_OWN = re.compile(r"Errno|Error\b|Exception|\[|_ssl")


@pytest.mark.parametrize("number", sorted(set(errno.errorcode)))
def test_every_error_of_the_system_is_said_without_its_number(number):
    error = OSError(number, os.strerror(number), "/some/path")
    assert not PYTHONS_OWN.search(told(error).replace("/some/path", ""))
    assert told(error).startswith("/some/path: ")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(111, "Connect call failed ('127.0.0.1', 8025)"), "nobody listens there"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] x"), "nobody listens"),
        (OSError(98, "127.0.0.1:25: somebody is there"), "127.0.0.1:25: somebody is there"),
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "broken off"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no such name in DNS"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "the DNS does not answer"),
        (apsw.FullError("database or disk is full"), "no space left"),
        (apsw.NotADBError("file is not a database"), "no SQLite database"),
        (apsw.BusyError("database is locked"), "another program is using it"),
        (asyncpg.InvalidPasswordError("x"), "does not take this password"),
        (asyncpg.InvalidCatalogNameError("x"), "no such database"),
        (aiohttp.ServerDisconnectedError(), "hung up without an answer"),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "it hung up"),
        (dns.resolver.NoNameservers(), "no name server has an answer"),
        (dns.exception.Timeout(), "no name server answers"),
        (KeyError("name"), "name is missing"),
        (ValueError("too long"), "too long"),
        (RuntimeError(), "runtime"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_library_is_understood(error, words):
    assert words in told(error)
    assert not PYTHONS_OWN.search(told(error))


def test_a_certificate_that_does_not_hold_is_said_so_also_from_inside_the_http_library():
    inner = ssl.SSLCertVerificationError(1, "x")
    inner.verify_message = "certificate has expired"
    outer = aiohttp.ClientConnectorCertificateError(connection_key=None, certificate_error=inner)  # type: ignore[arg-type]
    assert what(outer) == "TLS: its certificate does not hold: certificate has expired"


def test_a_file_that_is_no_certificate_is_said_so(tmp_path):
    (tmp_path / "x.pem").write_text("nonsense")
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError) as caught:
        context.load_cert_chain(tmp_path / "x.pem", tmp_path / "x.pem")
    assert what(caught.value) == "there is no certificate or no key in it"


def test_a_text_that_may_be_secret_is_left_out():
    assert "hunter2" in told(asyncpg.PostgresError("hunter2"))
    assert "hunter2" not in told(asyncpg.PostgresError("hunter2"), is_quoting=False)


@given(st.text(max_size=500), st.integers(-10, 200))
def test_whatever_an_error_says_it_is_said_in_bounds(text, number):
    for error in (OSError(number, text), OSError(text), ValueError(text), KeyError(text), Exception(text, number)):
        assert len(what(error)) < 600
        assert said(error)[0]


def test_a_place_is_named_as_it_would_be_typed():
    assert place_name("0.0.0.0", 25) == "0.0.0.0:25"
    assert place_name("::", 25) == "[::]:25"
    assert place_name("/run/mail", 0) == "/run/mail"
    with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as listening:
        assert addresses((listening,)) == [f"[::1]:{listening.getsockname()[1]}"]
