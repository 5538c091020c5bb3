"""All addresses of a mail server's name count (RFC 5321 section 5.1): one that does not answer is passed over."""

import asyncio
import contextlib
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_upstream import CLOSE, HANG, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import Gate, eventually

from pennyred.gate.letterbox import Reply
from pennyred.gate.upstream import addresses, racing
from pennyred.gate.upstream.addresses import Address, interleaved
from pennyred.gate.upstream.connection import Refused
from pennyred.gate.upstream.endpoint import IdentityMode
from pennyred.gate.upstream.racing import Race

NAME = "mx.example.test"
FIRST, SECOND, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@pytest.fixture
def names(monkeypatch):
    """What the system would say; an exception is raised."""
    known: dict[str, list[str] | Exception] = {NAME: [FIRST, SECOND]}

    async def resolve(host, port):
        found = known[host]
        if isinstance(found, Exception):
            raise found
        return list(found)

    monkeypatch.setattr(addresses, "resolve", resolve)
    return known


@asynccontextmanager
async def town(*hosts: str, **gate):
    """A gate in front of mail servers at these addresses, which have one name and one port."""
    async with AsyncExitStack() as stack:
        keywords = KEYWORDS[:-1] if gate.get("identity") is IdentityMode.PROXY else KEYWORDS
        servers = []
        for host in hosts:
            port = servers[0].port if servers else 0
            server = FakeUpstream(
                keywords, name=NAME, host=host, port=port, is_proxied=gate.get("identity") is IdentityMode.PROXY
            )
            servers.append(await stack.enter_async_context(server))
        yield await stack.enter_async_context(Gate(servers[0], **gate)), *servers


def events(gate, event: str) -> list[dict]:
    return [facts for _, said, facts in gate.notes.lines if said == event]


def run(story):
    asyncio.run(asyncio.wait_for(story(), 30))


async def mailed(gate) -> bytes:
    client = await gate.connect()
    return await client.mail()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (CLOSE, "connection closed by the mail server"),
        (b"421 4.3.2 too busy\r\n", "greeting: 421 4.3.2 too busy"),
        (b"554 5.3.2 no service\r\n", "greeting: 554 5.3.2 no service"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not SMTP"),
    ],
)
@pytest.mark.parametrize("identity", [IdentityMode.XCLIENT, IdentityMode.PROXY])
def test_an_address_that_fails_is_passed_over_and_named_with_the_reason(names, fault, reason, identity):
    async def story():
        async with town(FIRST, SECOND, identity=identity) as (gate, first, second):
            first.answers[b"220"] += [fault] * 9
            for _ in range(3):
                assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (0, 3)
            [down] = events(gate, "smtp.address_down")
            assert down["address"] == f"{FIRST}:{first.port}"
            assert down["upstream"] == f"{NAME}:{first.port}"
            assert reason in down["detail"]
            assert events(gate, "smtp.upstream_down") == []
            assert len(first.heard) == 1, "it is not asked again for every letter"

    run(story)


def test_by_proxy_one_that_fails_later_on_is_told_apart_from_a_client_that_it_dislikes(names):
    async def story():
        async with town(FIRST, SECOND, identity=IdentityMode.PROXY) as (gate, first, second):
            assert (await mailed(gate)).startswith(b"250")
            first.answers[b"220"] += [b"554 5.3.2 no service\r\n"] * 2
            assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (1, 1)
            [down] = events(gate, "smtp.address_down")
            assert "greeting: 554 5.3.2 no service" in down["detail"]

    run(story)


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (b"XCLIENT", CLOSE),
        (b"XCLIENT", b"421 4.3.2 busy\r\n"),
        (b"XCLIENT", b"550 5.7.0 insufficient authorization\r\n"),
        (b"MAIL", CLOSE),
        (b"MAIL", b"421 4.3.2 busy\r\n"),
        (b"MAIL", b"421 Service not available\r\n"),
        (b"MAIL", b"530 5.7.0 Must issue a STARTTLS command first\r\n"),
    ],
)
def test_so_is_one_that_lets_the_gate_in_and_then_takes_no_mail(names, verb, answer):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[verb] += [answer] * 9
            for _ in range(3):
                assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (0, 3)
            [down] = events(gate, "smtp.address_down")
            assert down["address"] == f"{FIRST}:{first.port}"
            assert len(first.heard) <= 2, "by a kept connection and a new one, and not again for every letter"

    run(story)


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (b"RCPT", CLOSE),
        (b"RCPT", b"421 4.3.2 busy\r\n"),
        (b"DATA", b"421 4.3.2 busy\r\n"),
        (b"DATA", CLOSE),
        (b".", CLOSE),
    ],
)
def test_what_goes_wrong_behind_mail_is_later_and_the_next_letter_goes_elsewhere(names, verb, answer):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[verb] += [answer] * 9
            client = await gate.connect()
            said = await client.converse(b"MAIL FROM:<ann@sender.example>", b"RCPT TO:<bob@example.org>", b"DATA")
            if said[-1].startswith(b"354"):
                said.append(await client.say(b"Subject: Tea\r\n\r\nHello\r\n."))
            assert said[0].startswith(b"250")
            assert [code for code in (line[:1] for line in said) if code == b"4"]
            for _ in range(2):
                assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (0, 2)

    run(story)


