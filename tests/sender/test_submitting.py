"""Copies sent one by one: the server's words come back as said, and one refusal is not the others'."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_upstream import CLOSE, FakeUpstream
from tests.support.stationery import LETTER

from pennyred.postage.errors import MalformedAddress, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.sender import submitting
from pennyred.sender.submitting import SAID_NOTHING, Postage, Sent, Submission, read_postage

DUE = (
    b"550 5.7.1 Postage due: <bob@example.org> needs a 1-cent stamp from post.example.org (no-stamp); see http://x/\r\n"
)


def submitted(work: Callable[[Submission], Any], upstream: FakeUpstream | None = None) -> tuple[Any, FakeUpstream]:
    """What `work` makes of a session with the scripted server."""
    upstream = upstream or FakeUpstream()

    def session() -> Any:
        with Submission("127.0.0.1", upstream.port) as submission:
            return work(submission)

    async def run() -> Any:
        async with upstream:
            return await asyncio.to_thread(session)

    return asyncio.run(run()), upstream


def sent(upstream: FakeUpstream, *recipients: str, letter: bytes = LETTER, sender: str = "ann@sender.example") -> Sent:
    answer, _ = submitted(
        lambda submission: submission.send(sender, recipients or ("bob@example.org",), letter), upstream
    )
    assert isinstance(answer, Sent)
    return answer


def test_a_copy_goes_to_all_its_recipients_byte_for_byte():
    upstream = FakeUpstream()
    letter = LETTER + b".dot\r\n..\r\n"

    said = sent(upstream, "bob@example.org", "carol@example.org", letter=letter)

    assert said == Sent(("bob@example.org", "carol@example.org"), 250, "2.0.0 Ok: queued as 0", "")
    assert said.is_accepted
    assert upstream.letters[0].letter == letter
    assert len(upstream.letters[0].recipients) == 2
    assert upstream.letters[0].mail == b"MAIL FROM:<ann@sender.example> SIZE=%d\r\n" % len(letter)


def test_a_refusal_is_kept_as_it_was_said_with_the_name_of_its_reason():
    upstream = FakeUpstream()
    upstream.answers[b"."].append(DUE)

    said = sent(upstream)

    assert (said.code, said.reason) == (550, "no-stamp")
    assert f"{said.code} {said.reply}\r\n".encode() == DUE
    assert not said.is_accepted
    assert not said.is_temporary


def test_a_letter_delivered_before_is_said_to_be_so():
    upstream = FakeUpstream()
    upstream.answers[b"."].append(b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n")

    said = sent(upstream)

    assert (said.is_accepted, said.reason) == (True, "duplicate")


def test_lines_of_a_long_reply_are_joined():
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"].append(b"450-4.7.1 come\r\n450 4.7.1 later (over-cap)\r\n")

    said = sent(upstream)

    assert (said.code, said.reply, said.reason) == (450, "4.7.1 come 4.7.1 later (over-cap)", "over-cap")
    assert said.is_temporary


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"."])
def test_a_refused_copy_does_not_stop_the_others(verb):
    upstream = FakeUpstream()
    upstream.answers[verb].append(b"554 5.0.0 No (somehow)\r\n")

    said, _ = submitted(
        lambda submission: [submission.send("a@b.example", [to], LETTER) for to in ("b@c.example", "d@e.example")],
        upstream,
    )

    assert [(one.code, one.reason) for one in said] == [(554, ""), (250, "")]
    assert [letter.recipients for letter in upstream.letters] == [[b"RCPT TO:<d@e.example>\r\n"]]


@pytest.mark.parametrize("verb", [b"MAIL", b"DATA", b"."])
def test_a_connection_that_breaks_concerns_one_copy_and_the_next_gets_a_new_one(verb):
    upstream = FakeUpstream()
    upstream.answers[verb].append(CLOSE)

    said, _ = submitted(
        lambda submission: [submission.send("a@b.example", [to], LETTER) for to in ("b@c.example", "d@e.example")],
        upstream,
    )

    assert [(one.code, one.reason) for one in said] == [(SAID_NOTHING, "upstream-unavailable"), (250, "")]
    assert said[0].is_temporary


def test_what_a_server_says_before_it_hangs_up_is_not_lost():
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"].append(b"421 4.3.2 Going down\r\n")
    upstream.answers[b"RSET"].append(CLOSE)

    said = sent(upstream)

    assert (said.code, said.reply) == (421, "4.3.2 Going down")


def test_what_the_server_offers_is_known_before_anything_is_sent():
    offers = lambda submission: (submission.takes_eight_bit, submission.takes_utf8)  # noqa: E731

    assert submitted(offers)[0] == (True, True)
    assert submitted(offers, FakeUpstream(keywords=()))[0] == (False, False)


def test_eight_bit_letters_and_addresses_are_announced():
    upstream = FakeUpstream()

    sent(upstream, "jörg@exämple.org", letter=LETTER + b"\xc3\xa4\r\n")

    mail, recipient = upstream.letters[0].mail, upstream.letters[0].recipients[0]
    assert mail.endswith(b" BODY=8BITMIME SMTPUTF8\r\n")
    assert recipient == "RCPT TO:<jörg@xn--exmple-cua.org>\r\n".encode()


def test_an_address_the_server_cannot_take_is_said_to_be_so():
    said = sent(FakeUpstream(keywords=()), "jörg@example.org")

    assert (said.code, said.is_temporary) == (SAID_NOTHING, False)
    assert "SMTPUTF8" in said.reply


def test_an_international_domain_needs_nothing_of_the_server():
    upstream = FakeUpstream(keywords=())

    assert sent(upstream, "bob@exämple.org").is_accepted


def test_an_address_cannot_bring_a_command_with_it():
    upstream = FakeUpstream()

    said = sent(upstream, "bob@example.org>\r\nRCPT TO:<eve@example.org")

    assert not said.is_accepted
    assert not any(b"eve" in command for command in upstream.commands)


def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        with pytest.raises(Unavailable, match=r"127\.0\.0\.1") as caught:
            Submission("127.0.0.1", taken.getsockname()[1]).__enter__()

    assert caught.value.reason is Reason.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize(
    ("verb", "answer"), [(b"220", b"421 4.3.2 busy\r\n"), (b"220", CLOSE), (b"220", b"what?\r\n"), (b"EHLO", CLOSE)]
)
def test_every_address_of_a_name_counts(verb, answer, monkeypatch):
    """RFC 5321 section 5.1."""
    first, second = FakeUpstream(host="127.0.0.2"), FakeUpstream(host="127.0.0.3")
    first.answers[verb] += [answer] * 2
    monkeypatch.setattr("pennyred.sender.submitting.addresses_of", lambda *_: ["127.0.0.4", "127.0.0.2", "127.0.0.3"])

    def session() -> Sent:
        with Submission("localhost", first.port) as submission:
            return submission.send("ann@sender.example", ["bob@example.org"], LETTER)

    async def run() -> Sent:
        async with first:
            second.port = first.port
            async with second:
                return await asyncio.to_thread(session)

    assert asyncio.run(run()).is_accepted
    assert (len(first.letters), len(second.letters)) == (0, 1)


def test_a_server_that_says_nothing_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="no answer in time"):
        Submission("127.0.0.1", silent.getsockname()[1], connect_seconds=0.05).__enter__()


def test_a_server_that_is_too_busy_is_unavailable():
    upstream = FakeUpstream()
    upstream.answers[b"220"].append(b"421 4.3.2 Too many connections\r\n")

    with pytest.raises(Unavailable, match=r"421 4\.3\.2 Too many"):
        sent(upstream)


def sent_with_tls(host: str, authority: trustme.CA | None = None) -> Sent:
    """Through a server that insists on STARTTLS, with a certificate nobody knows, or of this authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (authority or trustme.CA()).issue_cert("mx.example.org").configure_cert(context)

    def session(port: int) -> Sent:
        with Submission(host, port) as submission:
            return submission.send("a@b.example", ["bob@example.org"], LETTER)

    async def run() -> Sent:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Sink(), hostname="mx", tls_context=context, require_starttls=True, loop=loop), "127.0.0.1", 0
        )
        async with server:
            return await asyncio.to_thread(session, server.sockets[0].getsockname()[1])

    return asyncio.run(run())


