"""Kept connections to the mail server: closed by us before it does, and replaced unseen where it was first."""

import pytest
from tests.support.fake_upstream import CLOSE
from tests.support.memory_gate import MemoryGate
from tests.support.smtp_gate import mail_server

LETTER = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", b"a: b\r\n\r\nc\r\n.\r\n"
SHORTEST_PATIENCE_SECONDS = 300
"""Of Postfix (not under stress), Exim, OpenSMTPD and Dovecot's LMTP, as they come."""


def delivered(client) -> bool:
    client.send(LETTER[0])
    return client.send(LETTER[1]).startswith(b"250 ")


def test_it_takes_leave_long_before_any_mail_server_loses_patience():
    options = mail_server("smtp://192.0.2.25")
    assert options.idle_seconds_max <= SHORTEST_PATIENCE_SECONDS / 4
    with MemoryGate() as gate:
        client = gate.client()
        assert delivered(client)
        gate.loop.pass_seconds(options.idle_seconds_max - 6)
        assert (gate.pool.idle_count, gate.upstream.open) == (1, 1)
        for _ in range(3):
            gate.loop.pass_seconds(5)
        assert (gate.pool.idle_count, gate.pool.open_count, gate.upstream.open) == (0, 0, 0)
        assert gate.upstream.heard[0].endswith(b"QUIT\r\n")
        assert delivered(client)
        assert len(gate.upstream.heard) == 2


def test_one_that_is_used_again_and_again_is_kept_until_it_is_old():
    with MemoryGate() as gate:
        client = gate.client()
        for _ in range(24):
            assert delivered(client)
            gate.loop.pass_seconds(20)
        assert len(gate.upstream.heard) == 1
        for _ in range(12):
            assert delivered(client)
            gate.loop.pass_seconds(20)
        assert len(gate.upstream.heard) == 2


@pytest.mark.parametrize("goodbye", [b"421 4.4.2 timeout exceeded\r\n", None])
def test_one_that_the_mail_server_closed_while_it_was_idle_is_not_used(goodbye):
    with MemoryGate() as gate:
        client = gate.client()
        assert delivered(client)
        [session] = gate.upstream.sessions
        if goodbye:
            session.transport.feed(goodbye)
        session.transport.feed(None)
        gate.loop.settle()
        assert gate.upstream.open == 0
        assert delivered(client)
        assert len(gate.upstream.heard) == 2
        assert gate.notes.lines == []


@pytest.mark.parametrize("verb", [b"XCLIENT", b"MAIL"])
@pytest.mark.parametrize("answer", [b"421 4.4.2 timeout exceeded\r\n", CLOSE])
def test_one_that_the_mail_server_closes_while_it_is_being_taken_up_is_replaced_once(verb, answer):
    with MemoryGate() as gate:
        assert delivered(gate.client())
        gate.upstream.answers[verb].append(answer)
        assert delivered(gate.client(address="198.51.100.8"))
        assert len(gate.upstream.heard) == 2
        gate.upstream.answers[b"MAIL"] += [answer, answer]
        assert gate.client().send(LETTER[0])[:4] in (b"451 ", b"421 "), "a new one that fails too is no accident"
        assert len(gate.upstream.letters) == 2
