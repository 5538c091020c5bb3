"""What a mail server would do for a stranger, found out without sending anything."""

import asyncio

import pytest
from tests.support.fake_upstream import CHUNKING, CLOSE, HANG, FakeUpstream
from tests.support.smtp_gate import mail_server

from pennyred.gate.upstream.endpoint import IdentityMode
from pennyred.gate.upstream.probing import STRANGER, STRANGERS, Probe, probe_upstream
from pennyred.gate.upstream.xclient import proxy_header

FOREIGN = "postmaster@open-relay-test.example.net"
DENIED = b"554 5.7.1 Relay access denied\r\n"
KINDS = 1 + len(STRANGERS)
GREYLISTED = b"450 4.2.0 Greylisted, come again\r\n"


def probed(upstream: FakeUpstream, identity: IdentityMode = IdentityMode.XCLIENT, greeting_seconds: float = 0) -> Probe:
    async def run() -> Probe:
        async with upstream:
            asked = mail_server(upstream.url, hostname="mx.example.org", identity=identity)
            if greeting_seconds:
                asked = asked.with_patience(greeting_seconds)
            probe = await probe_upstream(asked, FOREIGN)
            if not greeting_seconds:
                await upstream.until(lambda: upstream.open_count == 0)
            return probe

    probe = asyncio.run(run())
    assert not any(command.startswith(b"DATA") for command in upstream.commands)
    return probe


@pytest.mark.parametrize("keywords", [("PIPELINING", "XCLIENT NAME ADDR"), ("XCLIENT NAME ADDR",)])
def test_who_refuses_a_stranger_a_foreign_recipient_is_no_open_relay(keywords):
    upstream = FakeUpstream(keywords=keywords)
    upstream.answers[b"RCPT"] += [DENIED] * KINDS

    probe = probed(upstream)
    assert probe == Probe(can_be_told=True, is_open_relay=False, denied=probe.denied)
    assert probe.denied.endswith(": RCPT: 554 5.7.1 Relay access denied")


@pytest.mark.parametrize("answer", [b"550 relay not permitted\r\n", b"550 5.7.0 not you\r\n"])
def test_a_refusal_to_relay_is_told_apart(answer):
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"] += [answer] * KINDS
    assert probed(upstream).denied


@pytest.mark.parametrize("answer", [b"550 5.1.2 no such domain\r\n", b"550 Unrouteable address\r\n"])
def test_from_one_to_go_to_an_address_that_is_not_there(answer):
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"] += [answer] * KINDS
    assert probed(upstream) == Probe(can_be_told=True)


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT"])
def test_who_puts_everybody_off_has_not_said_whether_it_is_an_open_relay(verb):
    upstream = FakeUpstream()
    upstream.answers[verb] += [GREYLISTED] * KINDS
    probe = probed(upstream)
    assert probe == Probe(can_be_told=True, put_off=probe.put_off)
    assert probe.put_off.endswith(f": {verb.decode()}: 450 4.2.0 Greylisted, come again")


@pytest.mark.parametrize("place", range(KINDS))
def test_who_answers_one_kind_of_stranger_has_answered(place):
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"] += [DENIED if kind == place else GREYLISTED for kind in range(KINDS)]
    assert not probed(upstream).put_off


def test_who_takes_everybodys_mail_is_an_open_relay():
    assert probed(FakeUpstream()) == Probe(can_be_told=True, is_open_relay=True)


def test_the_question_is_asked_as_a_stranger_before_anything_else():
    upstream = FakeUpstream()

    probed(upstream)

    verbs = [command.split()[0] for command in upstream.commands]
    once = [b"EHLO", b"XCLIENT", b"EHLO", b"MAIL", b"RCPT", b"QUIT"]
    assert verbs == [*once * 3, b"EHLO", b"XCLIENT", b"HELO", b"MAIL", b"RCPT", b"QUIT"]
    assert b"ADDR=192.0.2.1" in upstream.commands[1]
    assert upstream.commands[4] == b"RCPT TO:<postmaster@open-relay-test.example.net>\r\n"


def test_without_xclient_nothing_is_asked_as_it_would_be_asked_as_a_neighbour():
    upstream = FakeUpstream(keywords=("PIPELINING",))

    assert probed(upstream) == Probe(can_be_told=False)
    assert not any(command.startswith(b"RCPT") for command in upstream.commands)


def test_a_gate_that_tells_nothing_asks_as_itself():
    upstream = FakeUpstream()

    assert probed(upstream, IdentityMode.NONE).is_open_relay
    assert not any(command.startswith(b"XCLIENT") for command in upstream.commands)


def test_a_stranger_is_announced_by_proxy_where_that_is_the_way():
    upstream = FakeUpstream(is_proxied=True, keywords=())
    upstream.answers[b"RCPT"] += [DENIED] * KINDS

    probe = probed(upstream, IdentityMode.PROXY)
    assert probe == Probe(can_be_told=True, denied=probe.denied)
    assert upstream.heard[0].startswith(proxy_header(STRANGER))


def test_lmtp_is_spoken_to_a_server_of_lmtp(tmp_path):
    upstream = FakeUpstream(is_lmtp=True, path=tmp_path / "lmtp")
    upstream.answers[b"RCPT"].append(b"550 5.1.1 no such user\r\n")

    assert probed(upstream, IdentityMode.NONE) == Probe(can_be_told=True)
    assert upstream.commands[0] == b"LHLO mx.example.org\r\n"


