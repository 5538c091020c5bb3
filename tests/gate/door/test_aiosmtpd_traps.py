"""aiosmtpd's traps, one test each: what it does with mail if it is left to itself, and this gate must not."""

import asyncio
import socket

import pytest
from aiosmtpd.smtp import SMTP
from tests.support.fake_upstream import FakeUpstream
from tests.support.passing_time import let_pass
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.gate.door.wire import Wire
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

LETTER = b"Subject: x\r\n\r\nhello\r\n"


async def ready_to_commit(gate: Gate):
    """A client whose letter is at the desk, which waits."""
    client = await gate.connect()
    await client.envelope()
    await client.say(b"DATA")
    client.send(LETTER + b".\r\n")
    await gate.desk.entered.wait()
    return client


def test_it_inherits_nothing_but_the_event_loops_protocol():
    assert Wire.__mro__ == (Wire, asyncio.Protocol, asyncio.BaseProtocol, object)


def test_half_close_does_not_cancel_the_commit_and_the_reply_is_still_sent():
    async def story():
        desk = FakeDesk(may_go=asyncio.Event())
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await ready_to_commit(gate)
            client.writer.write_eof()
            desk.may_go.set()
            assert await client.rest() == b"250 2.0.0 Ok: queued as 0\r\n"
            assert len(upstream.letters) == 1

    asyncio.run(story())


def test_half_close_right_after_the_dot_in_one_packet_is_no_different():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            client.send(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + LETTER + b".\r\n")
            client.writer.write_eof()
            assert (await client.rest()).endswith(b"250 2.0.0 Ok: queued as 0\r\n")

    asyncio.run(story())


def test_disconnect_does_not_cancel_the_commit():
    async def story():
        desk = FakeDesk(may_go=asyncio.Event())
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await ready_to_commit(gate)
            client.abort()
            while gate.server.sessions and not client.reader.at_eof():
                await client.rest()
            desk.may_go.set()
            await upstream.until(lambda: upstream.letters)

    asyncio.run(story())


def test_exceptions_are_answered_later_with_a_reference_and_not_with_their_text():
    async def story():
        desk = FakeDesk(answer=ValueError("the secret text"))
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            reply = await client.mail()
            assert reply.startswith(b"451 4.3.0 ")
            assert b"secret" not in reply
            [(level, event, facts)] = gate.notes.lines
            assert (level, event) == ("error", "smtp.letter_failed")
            assert facts["ref"].encode() in reply
            assert str(facts["exc_info"]) == "the secret text"
            assert (await client.say(b"NOOP")).startswith(b"250"), "the session goes on"

    asyncio.run(story())


def test_exceptions_in_a_command_are_no_different():
    async def no_names(address):
        raise RuntimeError("the secret text")

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, name_lookup=no_names) as gate:
            client = await gate.connect()
            reply = await client.say(b"MAIL FROM:<a@example.com>")
            assert reply.startswith(b"451 4.3.0 ")
            assert b"secret" not in reply
            assert (await client.say(b"NOOP")).startswith(b"250")

    asyncio.run(story())


def test_what_does_not_answer_is_later_by_its_own_name():
    async def story():
        desk = FakeDesk(answer=Unavailable(Reason.LEDGER_UNAVAILABLE, "disk full at /secret/path"))
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            reply = await client.mail()
            assert reply.startswith(b"451 4.3.0 ")
            assert b"(ledger-unavailable)" in reply
            assert b"secret" not in reply

    asyncio.run(story())


@pytest.mark.parametrize("parameters", [b"RET=FULL", b"ENVID=x+2By", b"AUTH=<>", b"MT-PRIORITY=4", b"X-Other=aBc"])
def test_parameters_are_for_the_mail_server_to_judge_and_keep_their_case(parameters):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            line = b"MAIL FROM:<a@example.com> " + parameters
            assert (await client.say(line)).startswith(b"250")
            assert upstream.commands[-1] == line + b"\r\n"
            await client.say(b"RSET")
            refusal = b"555 5.5.4 unsupported\r\n"
            upstream.answers[b"MAIL"].append(refusal)
            assert await client.say(line) == refusal

    asyncio.run(story())


@pytest.mark.parametrize(
    "address", [b'"u+x"@example.org', b"@a.example,@b.example:u@example.org", b'"a\\"b"@example.org', b"U@EXAMPLE.org"]
)
def test_addresses_are_not_rewritten(address):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<a@example.com>")
            assert (await client.say(b"RCPT TO:<%s>" % address)).startswith(b"250")
            assert upstream.commands[-1] == b"RCPT TO:<%s>\r\n" % address

    asyncio.run(story())


