"""Several mail servers behind one gate: which one has a letter, and that no letter goes to two."""

import asyncio
import contextlib

import pytest
from tests.support.fake_upstream import CLOSE, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import Gate, RawClient, eventually

from pennyred.gate.letterbox import Fate
from pennyred.gate.upstream import choice
from pennyred.gate.upstream.endpoint import IdentityMode

LETTER = b"Subject: x\r\n\r\nhello\r\n"
BIG = b"a: b\r\n\r\n" + b"x" * 30_000_000 + b"\r\n"
MAIL = b"MAIL FROM:<alice@example.com>"


@contextlib.asynccontextmanager
async def house(first: FakeUpstream | None = None, second: FakeUpstream | None = None, **kwargs):
    async with (
        first or FakeUpstream() as one,
        second or FakeUpstream() as two,
        Gate(one, others=(two,), **kwargs) as gate,
    ):
        yield gate, one, two


def said(gate: Gate, event: str) -> list[dict]:
    return [facts for _, name, facts in gate.notes.lines if name == event]


def counts(*upstreams: FakeUpstream) -> tuple[int, ...]:
    return tuple(len(one.letters) for one in upstreams)


async def delivered(client: RawClient) -> bool:
    return (await client.mail(LETTER)).startswith(b"250")


def test_the_first_that_can_be_reached_has_every_letter():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            for _ in range(3):
                assert await delivered(client)
            assert counts(one, two) == (3, 0)
            assert gate.notes.lines == []

    asyncio.run(story())


def test_one_that_dies_between_letters_is_passed_over_until_it_is_back():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            assert await delivered(client)
            await one.stop()
            for _ in range(3):
                assert await delivered(client)
            assert counts(one, two) == (1, 3)
            [down] = said(gate, "smtp.upstream_down")
            assert down["upstream"] == f"127.0.0.1:{one.port}"
            assert "cannot connect" in down["detail"]
            assert down["retry_seconds"] == 0.8

            gate.clock_ahead += 1
            assert await delivered(client), "it is asked on the side, and nobody waits for it"
            await eventually(lambda: not gate.pool._tasks)
            assert len(said(gate, "smtp.upstream_down")) == 1
            await one.restart()
            assert await delivered(client)
            await eventually(lambda: not gate.pool._tasks)
            assert said(gate, "smtp.upstream_up") == [], "the second wait is longer"

            gate.clock_ahead += 2
            assert await delivered(client)
            await eventually(lambda: said(gate, "smtp.upstream_up"))
            assert await delivered(client)
            assert counts(one, two) == (2, 6)
            assert [facts["upstream"] for facts in said(gate, "smtp.upstream_up")] == [f"127.0.0.1:{one.port}"]
            assert len(said(gate, "smtp.upstream_down")) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (b"220", b"421 4.3.2 too busy\r\n"),
        (b"220", b"554 5.3.2 no service\r\n"),
        (b"220", CLOSE),
        (b"EHLO", b"421 4.3.2 too busy\r\n"),
        (b"EHLO", CLOSE),
        (b"EHLO", b"\x00nonsense\r\n"),
    ],
)
def test_one_that_does_not_greet_is_down_and_the_other_has_the_letter(verb, answer):
    async def story():
        async with house() as (gate, one, two):
            one.answers[verb].append(answer)
            client = await gate.connect()
            assert await delivered(client)
            assert counts(one, two) == (0, 1)
            assert len(said(gate, "smtp.upstream_down")) == 1

    asyncio.run(story())


@pytest.mark.parametrize("answer", [CLOSE, b"421 4.3.2 leaving\r\n", b"550 5.7.0 not you\r\n"])
def test_where_xclient_fails_the_other_is_asked_and_nobody_is_called_down(answer):
    """It may have failed because of this client, who must not be able to make a mail server look dead."""

    async def story():
        async with house() as (gate, one, two):
            one.answers[b"XCLIENT"] += [answer, answer]
            client = await gate.connect()
            assert await delivered(client)
            assert await delivered(await gate.connect(b"EHLO other.example.com"))
            assert counts(one, two) == (1, 1)
            assert gate.notes.lines == []

    asyncio.run(story())


