"""How long the mail server may take: as RFC 5321 says, and never longer than the client itself waits."""

import asyncio

import pytest
from tests.support.fake_upstream import HANG, FakeUpstream
from tests.support.smtp_gate import Gate, mail_server

from pennyred.config.settings import GateSettings
from pennyred.gate.upstream import deadlines
from pennyred.gate.upstream.deadlines import Deadlines
from pennyred.programs.gate_parts import upstream_options

LATER = b"451 4.4.1 "
STEPS = {
    "greeting": (b"220", "greeting_seconds"),
    "EHLO": (b"EHLO", "greeting_seconds"),
    "XCLIENT": (b"XCLIENT", "command_seconds"),
    "MAIL": (b"MAIL", "command_seconds"),
    "RCPT": (b"RCPT", "recipient_seconds"),
    "DATA": (b"DATA", "data_seconds"),
    "the dot": (b".", "answer_seconds"),
}


def test_what_the_settings_say_by_default_is_what_rfc_5321_says():
    [options] = upstream_options(GateSettings())
    assert options.deadlines == Deadlines(
        greeting_seconds=300,
        command_seconds=300,
        recipient_seconds=300,
        data_seconds=120,
        block_seconds=180,
        answer_seconds=600,
    )


def test_each_setting_goes_where_it_belongs():
    names = ("greeting", "mail", "rcpt", "data", "block")
    given = {f"upstream_{name}_timeout_seconds": 11 + number for number, name in enumerate(names)}
    [options] = upstream_options(GateSettings(**given, upstream_timeout_seconds=20))
    fields = ("greeting", "command", "recipient", "data", "block", "answer")
    assert [getattr(options.deadlines, f"{field}_seconds") for field in fields] == [11, 12, 13, 14, 15, 20]


async def answers_to_a_letter(gate: Gate) -> list[bytes]:
    client = await gate.connect()
    said = [await client.say(b"MAIL FROM:<a@example.com>")]
    if said[-1].startswith(b"250"):
        said.append(await client.say(b"RCPT TO:<b@example.org>"))
    if said[-1].startswith(b"250"):
        await client.say(b"DATA")
        client.send(b"Subject: x\r\n\r\nhello\r\n")
        said.append(await client.say(b"."))
    return said


@pytest.mark.parametrize("step", STEPS)
def test_each_answer_has_its_own_time(step):
    """The others may take as long as they like meanwhile."""
    verb, setting = STEPS[step]

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, upstream_options={setting: 0.1}) as gate:
            if step not in ("greeting", "EHLO", "XCLIENT"):
                upstream.answers[verb] += [HANG] * 3
            else:
                await gate.connect()  # so that what is offered is known
                for member in gate.pool._members:
                    member.pool.close_idle()
                upstream.answers[verb] += [HANG] * 3
            said = await answers_to_a_letter(gate)
            assert said[-1].startswith(LATER)
            assert len(said) == {"RCPT": 2, "DATA": 3, "the dot": 3}.get(step, 1)

    asyncio.run(story())


@pytest.mark.parametrize("step", ["greeting", "EHLO", "XCLIENT", "MAIL", "RCPT"])
@pytest.mark.parametrize("is_pipelined", [True, False])
def test_the_client_hears_later_before_its_own_patience_ends_whatever_the_settings_say(step, is_pipelined, monkeypatch):
    monkeypatch.setattr(deadlines, "CLIENTS_SECONDS", 0.2)
    verb, _ = STEPS[step]

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            for member in gate.pool._members:
                member.pool.close_idle()
            upstream.answers[verb] += [HANG] * 2
            lines = [b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.org>", b"RCPT TO:<c@example.org>"]
            if is_pipelined:
                client.send(b"".join(line + b"\r\n" for line in lines))
                said = [await client.reply() for _ in lines]
                assert said[0].startswith(LATER)
            else:
                said = await client.converse(*lines[:2])
                assert said[step == "RCPT"].startswith(LATER)
            assert "for as long as a client waits" in str(gate.notes.lines)
            await client.say(b"RSET")
            upstream.answers.clear()
            monkeypatch.undo()  # a machine with much to do may take its time
            assert (await client.mail()).startswith(b"250")
            assert gate.desk.envelopes[-1].recipients == (b"bob@example.org",)

    asyncio.run(story())


def test_a_recipient_whose_answer_came_too_late_does_not_get_the_letter(monkeypatch):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope((b"ann@example.org",))
            late = asyncio.Event()
            upstream.answers[b"RCPT"].append((late, b"250 2.1.5 Ok\r\n"))
            monkeypatch.setattr(deadlines, "CLIENTS_SECONDS", 0.2)
            assert (await client.say(b"RCPT TO:<bob@example.org>")).startswith(LATER)
            monkeypatch.undo()
            late.set()
            await client.say(b"DATA")
            client.send(b"Subject: x\r\n\r\nhello\r\n")
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<ann@example.org>\r\n"]

    asyncio.run(story())


@pytest.mark.parametrize("verb", [b"220", b"EHLO"])
def test_of_several_mail_servers_a_silent_one_leaves_the_next_one_time(verb, monkeypatch):
    monkeypatch.setattr(deadlines, "CLIENTS_SECONDS", 4.0)

    async def story():
        async with FakeUpstream() as one, FakeUpstream() as other, Gate(one, others=(other,)) as gate:
            client = await gate.connect()
            for member in gate.pool._members:
                member.pool.close_idle()
            one.answers[verb] += [HANG] * 4
            assert (await client.mail()).startswith(b"250")
            assert (len(one.letters), len(other.letters)) == (0, 1)
            assert [status.is_up for status in gate.pool.status()] == [False, True]

    asyncio.run(story())


def test_ehlo_is_answered_though_the_mail_server_is_silent(monkeypatch):
    monkeypatch.setattr(deadlines, "HELLO_SECONDS", 0.1)

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[b"220"] += [HANG] * 3
            client = await gate.connect()
            assert gate.pool.capabilities is None
            assert (await client.say(b"NOOP")).startswith(b"250")
            upstream.drop_all()

    asyncio.run(story())


def test_check_waits_for_no_answer_as_long_as_that():
    options = mail_server("smtp://127.0.0.1:25").with_patience(3)
    seconds = {name: getattr(options.deadlines, name) for _, name in STEPS.values()}
    assert seconds.pop("answer_seconds") == 600
    assert set(seconds.values()) == {3}