def test_a_server_that_will_not_have_the_stranger_is_no_open_relay():
    upstream = FakeUpstream()
    upstream.answers[b"EHLO"].extend(
        [b"250-mail.example.org\r\n250 XCLIENT NAME ADDR\r\n", b"554 5.7.1 you are on a list\r\n"]
    )
    upstream.answers[b"RCPT"] += [DENIED] * KINDS

    assert probed(upstream) == Probe(can_be_told=True)


@pytest.mark.parametrize(
    ("verb", "answer", "said"),
    [
        (b"220", b"554 5.3.2 go away\r\n", "go away"),
        (b"220", b"SSH-2.0-OpenSSH_9.2\r\n", "not SMTP"),
        (b"220", b"220 " + b"x" * 100_000, "too long"),
        (b"220", b"220-again\r\n" * 1000, "not SMTP"),
        (b"220", CLOSE, "closed"),
        (b"220", HANG, "no answer"),
        (b"EHLO", b"502 5.5.1 what?\r\n", "what?"),
        (b"XCLIENT", b"550 5.7.0 not you\r\n", "not you"),
        (b"MAIL", b"421 4.3.2 \x1b[31mclosing\r\n", "closing"),
        (b"RCPT", CLOSE, "closed"),
    ],
)
def test_a_server_that_cannot_be_spoken_with_is_an_error_that_can_be_printed(verb, answer, said):
    upstream = FakeUpstream(keywords=("XCLIENT NAME ADDR",))
    upstream.answers[verb].append(answer)

    probe = probed(upstream, greeting_seconds=0.2)

    assert said in probe.error
    assert probe.error.isprintable()
    assert len(probe.error) <= 300


def test_a_server_that_leaves_without_a_word_after_the_question_has_answered_it():
    upstream = FakeUpstream()
    upstream.answers[b"QUIT"].append(CLOSE)

    assert probed(upstream).is_open_relay


def test_nobody_there_is_an_error():
    async def run() -> Probe:
        async with FakeUpstream() as upstream:
            port = upstream.port
        return await probe_upstream(mail_server(f"smtp://127.0.0.1:{port}"), FOREIGN)

    assert "cannot connect" in asyncio.run(run()).error


def test_a_server_that_will_not_have_the_strangers_hello_is_no_open_relay():
    """By PROXY it hears EHLO in the stranger's name."""
    upstream = FakeUpstream(is_proxied=True, keywords=())
    upstream.answers[b"EHLO"].append(b"550 5.7.1 HELO claims to be our own name\r\n")
    upstream.answers[b"RCPT"] += [DENIED] * KINDS

    assert probed(upstream, IdentityMode.PROXY) == Probe(can_be_told=True)


@pytest.mark.parametrize(("place", "kind"), list(enumerate(STRANGERS, 1)))
def test_a_kind_of_stranger_that_is_not_understood_is_named_with_what_was_said(place, kind):
    upstream = FakeUpstream(keywords=("XCLIENT NAME ADDR PROTO",))
    upstream.answers[b"RCPT"] += [DENIED] * KINDS
    yes = b"220 go on\r\n"
    upstream.answers[b"XCLIENT"] += [yes] * place + [b"501 5.5.4 Bad ADDR syntax\r\n"]

    [(named, said)] = probed(upstream).not_understood
    assert named == kind
    assert "501 5.5.4 Bad ADDR syntax" in said


def test_by_proxy_whom_it_hangs_up_on_it_does_not_understand():
    upstream = FakeUpstream(is_proxied=True, keywords=())
    upstream.answers[b"RCPT"] += [DENIED] * KINDS
    upstream.answers[b"220"] += [b"220 yes\r\n", CLOSE]

    [(named, said)] = probed(upstream, IdentityMode.PROXY).not_understood
    assert (named, "closed" in said) == ("IPv6 clients", True)


def test_a_relay_for_one_kind_only_is_an_open_relay():
    """A list of neighbours may have all of IPv6 in it."""
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"] += [DENIED]

    assert probed(upstream).is_open_relay


@pytest.mark.parametrize(
    ("answer", "is_unknown"),
    [
        (b"503 5.5.1 Error: need RCPT command\r\n", False),
        (b"503 valid RCPT command must precede BDAT\r\n", False),
        (b"502 5.5.1 Missing RCPT TO command.\r\n", False),
        (b"554 5.5.1 Error: no valid recipients\r\n", False),
        (b"500 5.5.2 Error: command not recognized\r\n", True),
        (b"502 command not implemented\r\n", True),
        (CLOSE, True),
    ],
)
def test_who_offers_chunking_is_asked_whether_bdat_is_a_command(answer, is_unknown):
    upstream = FakeUpstream(CHUNKING)
    upstream.answers[b"RCPT"] += [DENIED] * KINDS
    upstream.answers[b"."].append(answer)
    assert probed(upstream).knows_no_chunks == is_unknown
    at = upstream.commands.index(b"BDAT 0 LAST\r\n")
    assert upstream.commands[at - 1] == b"RSET\r\n"
    assert upstream.letters == []


def test_who_does_not_is_not():
    upstream = FakeUpstream()
    upstream.answers[b"RCPT"] += [DENIED] * KINDS
    assert not probed(upstream).knows_no_chunks
    assert not any(line.startswith(b"BDAT") for line in upstream.commands)