def test_one_that_does_not_take_xclient_at_all_is_as_good_as_down():
    async def story():
        async with house(FakeUpstream(KEYWORDS[:-1])) as (gate, one, two):
            client = await gate.connect()
            assert await delivered(client)
            assert counts(one, two) == (0, 1)
            [down] = said(gate, "smtp.upstream_down")
            assert "XCLIENT" in down["detail"]
            assert not [line for line in one.commands if line.startswith(b"MAIL")]

    asyncio.run(story())


def test_a_client_that_is_refused_by_name_is_not_offered_to_the_other():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect(b"EHLO bad_name")
            one.answers[b"EHLO"].append(b"550 5.7.1 <bad_name>: Helo command rejected\r\n")
            assert await client.say(MAIL) == b"550 5.7.1 <bad_name>: Helo command rejected\r\n"
            assert [line for line in two.commands if not line.startswith(b"EHLO gate")] == []
            assert gate.notes.lines == []

    asyncio.run(story())


def test_behind_proxy_a_refusal_meant_for_the_client_makes_nobody_look_dead():
    async def story():
        first, second = (FakeUpstream(KEYWORDS[:-1], is_proxied=True) for _ in range(2))
        async with house(first, second, identity=IdentityMode.PROXY) as (gate, one, two):
            client = await gate.connect()
            one.answers[b"220"].append(b"421 4.7.0 too many connections from you\r\n")
            assert await delivered(client)
            assert await delivered(client)
            assert counts(one, two) == (1, 1)
            assert gate.notes.lines == []

    asyncio.run(story())


def test_a_kept_connection_that_died_at_mail_is_replaced_by_one_to_the_other():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            assert await delivered(client)
            one._server.close()
            one.answers[b"MAIL"].append(CLOSE)
            assert await delivered(client)
            assert counts(one, two) == (1, 1)

    asyncio.run(story())


def test_a_new_connection_that_dies_at_mail_is_later_and_the_other_is_left_alone():
    async def story():
        async with house() as (gate, one, two):
            one.answers[b"MAIL"] += [CLOSE, CLOSE]
            client = await gate.connect()
            assert (await client.say(MAIL)).startswith(b"451 4.4.1")
            assert not [line for line in two.commands if line.startswith(b"MAIL")]

    asyncio.run(story())


def test_one_that_dies_at_rcpt_is_later_for_that_one_and_the_other_hears_the_envelope_anew():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            await client.envelope()
            one._server.close()
            one.answers[b"RCPT"].append(CLOSE)
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"451 4.4.1")
            assert (await client.say(b"RCPT TO:<c@example.org>")).startswith(b"250")
            assert (await client.say(b"DATA")).startswith(b"354")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert counts(one, two) == (0, 1)
            assert two.letters[0].recipients == [b"RCPT TO:<bob@example.org>\r\n", b"RCPT TO:<c@example.org>\r\n"]

    asyncio.run(story())


@pytest.mark.parametrize("pin_seconds", [5.0, 0.02])
def test_one_that_dies_while_the_letter_comes_in_is_replaced_as_nothing_of_it_was_sent(pin_seconds):
    async def story():
        async with house(options={"upstream_pin_seconds": pin_seconds}) as (gate, one, two):
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            client.send(b"Subject: x\r\n")
            if pin_seconds < 1:
                await one.until(lambda: one.commands[-1] == b"RSET\r\n")
            await one.stop()
            client.send(b"\r\nhello\r\n")
            assert (await client.say(b".")).startswith(b"250")
            assert counts(one, two) == (0, 1)
            assert two.letters[0].letter == LETTER

    asyncio.run(story())


def test_if_the_other_answers_the_envelope_otherwise_nothing_is_sent():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            await one.stop()
            two.answers[b"RCPT"].append(b"550 5.1.1 who?\r\n")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.NOT_SENT,)
            assert counts(one, two) == (0, 0)

    asyncio.run(story())


def test_one_that_dies_in_the_middle_of_the_letter_is_later_and_the_other_is_left_alone():
    async def story():
        async with house() as (gate, one, two):
            one.reading.clear()
            client = await gate.connect()
            await client.envelope()
            assert (await client.say(b"DATA")).startswith(b"354")
            client.send(BIG + b".\r\n")
            await one.until(lambda: b"DATA\r\n" in one.commands)
            await one.stop()
            assert (await client.reply()).startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.NOT_SENT,)
            assert not [line for line in two.commands if line.startswith(b"MAIL")]
            assert await delivered(client), "the next attempt goes to the other"
            assert counts(one, two) == (0, 1)

    asyncio.run(story())