@pytest.mark.parametrize("reply", [b"421 4.3.2 busy\r\n", b"530 5.7.0 Must issue a STARTTLS command first\r\n"])
def test_one_that_was_passed_over_is_said_to_be_back_when_it_takes_mail_again_and_not_before(names, reply):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[b"MAIL"] += [reply] * 9
            for _ in range(3):
                assert (await mailed(gate)).startswith(b"250")
                gate.clock_ahead += 61
                await second.hang_up_on_all()
            assert first.letters == []
            assert len(events(gate, "smtp.address_down")) == 1, "it has not been back meanwhile"
            assert events(gate, "smtp.address_up") == []
            first.answers[b"MAIL"].clear()
            assert (await mailed(gate)).startswith(b"250")
            assert len(first.letters) == 1
            [up] = events(gate, "smtp.address_up")
            assert up["address"] == f"{FIRST}:{first.port}"
            assert up["down_seconds"] >= 183
            assert (await mailed(gate)).startswith(b"250")
            assert len(events(gate, "smtp.address_up")) == 1

    run(story)


def test_a_goodbye_that_is_the_clients_own_is_the_clients_and_takes_nobody_elsewhere(names):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[b"MAIL"] += [b"421 4.7.0 too many errors from you\r\n"] * 2  # once on a kept connection
            client = await gate.connect()
            assert await client.say(b"MAIL FROM:<ann@sender.example>") == b"421 4.7.0 too many errors from you\r\n"
            assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (1, 0)

    run(story)


def test_so_is_one_that_nobody_listens_at(names):
    async def story():
        async with town(SECOND) as (gate, second):
            assert (await mailed(gate)).startswith(b"250")
            assert len(second.letters) == 1
            assert "cannot connect: nobody listens there" in events(gate, "smtp.address_down")[0]["detail"]

    run(story)


def test_so_is_one_that_swallows_what_is_sent_to_it(names):
    async def story():
        async with town(SECOND) as (gate, second):
            with socket.socket() as full, contextlib.ExitStack() as crowd:
                full.bind((FIRST, second.port))
                full.listen(0)
                for _ in range(2):  # then there is no room, and connections are neither taken nor refused
                    one = crowd.enter_context(socket.socket())
                    one.setblocking(False)
                    one.connect_ex((FIRST, second.port))
                assert (await mailed(gate)).startswith(b"250")
                assert (await mailed(gate)).startswith(b"250")
            assert len(second.letters) == 2
            assert events(gate, "smtp.unavailable") == []

    run(story)


def test_one_that_takes_connections_and_is_silent_is_overtaken_and_what_comes_of_it_is_known(names, monkeypatch):
    monkeypatch.setattr(racing, "GREETING_PACE_SECONDS", 0.05)

    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            late = asyncio.Event()
            first.answers[b"220"] += [late]
            assert (await mailed(gate)).startswith(b"250")
            assert (await mailed(gate)).startswith(b"250")
            assert (len(first.heard), len(second.letters)) == (1, 2)
            late.set()
            await first.until(lambda: first.commands)
            await eventually(lambda: gate.pool.idle_count == 2)
            assert events(gate, "smtp.address_down") == []

    run(story)