def test_an_unclosed_bracket_is_refused():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com")).startswith(b"501")
            assert not [line for line in upstream.commands if line.startswith(b"MAIL")]

    asyncio.run(story())


def test_the_null_sender_is_empty_and_not_a_pair_of_brackets():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<>")
            await client.say(b"RCPT TO:<b@example.org>")
            await client.say(b"DATA")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert gate.desk.envelopes[0].sender == b""
            assert upstream.letters[0].mail == b"MAIL FROM:<>\r\n"

    asyncio.run(story())


@pytest.mark.parametrize("length", [998, 1001, 5000, 2_000_000])
def test_long_lines_go_through(length):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            letter = b"Subject: x\r\n\r\n" + b"x" * length + b"\r\n"
            assert (await client.mail(letter)).startswith(b"250")
            assert upstream.letters[0].letter == letter

    asyncio.run(story())


def test_eight_bit_goes_through_and_of_nul_nothing():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            letter = b"Subject: \xff\xfe\r\n\r\n" + bytes(set(range(256)) - {10, 13}) + b"\r\n"
            assert (await client.mail(letter)).startswith(b"250")
            assert upstream.letters[0].letter == letter.replace(b"\0", b"")

    asyncio.run(story())


@pytest.mark.parametrize("newline", [b"\n", b"\r\r\n", b"\r\r\r\n"])
def test_bare_newlines_are_made_whole_before_anybody_judges_them(newline):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail(b"a: b\r\n\r\nx" + newline + b"y\r\n")).startswith(b"250")
            assert gate.desk.letters == [b"a: b\r\n\r\nx\r\ny\r\n"]
            assert upstream.letters[0].letter == b"a: b\r\n\r\nx\r\ny\r\n"

    asyncio.run(story())


def test_nobody_asks_dns_for_the_hosts_name(monkeypatch):
    def asked():
        raise AssertionError("getfqdn")

    monkeypatch.setattr(socket, "getfqdn", asked)

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")

    asyncio.run(story())


def test_no_connection_changes_the_limits_of_another():
    async def story():
        before = dict(SMTP.command_size_limits)
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            for _ in range(40):
                await client.say(b"EHLO client.example.com")
            assert (await client.say(b"MAIL FROM:<a@example.com> X=" + b"x" * 2100)).startswith(b"500")
            assert dict(SMTP.command_size_limits) == before

    asyncio.run(story())


def test_a_slow_letter_is_not_killed_as_long_as_it_moves_and_a_silent_one_is_told():
    async def story():
        options = {"read_timeout_seconds": 600, "transfer_timeout_seconds": 6000}
        async with FakeUpstream() as upstream, Gate(upstream, options=options) as gate:
            client = await gate.connect()
            [session] = gate.server._house.sessions
            await client.envelope()
            await client.say(b"DATA")
            for _ in range(6):
                let_pass(200)
                client.send(b"Subject: x\r\n")
                await eventually(lambda: session.wire.silent_seconds < 200)
            client.send(b"\r\nhello\r\n")
            assert (await client.say(b".")).startswith(b"250")
            let_pass(600)
            assert (await client.reply()).startswith(b"421 4.4.2 ")
            assert await client.reply() == b""

    asyncio.run(story())


def test_a_letter_that_drips_for_ever_ends_with_the_transfer_limit():
    async def story():
        options = {"read_timeout_seconds": 30, "transfer_timeout_seconds": 0.2}
        async with FakeUpstream() as upstream, Gate(upstream, options=options) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")

            async def drip():
                while True:
                    client.send(b"x")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(drip())
            assert (await client.reply()).startswith(b"421 4.4.2 ")
            task.cancel()
            assert not gate.desk.envelopes

    asyncio.run(story())


def test_a_session_of_nothing_but_noop_does_not_live_for_ever():
    async def story():
        options = {"session_timeout_seconds": 0.2, "idle_commands_max": 10**9}
        async with FakeUpstream() as upstream, Gate(upstream, options=options) as gate:
            client = await gate.connect()
            while (reply := await client.say(b"NOOP")).startswith(b"250"):
                pass
            assert reply.startswith(b"421 4.4.2 ")

    asyncio.run(story())


def test_a_new_connection_looks_nothing_up(monkeypatch):
    import inspect

    def looked_up(*arguments):
        raise AssertionError("class tables are for the class")

    monkeypatch.setattr(inspect, "getmembers", looked_up)
    monkeypatch.setattr(inspect, "signature", looked_up)

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            await gate.connect()

    asyncio.run(story())