def test_no_answer_to_the_final_dot_is_in_doubt_and_the_other_never_sees_the_letter():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            one.answers[b"."].append(CLOSE)
            one._server.close()
            assert (await client.mail(LETTER)).startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.IN_DOUBT,)
            assert one.unanswered == 1
            assert not [line for line in two.commands if line.startswith((b"MAIL", b"DATA"))]

    asyncio.run(story())


def test_where_all_are_down_it_is_later_and_whoever_comes_back_first_has_the_next_letter():
    async def story():
        async with house() as (gate, one, two):
            client = await gate.connect()
            assert await delivered(client)
            await one.stop()
            await two.stop()
            for _ in range(2):
                assert (await client.say(MAIL)).startswith(b"451 4.4.1")
            assert len(said(gate, "smtp.upstream_down")) == 2
            await two.restart()
            gate.clock_ahead += 1
            # Both waits are over: the first's ends first, fails and is longer now, so the second's is next.
            while not (await client.say(MAIL)).startswith(b"250"):
                pass
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"250")
            assert [facts["upstream"] for facts in said(gate, "smtp.upstream_up")] == [f"127.0.0.1:{two.port}"]

    asyncio.run(story())


def test_a_single_one_that_was_down_is_tried_with_every_letter():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await upstream.stop()
            for _ in range(3):
                assert (await client.say(MAIL)).startswith(b"451 4.4.1")
            await upstream.restart()
            assert await delivered(client)
            assert [event for _, event, _ in gate.notes.lines if "upstream" in event] == [
                "smtp.upstream_down",
                "smtp.upstream_up",
            ]

    asyncio.run(story())