def test_where_none_answers_each_is_named_and_it_is_later(names):
    names[NAME] = [FIRST, SECOND, THIRD]

    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[b"220"] += [CLOSE] * 9
            second.answers[b"220"] += [b"421 4.3.2 too busy\r\n"] * 9
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
            down = events(gate, "smtp.upstream_down")[0]["detail"]
            for host, reason in (
                (FIRST, "connection closed by the mail server"),
                (SECOND, "greeting: 421"),
                (THIRD, "cannot connect: nobody listens there"),
            ):
                assert f"{host}:{first.port}: {reason}" in down
            assert events(gate, "smtp.unavailable")[-1]["detail"] == down

    run(story)


def test_one_that_is_back_is_the_first_again(names):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            await first.stop()
            assert (await mailed(gate)).startswith(b"250")
            await first.restart()
            assert (await mailed(gate)).startswith(b"250")
            assert len(second.letters) == 2
            gate.clock_ahead += 100
            await second.hang_up_on_all()
            assert (await mailed(gate)).startswith(b"250"), "which is when it is looked at on the side"
            await eventually(lambda: events(gate, "smtp.address_up"))
            assert events(gate, "smtp.address_up")[0]["address"] == f"{FIRST}:{first.port}"
            await second.hang_up_on_all()
            await eventually(lambda: len(first.heard) > 0)
            assert (await mailed(gate)).startswith(b"250")
            assert len(first.letters) >= 1

    run(story)


def test_a_name_that_has_moved_is_followed_and_kept_connections_to_where_it_was_end(names, monkeypatch):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            names[NAME] = [FIRST]
            assert (await mailed(gate)).startswith(b"250")
            names[NAME] = [SECOND]
            gate.clock_ahead += addresses.REFRESH_SECONDS + 1
            await first.hang_up_on_all()
            assert (await mailed(gate)).startswith(b"250"), "the look-up is on the side"
            await eventually(lambda: str(gate.pool._members[0].pool._opener._addresses.known[0]).startswith(SECOND))
            assert (await mailed(gate)).startswith(b"250")
            assert (len(first.letters), len(second.letters)) == (2, 1) or len(second.letters) == 2

    run(story)


def test_where_none_answers_any_more_the_name_is_looked_up_again_soon(names):
    """Some change a name's address when a machine dies."""

    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            names[NAME] = [FIRST]
            assert (await mailed(gate)).startswith(b"250")
            await first.stop()
            await eventually(lambda: not first.open_count)
            names[NAME] = [SECOND]
            client = await gate.connect()
            for _ in range(3):
                gate.clock_ahead += 1.5
                said = await client.say(b"MAIL FROM:<a@example.com>")
                if said.startswith(b"250"):
                    break
                await asyncio.sleep(0.05)
            assert said.startswith(b"250")
            assert second.commands

    run(story)


@pytest.mark.parametrize(
    "trouble",
    [OSError("no network"), socket.gaierror(socket.EAI_NONAME, "x"), TimeoutError(), UnicodeError("no label")],
)
def test_a_dns_that_says_nothing_changes_nothing(names, trouble):
    async def story():
        async with town(FIRST, SECOND) as (gate, first, _second):
            assert (await mailed(gate)).startswith(b"250")
            names[NAME] = trouble
            gate.clock_ahead += addresses.REFRESH_SECONDS + 1
            await first.hang_up_on_all()
            for _ in range(3):
                assert (await mailed(gate)).startswith(b"250")
                await first.hang_up_on_all()

    run(story)


def test_a_name_that_nobody_knows_is_later_and_says_so(names):
    names[NAME] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def story():
        async with town(FIRST) as (gate, first):
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
            assert f"{NAME}: there is no such name in DNS" in events(gate, "smtp.upstream_down")[0]["detail"]
            names[NAME] = [FIRST]
            gate.clock_ahead += 100
            assert (await mailed(gate)).startswith(b"250")
            assert len(first.letters) == 1

    run(story)


