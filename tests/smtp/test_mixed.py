"""Recipients that are free and recipients that need a stamp, in one transaction: nobody loses mail by another's rule."""

import asyncio

import pytest
from fake_upstream import FakeUpstream
from smtp_gate import FakeDesk, Gate

FREE, DUE = b"postmaster@example.org", b"bob@example.org"
LETTER = b"Subject: x\r\n\r\nhello\r\n"


def splitting() -> FakeDesk:
    return FakeDesk(is_free=lambda mailbox: mailbox.startswith(b"postmaster"))


async def codes_of(client, *recipients: bytes) -> list[bytes]:
    return [(await client.say(b"RCPT TO:<%s>" % one))[:3] for one in recipients]


@pytest.mark.parametrize(("first", "other"), [(FREE, DUE), (DUE, FREE)])
def test_the_first_recipient_decides_and_the_others_come_again(first, other):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting()) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<a@example.com>")
            assert await codes_of(client, first) == [b"250"]
            assert (await client.say(b"RCPT TO:<%s>" % other)).startswith(b"452 4.5.3 ")
            assert await codes_of(client, first) == [b"250"]
            await client.say(b"DATA")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            await client.envelope((other,))
            await client.say(b"DATA")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert [envelope.recipients for envelope in gate.desk.envelopes] == [(first, first), (other,)]
            assert upstream.commands.count(b"RCPT TO:<%s>\r\n" % other) == 1  # the 452 was the gate's own

    asyncio.run(story())


def test_a_recipient_whom_the_mail_server_refuses_decides_nothing():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting()) as gate:
            client = await gate.connect()
            upstream.answers[b"RCPT"].append(b"550 5.1.1 who?\r\n")
            await client.say(b"MAIL FROM:<a@example.com>")
            assert await codes_of(client, FREE, DUE, FREE) == [b"550", b"250", b"452"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("recipients", "refused", "codes"),
    [
        ([FREE, DUE, FREE, DUE], 0, [b"250", b"452", b"250", b"452"]),
        ([FREE, DUE, FREE, DUE], 1, [b"550", b"250", b"452", b"250"]),
        ([FREE, DUE, FREE, DUE], 2, [b"550", b"550", b"250", b"452"]),
        ([FREE, DUE, FREE, DUE], 4, [b"550", b"550", b"550", b"550"]),
        ([b"broken", DUE, b"broken", FREE], 0, [b"501", b"250", b"501", b"452"]),
    ],
)
def test_pipelined_recipients_are_answered_in_order(recipients, refused, codes):
    """What the first ones are told decides how the next are asked for."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting()) as gate:
            upstream.answers[b"RCPT"] += [b"550 5.1.1 who?\r\n"] * refused
            client = await gate.connect()
            lines = [b"RCPT TO:<%s\r\n" % one if one == b"broken" else b"RCPT TO:<%s>\r\n" % one for one in recipients]
            client.send(b"MAIL FROM:<a@example.com>\r\n" + b"".join(lines) + b"NOOP\r\n")
            said = [(await client.reply())[:3] for _ in range(len(recipients) + 2)]
            assert said == [b"250", *codes, b"250"]

    asyncio.run(story())


def test_where_mail_is_refused_nobody_is_asked_for_and_everybody_is_answered():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting()) as gate:
            upstream.answers[b"MAIL"].append(b"550 5.7.1 no\r\n")
            upstream.answers[b"RCPT"].append(b"503 5.5.1 first MAIL\r\n")
            client = await gate.connect()
            client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\nNOOP\r\n" % (FREE, DUE))
            assert [(await client.reply())[:3] for _ in range(4)] == [b"550", b"503", b"503", b"250"]

    asyncio.run(story())


def test_coming_again_is_no_mistake_of_the_clients():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting(), options={"errors_max": 3}) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<a@example.com>")
            assert await codes_of(client, FREE, *[DUE] * 50) == [b"250"] + [b"452"] * 50
            assert (await client.say(b"NOOP")).startswith(b"250")

    asyncio.run(story())


@pytest.mark.parametrize("case", ["setting", "no difference"])
def test_letters_are_judged_whole_where_that_is_the_rule_or_makes_no_difference(case):
    async def story():
        desk = splitting() if case == "setting" else FakeDesk()
        options = {"is_mixed_split": case != "setting"}
        async with FakeUpstream() as upstream, Gate(upstream, desk, options=options) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<a@example.com>")
            assert await codes_of(client, FREE, DUE) == [b"250", b"250"]

    asyncio.run(story())