def test_starttls_is_used_where_it_is_offered():
    assert sent_with_tls("127.0.0.1").is_accepted


def test_a_certificate_is_verified_unless_the_server_is_on_this_machine():
    """0.0.0.0 leads to this machine, and is no loopback address."""
    with pytest.raises(Unavailable, match="certificate"):
        sent_with_tls("0.0.0.0")


def test_a_name_with_a_final_dot_is_the_name_that_a_certificate_has(monkeypatch):
    """As `dig` prints it."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(submitting, "_tls_context", lambda _: trusting)
    monkeypatch.setattr(submitting, "addresses_of", lambda host, _: {"mx.example.org": ["127.0.0.1"]}[host])
    assert sent_with_tls("mx.example.org.", authority).is_accepted


@pytest.mark.parametrize("host", ["mx..example", ".", "a" * 64 + ".example"])
def test_a_host_that_cannot_be_a_name_is_wrong_usage_and_not_a_traceback(host):
    with pytest.raises(MalformedAddress, match="not the name of a server"):
        Submission(host, 25)


@pytest.mark.parametrize(
    ("parameters", "postage"),
    [
        ("", None),
        ("1", Postage(1, ())),
        ("3 post.example.org Post.Example.NET. post.example.org", Postage(3, ("post.example.org", "post.example.net"))),
        ("3 b\u00fccher.example -x- \x00 a..b", Postage(3, ("xn--bcher-kva.example",))),
        ("1000000 a", Postage(1_000_000, ("a",))),
        ("1000001 a", None),
        ("0000001 a", Postage(1, ("a",))),
        ("00000010", None),
    ],
    ids=ascii,
)
def test_what_a_server_asks_for_is_read(parameters, postage):
    assert read_postage(parameters) == postage


@given(st.text(max_size=300) | st.lists(st.text(max_size=9), max_size=300).map(lambda words: "1 " + " ".join(words)))
def test_whatever_a_server_says_of_postage_is_a_price_and_issuers_or_nothing(parameters):
    found = read_postage(parameters)
    assert found is None or (1 <= found.price <= 1_000_000 and len(found.issuers) <= 100)
