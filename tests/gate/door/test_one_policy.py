"""Recipients that are free and recipients that need a stamp, in one transaction: nobody loses mail by another's rule."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.gate.door.one_policy import GivenUp

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
            assert [envelope.recipients for envelope in gate.desk.envelopes] == [(first,), (other,)]
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


@pytest.mark.parametrize("is_pipelined", [False, True])
@pytest.mark.parametrize(
    ("recipients", "codes"),
    [
        ([b"dan", b"eve", b"dan"], [b"250", b"452", b"250"]),
        ([b"dan", b"postmaster", b"bob"], [b"250", b"452", b"452"]),
        ([b"postmaster", b"dan", b"postmaster"], [b"250", b"452", b"250"]),
        ([b"bob", b"dan", b"bob"], [b"250", b"452", b"250"]),
    ],
)
def test_a_recipient_whose_class_is_not_known_yet_goes_alone(recipients, codes, is_pipelined):
    """Where the DNS is silent at RCPT and answers at DATA, nobody hears 550 for another who does not know the sender."""
    classes = {b"postmaster": True, b"bob": False}

    async def story():
        desk = FakeDesk(is_free=lambda mailbox: classes.get(mailbox.partition(b"@")[0]))
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            mailboxes = [b"%s@example.org" % one for one in recipients]
            if not is_pipelined:
                await client.say(b"MAIL FROM:<a@example.com>")
                assert await codes_of(client, *mailboxes) == codes
                return
            client.send(b"MAIL FROM:<a@example.com>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % one for one in mailboxes))
            assert [(await client.reply())[:3] for _ in range(len(codes) + 1)] == [b"250", *codes]

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


def given_up(gate) -> list[dict]:
    return [facts for _, event, facts in gate.notes.lines if event == "smtp.split_given_up"]


FRONT = {"trusted_fronts": (ip_network("127.0.0.1/32"),)}
ENDS = {
    "QUIT": b"QUIT\r\n",
    "RSET": b"RSET\r\n",
    "EHLO": b"EHLO front.example\r\n",
    "hangs up": None,
}


async def ask_for(client, *recipients: bytes, sender: bytes = b"a@example.com") -> list[bytes]:
    await client.say(b"MAIL FROM:<%s>" % sender)
    return await codes_of(client, *recipients)


async def end(client, how: str) -> None:
    if ENDS[how] is None:
        client.abort()
    else:
        client.send(ENDS[how])
        await client.reply()
        await client.close()


@pytest.mark.parametrize("how", ENDS)
def test_a_front_that_gives_the_whole_letter_up_is_noticed_and_not_divided_the_third_time(how):
    """As Haraka's smtp_forward does, and Postfix with speed_adjust: they could try for days, and hear the same."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting(), options=FRONT) as gate:
            for time in range(3):
                client = await gate.connect()
                codes = await ask_for(client, FREE, DUE)
                assert codes == [b"250", b"452" if time < 2 else b"250"]
                if time < 2:
                    await end(client, how)
                    await eventually(lambda count=time + 1: not gate.server.sessions or len(given_up(gate)) >= count)
                    await eventually(lambda: gate.server.sessions == 0)
            [line] = given_up(gate)
            assert line == {"front": "127.0.0.1", "set": 'mixed = "reject"', "times": 1}

    asyncio.run(story())


def test_once_is_no_habit_and_who_takes_the_divided_letter_is_no_such_front():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting(), options=FRONT) as gate:
            for _ in range(3):
                client = await gate.connect()
                assert await ask_for(client, FREE, DUE) == [b"250", b"452"]
                await client.say(b"DATA")
                client.send(LETTER)
                assert (await client.say(b".")).startswith(b"250")
                await end(client, "QUIT")
            client = await gate.connect()
            assert await ask_for(client, FREE, DUE) == [b"250", b"452"]
            client.send(b"BDAT %d LAST\r\n%s" % (len(LETTER), LETTER))
            assert (await client.reply()).startswith(b"250")
            assert given_up(gate) == []
            assert await ask_for(client, FREE) == [b"250"]
            await end(client, "QUIT")  # nobody was told to come again
            assert given_up(gate) == []

    asyncio.run(story())


def test_it_is_that_letters_affair_and_nobody_elses():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting(), options=FRONT) as gate:
            for _ in range(3):
                client = await gate.connect()
                await client.say(b"XCLIENT ADDR=198.51.100.7")
                await client.say(b"EHLO mallory.example")
                await ask_for(client, FREE, DUE, sender=b"mallory@example.com")
                await end(client, "RSET")
            client = await gate.connect()
            await client.say(b"XCLIENT ADDR=198.51.100.8")
            await client.say(b"EHLO honest.example")
            assert await ask_for(client, FREE, DUE, sender=b"mallory@example.com") == [b"250", b"452"]
            await client.say(b"RSET")
            assert await ask_for(client, FREE, DUE, sender=b"ann@example.com") == [b"250", b"452"]

    asyncio.run(story())


def test_a_client_that_is_no_front_leaves_no_line_and_is_not_kept_out_for_ever():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, splitting()) as gate:
            client = await gate.connect()
            for time in range(3):
                assert await ask_for(client, FREE, DUE) == [b"250", b"452" if time < 2 else b"250"]
                await client.say(b"RSET")
            assert given_up(gate) == []

    asyncio.run(story())


def test_what_is_remembered_has_a_limit(monkeypatch):
    monkeypatch.setattr("pennyred.gate.door.one_policy.GIVEN_UP_MAX", 100)
    notes = GivenUp(None)
    for number in range(1000):
        notes.note("198.51.100.7", b"a@example.com", [b"%d@example.org" % number] * 2)
    assert len(notes._times) == 100
    assert notes.has("198.51.100.7", b"a@example.com", b"999@example.org")
    assert not notes.has("198.51.100.7", b"a@example.com", b"1@example.org")