def test_ehlo_offers_what_both_do_and_of_one_that_is_down_nothing_is_asked():
    async def story():
        first = FakeUpstream(("PIPELINING", "SIZE 3000", "8BITMIME", "SMTPUTF8", KEYWORDS[-1]))
        second = FakeUpstream(("PIPELINING", "SIZE 2000", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", KEYWORDS[-1]))
        async with house(first, second) as (gate, one, _):
            client = await gate.connect()
            hello = (await client.say(b"EHLO client.example.com")).split(b"\r\n")
            assert b"250-SIZE 2000" in hello
            assert b"250-8BITMIME" in hello
            assert not {b"250-SMTPUTF8", b"250-DSN", b"250-ENHANCEDSTATUSCODES"} & set(hello)
            await one.stop()
            await client.say(MAIL)
            hello = (await client.say(b"EHLO client.example.com")).split(b"\r\n")
            assert {b"250-SIZE 2000", b"250-DSN", b"250-ENHANCEDSTATUSCODES"} <= set(hello)

    asyncio.run(story())


@pytest.mark.parametrize("parameter", [b" SMTPUTF8", b" BODY=8BITMIME", b" RET=HDRS", b" SIZE=2001"])
def test_an_envelope_goes_to_nobody_who_would_refuse_what_the_other_had_offered(parameter):
    """A letter taken for the first must not bounce because the second can do less: it waits for the first."""

    async def story():
        second = FakeUpstream(("PIPELINING", "SIZE 2000", KEYWORDS[-1]))
        async with house(None, second) as (gate, one, two):
            await two.stop()
            client = await gate.connect()
            assert (await client.say(MAIL + parameter)).startswith(b"250")
            await client.say(b"RSET")
            await one.stop()
            await two.restart()
            gate.clock_ahead += 1
            assert (await client.say(MAIL + parameter)).startswith(b"451 4.4.1")
            assert not [line for line in two.commands if line.startswith(b"MAIL")]
            assert await delivered(client)
            assert counts(one, two) == (0, 1)

    asyncio.run(story())


def test_what_nobody_offers_is_refused_by_the_mail_server_itself():
    async def story():
        bare = ("PIPELINING", KEYWORDS[-1])
        async with house(FakeUpstream(bare), FakeUpstream(bare)) as (gate, one, _):
            client = await gate.connect()
            one.answers[b"MAIL"].append(b"555 5.5.4 Unsupported option\r\n")
            assert await client.say(MAIL + b" RET=HDRS") == b"555 5.5.4 Unsupported option\r\n"

    asyncio.run(story())


def test_each_connection_is_told_who_its_client_is_whichever_mail_server_it_leads_to():
    async def story():
        async with house() as (gate, one, two):
            here, there = await gate.connect(b"EHLO here.example.com"), await gate.connect(b"EHLO there.example.com")
            assert await delivered(here)
            assert await delivered(there)
            await one.stop()
            for client in (here, there, there, here):
                assert await delivered(client)
            heard = [bytes(line) for line in two.commands if line.startswith((b"XCLIENT", b"MAIL"))]
            assert [line.split(b"HELO=")[-1].split(b" ")[0] for line in heard] == [
                b"here.example.com", b"MAIL", b"there.example.com", b"MAIL", b"MAIL", b"here.example.com", b"MAIL",
            ]  # fmt: skip

    asyncio.run(story())


def test_where_one_has_all_the_connections_it_may_have_the_other_helps_out():
    async def story():
        async with house(upstream_options={"connections_max": 1}) as (gate, one, two):
            clients = [await gate.connect() for _ in range(3)]
            replies = [await client.say(MAIL) for client in clients]
            assert [reply[:3] for reply in replies] == [b"250"] * 3
            mails = [len([line for line in server.commands if line.startswith(b"MAIL")]) for server in (one, two)]
            assert mails == [2, 1], "the third has the place of the one that has waited longest for its client"
            assert said(gate, "smtp.upstream_down") == []

    asyncio.run(story())


def test_lmtp_servers_are_several_too(tmp_path):
    async def story():
        first, second = (FakeUpstream(is_lmtp=True, path=tmp_path / name) for name in ("one", "two"))
        async with house(first, second) as (gate, one, two):
            client = await gate.connect()
            one.answers[b"."] += [b"250 2.0.0 ok\r\n", CLOSE]
            reply = await client.mail(LETTER, (b"a@example.org", b"b@example.org"))
            assert reply.startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.ACCEPTED, Fate.IN_DOUBT)
            assert counts(one, two) == (1, 0)
            await one.stop()
            assert (await client.mail(LETTER, (b"a@example.org", b"b@example.org"))).startswith(b"250")
            assert counts(one, two) == (1, 1)

    asyncio.run(story())


def test_spread_means_that_each_has_a_letter_in_turn_and_one_that_is_down_has_none():
    async def story():
        async with house(is_spread=True) as (gate, one, two):
            client = await gate.connect()
            for _ in range(6):
                assert await delivered(client)
            assert counts(one, two) == (3, 3)
            await two.stop()
            for _ in range(4):
                assert await delivered(client)
            assert counts(one, two) == (7, 3)

    asyncio.run(story())


def test_ehlo_does_not_wait_for_those_that_are_known_to_be_down():
    async def story():
        async with house() as (gate, one, two):
            one.answers[b"220"].append(CLOSE)
            two.answers[b"220"].append(CLOSE)
            client = await gate.connect()
            assert len(said(gate, "smtp.upstream_down")) == 2
            asked = len(one.heard), len(two.heard)
            assert b"DSN" not in await client.say(b"EHLO client.example.com")
            assert (len(one.heard), len(two.heard)) == asked
            gate.clock_ahead += 1
            assert b"DSN" in await client.say(b"EHLO client.example.com")
            assert len(said(gate, "smtp.upstream_up")) == 2

    asyncio.run(story())


def test_clients_that_come_together_at_the_start_ask_each_mail_server_once():
    async def story():
        async with house() as (gate, one, two):
            await asyncio.gather(*(gate.connect() for _ in range(10)))
            assert (len(one.heard), len(two.heard)) == (1, 1)

    asyncio.run(story())


def test_one_that_says_nothing_neither_keeps_ehlo_from_its_answer_nor_the_gate_from_stopping(monkeypatch):
    monkeypatch.setattr(choice, "_FIRST_ANSWERS_SECONDS", 0.05)

    async def story():
        async with house() as (gate, one, two):
            one.answers[b"220"].append(asyncio.Event())
            client = await gate.connect()
            assert b"SMTPUTF8" in await client.say(b"EHLO client.example.com")
            await client.close()
            async with asyncio.timeout(5):
                await gate.server.stop(0.0)
            assert gate.pool.open_count == 0
            assert (len(one.heard), len(two.heard)) == (1, 1)

    asyncio.run(story())