def test_a_client_that_is_refused_at_one_address_is_not_taken_to_the_next(names):
    async def story():
        async with town(FIRST, SECOND, identity=IdentityMode.PROXY) as (gate, first, second):
            client = await gate.connect(b"EHLO bad_name")
            heard = len(second.heard)
            first.answers[b"EHLO"].append(b"550 5.7.1 bad name\r\n")
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"550 5.7.1 bad name")
            assert len(second.heard) == heard
            assert events(gate, "smtp.address_down") == []

    run(story)


def test_the_second_family_is_tried_where_the_first_has_no_way(names):
    names[NAME] = ["::1", FIRST]

    async def story():
        async with town(FIRST) as (gate, first):
            assert (await mailed(gate)).startswith(b"250")
            assert len(first.letters) == 1
            assert events(gate, "smtp.address_down")[0]["address"] == f"[::1]:{first.port}"

    run(story)


def test_a_gate_that_stops_while_an_address_is_awaited_leaves_nothing_behind(names, monkeypatch):
    monkeypatch.setattr(racing, "GREETING_PACE_SECONDS", 0.05)

    async def story():
        async with town(FIRST, SECOND) as (gate, first, second):
            first.answers[b"220"] += [HANG]
            second.answers[b"220"] += [HANG]
            client = await gate.connect(b"")
            await client.reply()
            client.send(b"EHLO client.example.com\r\nMAIL FROM:<a@example.com>\r\n")
            await eventually(lambda: first.heard and second.heard)

    run(story)


hosts = st.lists(
    st.sampled_from([f"192.0.2.{n}" for n in range(6)] + [f"2001:db8::{n}" for n in range(6)]), unique=True
)


@given(hosts)
def test_families_take_turns_and_keep_their_order(hosts):
    found = [one.host for one in interleaved(Address(host, 25) for host in hosts)]
    assert sorted(found) == sorted(hosts)
    for is_six in (False, True):
        assert [one for one in found if (":" in one) == is_six] == [one for one in hosts if (":" in one) == is_six]
    if found:
        assert found[0] == hosts[0]
    several = min(sum(":" in one for one in hosts), sum(":" not in one for one in hosts))
    for place in range(2 * several - 1):
        assert (":" in found[place]) != (":" in found[place + 1])


class Attempts:
    """Begun at several addresses; a test says what comes of each, and sees what is left behind."""

    def __init__(self):
        self.begun: list[asyncio.Task] = []
        self.ends: list[asyncio.Future] = []
        self.left: list[asyncio.Task] = []
        self.race = Race(
            [Address(FIRST, 25), Address(SECOND, 25)], self.begin, lambda attempt, _: self.left.append(attempt)
        )

    def begin(self, _address, _connected):
        end = asyncio.get_running_loop().create_future()

        async def attempt():
            return await end

        self.ends.append(end)
        self.begun.append(asyncio.get_running_loop().create_task(attempt()))
        return self.begun[-1]

    async def both_begun(self):
        """Begin the race, until both attempts are under way."""
        racing_now = asyncio.get_running_loop().create_task(self.race.won())
        await eventually(lambda: len(self.begun) == 2)
        return racing_now


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(racing, "CONNECT_PACE_SECONDS", 0.0)
    monkeypatch.setattr(racing, "GREETING_PACE_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_connection_that_comes_at_the_moment_of_a_refusal_is_not_left_open():
    async def story():
        attempts = Attempts()
        racing_now = await attempts.both_begun()
        attempts.ends[0].set_exception(Refused(Reply(554, (b"no",))))
        attempts.ends[1].set_result("a connection")
        with pytest.raises(Refused):
            await racing_now
        assert attempts.left == [attempts.begun[1]]

    run(story)


@pytest.mark.usefixtures("at_once")
def test_a_connection_that_comes_at_the_moment_somebody_gives_up_is_not_left_open():
    async def story():
        attempts = Attempts()
        racing_now = await attempts.both_begun()
        attempts.begun[1].add_done_callback(lambda _: racing_now.cancel())
        attempts.ends[1].set_result("a connection")
        await asyncio.wait([racing_now])
        assert racing_now.cancelled()
        assert attempts.left == [attempts.begun[1]]

    run(story)
