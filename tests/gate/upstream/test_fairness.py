"""One source does not take all the ways to the mail server: it has a share, and who waits for its client makes room."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.fake_upstream import CLOSE, FakeUpstream
from tests.support.passing_time import let_pass
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.config import GateSettings
from pennyred.gate.upstream import slots, transaction
from pennyred.programs.gate_parts import upstream_options

MAIL, RCPT = b"MAIL FROM:<alice@example.com>", b"RCPT TO:<%s@example.org>"
ONE = {"connections_max": 1, "connections_per_network_max": 1}
ELSEWHERE = "127.0.0.77"


def told(story, *, answers=(), upstream_options=ONE, desk=None, options=None, is_believing_once=True):
    async def whole():
        async with (
            FakeUpstream(is_believing_once=is_believing_once) as upstream,
            Gate(upstream, desk or FakeDesk(), upstream_options=upstream_options, options=options or {}) as gate,
        ):
            await story(upstream, gate)

    asyncio.run(asyncio.wait_for(whole(), 30))


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 1.0)


def heard(upstream: FakeUpstream, verb: bytes) -> list[bytes]:
    return [line.rstrip() for line in upstream.commands if line.startswith(verb)]


@pytest.mark.parametrize("is_believing_once", [True, False])
@pytest.mark.parametrize("address", ["127.0.0.1", ELSEWHERE])
def test_a_client_between_two_commands_makes_room_and_goes_on_as_if_nothing_had_been(is_believing_once, address):
    async def story(upstream, gate):
        slow = await gate.connect()
        await slow.envelope((b"bob@example.org",))
        other = await gate.connect(b"EHLO other.example.com", address)
        assert (await other.mail()).startswith(b"250")
        assert (await slow.say(RCPT % b"carl")).startswith(b"250")
        assert (await other.mail()).startswith(b"250")
        assert (await slow.say(b"DATA")).startswith(b"354")
        assert (await other.mail()).startswith(b"250")
        slow.send(b"Subject: slow\r\n\r\n")
        assert (await slow.say(b".")).startswith(b"250")
        *_, last = upstream.letters
        assert last.letter == b"Subject: slow\r\n\r\n"
        assert last.recipients == [RCPT % b"bob" + b"\r\n", RCPT % b"carl" + b"\r\n"]
        assert gate.notes.lines == []

    told(story, is_believing_once=is_believing_once)


def test_so_does_one_whose_letter_is_being_judged():
    desk = FakeDesk()
    desk.may_go = asyncio.Event()

    async def story(upstream, gate):
        judged = await gate.connect()
        await judged.envelope()
        await judged.say(b"DATA")
        judged.send(b"Subject: judged\r\n\r\n.\r\n")
        await desk.entered.wait()
        other = await gate.connect(b"EHLO other.example.com", ELSEWHERE)
        assert (await other.say(MAIL)).startswith(b"250")
        desk.may_go.set()
        assert (await judged.reply()).startswith(b"250")
        assert len(upstream.letters) == 1

    told(story, desk=desk)


def test_one_with_a_letter_under_way_does_not_and_who_waits_is_next():
    async def story(upstream, gate):
        done = asyncio.Event()
        upstream.answers[b"."].append(done)
        busy, other = await gate.connect(), await gate.connect(b"EHLO other.example.com", ELSEWHERE)
        await busy.envelope()
        await busy.say(b"DATA")
        busy.send(b"Subject: busy\r\n\r\n.\r\n")
        await upstream.until(lambda: upstream.unanswered == 1)
        other.send(MAIL + b"\r\n")
        await eventually(lambda: gate.pool._members[0].pool._slots._waiting)
        done.set()
        assert (await busy.reply()).startswith(b"250")
        assert (await other.reply()).startswith(b"250")
        assert len(upstream.letters) == 1

    told(story)


def test_who_has_waited_in_vain_hears_later(impatient):
    async def story(upstream, gate):
        done = asyncio.Event()
        upstream.answers[b"."].append(done)
        busy, other = await gate.connect(), await gate.connect(b"EHLO other.example.com", ELSEWHERE)
        await busy.envelope()
        await busy.say(b"DATA")
        busy.send(b"Subject: busy\r\n\r\n.\r\n")
        await upstream.until(lambda: upstream.unanswered == 1)
        assert (await other.say(MAIL)).startswith(b"451 4.4.1")
        assert "all 1 connections are in use" in gate.notes.lines[0][2]["detail"]
        done.set()
        assert (await busy.reply()).startswith(b"250")

    told(story)


@pytest.mark.parametrize("exempt", [(), (ip_network("127.0.0.1/32"),)])
def test_a_network_has_its_share_of_busy_ones_and_whom_the_admin_has_exempted_has_all(impatient, exempt):
    async def story(upstream, gate):
        done = [asyncio.Event() for _ in range(9)]
        upstream.answers[b"."] += done
        crowd = [await gate.connect() for _ in range(6)]
        for client in crowd:
            client.send(MAIL + b"\r\n" + RCPT % b"bob" + b"\r\nDATA\r\n")
        for client in crowd:
            replies = [await client.reply() for _ in range(3)]
            if replies[2].startswith(b"354"):
                client.send(b"Subject: x\r\n\r\n.\r\n")
        await upstream.until(lambda: upstream.unanswered == (5 if exempt else 2))
        stranger = await gate.connect(b"EHLO other.example.com", ELSEWHERE)
        assert (await stranger.say(MAIL)).startswith(b"451" if exempt else b"250")
        for one in done:
            one.set()
        for client in crowd:
            assert (await client.reply())[:3] in (b"250", b"451")

    limits = {"connections_max": 5, "connections_per_network_max": 2}
    told(story, upstream_options=limits, options={"uncounted_networks": exempt})


def test_fifty_sessions_that_say_a_little_now_and_then_keep_nobody_out():
    """A recipient a second from each of them used to hold all connections, and whoever else came heard 451."""

    async def story(upstream, gate):
        crowd = [await gate.connect() for _ in range(50)]
        for client in crowd:
            await client.envelope()

        async def dripping(client):
            for number in range(3):
                assert (await client.say(RCPT % b"r%d" % number)).startswith(b"250")
                await asyncio.sleep(0.05)

        async def honest(last):
            client = await gate.connect(b"EHLO honest.example.com", f"127.0.0.{last}")
            return await client.mail()

        heard = await asyncio.gather(*(honest(100 + one) for one in range(46)), *map(dripping, crowd))
        assert [reply[:3] for reply in heard[:46]] == [b"250"] * 46
        for client in crowd[:5]:
            await client.say(b"DATA")
            client.send(b"Subject: at last\r\n\r\n")
            assert (await client.say(b".")).startswith(b"250")
        assert all(len(taken.recipients) == 4 for taken in upstream.letters[46:])

    told(story, upstream_options={"connections_max": 50, "connections_per_network_max": 20})


def test_a_client_that_pauses_before_every_recipient_cannot_have_the_mail_server_asked_without_end(monkeypatch):
    """Each time MAIL and all RCPTs are said again. It loses nothing: what has been accepted goes, the rest comes again."""
    monkeypatch.setattr(transaction, "_REPEATED_MAX", 5)

    async def story(upstream, gate):
        slow = await gate.connect()
        await slow.envelope(())
        other = await gate.connect(b"EHLO other.example.com", ELSEWHERE)
        replies = []
        for number in range(6):
            assert (await other.say(MAIL)).startswith(b"250")
            replies.append(await slow.say(RCPT % b"r%d" % number))
            assert (await other.say(b"RSET")).startswith(b"250")
        assert [reply[:9] for reply in replies] == [b"250 2.1.5"] * 3 + [b"452 4.5.3"] * 3
        await slow.say(b"DATA")
        slow.send(b"Subject: slow\r\n\r\n")
        assert (await slow.say(b".")).startswith(b"250")
        assert len(upstream.letters[-1].recipients) == 3

    told(story)


def test_only_who_is_silent_for_so_long_gives_its_connection_back_by_itself():
    async def story(upstream, gate):
        client = await gate.connect()
        await client.envelope()
        for number in range(3):
            let_pass(4)
            assert (await client.say(RCPT % b"r%d" % number)).startswith(b"250")
        assert len(heard(upstream, b"MAIL")) == 1, "it was never silent for long"
        let_pass(10)
        await upstream.until(lambda: heard(upstream, b"RSET"))
        assert (await client.say(RCPT % b"last")).startswith(b"250")
        assert len(heard(upstream, b"MAIL")) == 2
        assert len(upstream.heard) == 1, "the connection was told of this client, and is still good for it"

    told(story, options={"upstream_pin_seconds": 10})


def test_a_kept_connection_that_has_died_meanwhile_is_no_trouble_for_who_goes_on():
    async def story(upstream, gate):
        client = await gate.connect()
        await client.envelope()
        await upstream.until(lambda: heard(upstream, b"RSET"))
        await eventually(lambda: gate.pool.idle_count)
        upstream.answers[b"MAIL"].append(CLOSE)
        assert (await client.say(RCPT % b"carl")).startswith(b"250")
        assert len(upstream.heard) == 2

    told(story, options={"upstream_pin_seconds": 0.1})


@pytest.mark.parametrize(
    ("connections", "share", "workers", "expected"),
    [
        (50, 20, 1, (50, 20)),
        (50, 20, 4, (12, 5)),
        (10, 20, 1, (10, 5)),
        (50, 50, 1, (50, 25)),
        (50, 1, 8, (6, 1)),
        (1, 20, 1, (1, 1)),
    ],
)
def test_the_share_is_what_is_set_and_never_more_than_half(connections, share, workers, expected):
    gate = GateSettings(upstream_connections=connections, upstream_connections_per_network=share, workers=workers)
    [options] = upstream_options(gate)
    assert (options.connections_max, options.connections_per_network_max) == expected
