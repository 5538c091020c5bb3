"""The ledger behind its socket: who is let in, what a rude caller can do to others, and what a restart does to all."""

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop
from tests.support.ledgerworld import DAY, LEASE, NOW, RECEIVER, LedgerWorld, order, settle_of, void_of
from tests.support.memory_ledger import MemoryLedger
from tests.support.other_user import as_other_user, open_folder
from tests.support.served_ledger import Owner

from pennyred.office.ledger.remote import back, caller, connection, place, server
from pennyred.office.ledger.remote.accounting import FindAccount
from pennyred.office.ledger.remote.asks import VERSION, Hello
from pennyred.office.ledger.remote.frames import FRAME_BYTES_MAX, frame_of
from pennyred.office.ledger.remote.inhand import HOLDS_MAX, HoldsInHand
from pennyred.office.ledger.remote.ledger import RemoteLedger
from pennyred.postage.errors import OutcomeUnknown, Unavailable
from pennyred.postage.redemption import HoldAnswer, HoldOutcome, SettleOutcome

SOON = 20.0
"""Seconds after which a test gives up."""
HELD = HoldOutcome.HELD


class Told(MemoryLedger):
    """A ledger in memory that says what it was asked, and that can be made to wait or to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def hold(self, receiver, orders, *, now, is_lasting=True):
        self.asked.append(f"hold {receiver}" if is_lasting else "passing hold")
        await self.may_answer.wait()
        return await super().hold(receiver, orders, now=now, is_lasting=is_lasting)

    async def settle(self, receiver, settles, *, now):
        self.asked.append("settle")
        outcomes = await super().settle(receiver, settles, now=now)
        await self.may_answer.wait()
        return outcomes

    async def credit(self, *arguments, **more):
        self.asked.append("credit")
        outcome = await super().credit(*arguments, **more)
        await self.may_answer.wait()
        return outcome

    async def account(self, account):
        self.asked.append(account)
        await self.may_answer.wait()
        if account == "broken":
            raise ZeroDivisionError
        return await super().account(account)


async def prepared() -> Told:
    ledger = Told()
    await LedgerWorld(ledger).prepare(balance=100)
    ledger.asked.clear()
    return ledger


@contextlib.asynccontextmanager
async def served(folder: Path, count: int = 1, behind: Told | None = None):
    """An owner, and so many workers that ask it."""
    owner = Owner(behind or await prepared(), folder)
    owner.start()
    askers = [await RemoteLedger.open(owner.socket, worker=number) for number in range(count)]
    try:
        yield owner, *askers
    finally:
        if isinstance(owner.behind, Told):
            owner.behind.may_answer.set()
        for asker in askers:
            await asker.close()
        owner.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a story in a loop of its own, and gives up where it never ends. Commands and services have different loops."""

    def run(story) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(story, SOON))

    return run


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 - of things that tell nobody
        await asyncio.sleep(0.005)


async def raw(owner: Owner, *frames: bytes):
    """A connection that says what it likes."""
    reader, writer = await asyncio.open_unix_connection(str(owner.socket))
    writer.write(b"".join(frames))
    return reader, writer


# who is let in


def test_the_socket_is_for_the_services_user_alone_from_its_first_instant(tmp_path):
    with contextlib.closing(place.listen(tmp_path / "ledger.db.socket")):
        mode = (tmp_path / "ledger.db.socket").stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db.socket"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_user_is_turned_away_even_where_the_file_lets_him_in():
    folder = open_folder("pennyred-socket-")
    listener = place.listen(folder / "socket")
    (folder / "socket").chmod(0o666)
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{folder}/socket'); print(s.recv(1))"
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    with subprocess.Popen([*as_other_user(), python, "-c", script], stdout=subprocess.PIPE, cwd="/") as stranger:
        listener.socket.setblocking(True)
        assert place.accept(listener.socket, {0}) is None
        assert stranger.stdout.read() == b"b''\n"
    listener.close()


def test_nobody_asks_a_process_of_another_user(tmp_path, monkeypatch):
    """Its answers would be believed."""
    with contextlib.closing(place.listen(tmp_path / "socket")):
        monkeypatch.setattr(place, "peer_of", lambda _: 12345)
        with pytest.raises(Unavailable, match="another user"):
            place.call(tmp_path / "socket")


@pytest.mark.parametrize("name", ["ledger.db", "l" * 240, "Bücher " * 30])
def test_a_socket_is_reached_at_any_path_that_a_ledger_can_have(tmp_path, run, name):
    """An address of a Unix socket has room for 107 octets."""
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()

    async def story() -> None:
        socket_place = place.socket_of(folder / name)
        assert socket_place.parent == folder
        owner = Owner(await prepared(), folder)
        owner.listener.close()
        owner.listener = place.listen(socket_place)
        owner.start()
        asker = await RemoteLedger.open(socket_place)
        assert await asker.account("nobody") is None
        await asker.close()
        owner.close()

    run(story())


def test_every_link_to_a_ledger_leads_to_its_socket(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
    assert place.socket_of(tmp_path / "link.db") == place.socket_of(tmp_path / "ledger.db")


def test_where_nobody_listens_any_more_there_is_no_caller(tmp_path):
    place.listen(tmp_path / "socket").close()
    assert place.call(tmp_path / "socket") is None
    assert place.call(tmp_path / "none") is None


def test_who_listens_takes_the_place_of_a_dead_one_and_removes_only_its_own(tmp_path):
    first = place.listen(tmp_path / "socket")
    second = place.listen(tmp_path / "socket")
    first.remove()
    with contextlib.closing(place.call(tmp_path / "socket")):
        pass
    second.remove()
    assert list(tmp_path.iterdir()) == []


# rude callers


@pytest.mark.parametrize(
    "words",
    [
        (FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
        frame_of(Hello(0, VERSION)) + frame_of(["no such thing", 1]),
        frame_of(Hello(0, VERSION)) + frame_of(["hold", 1, RECEIVER, [["too", "short"]], NOW]),
        frame_of(Hello(0, VERSION)) + b"\0\0\0\1\xc1",
        frame_of(Hello(0, VERSION)) + frame_of(Hello(0, VERSION)),
        frame_of(FindAccount(1, "nobody")),
        b"EHLO client.example\r\n",
    ],
)
def test_who_does_not_follow_the_rules_is_cut_off_and_nobody_else(tmp_path, run, words):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            reader, writer = await raw(owner, words)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            assert (await asker.hold(RECEIVER, [order()], now=NOW))[0].outcome is HELD
            writer.close()

    run(story())


def test_another_version_is_told_so(tmp_path, run, monkeypatch):
    async def story() -> None:
        async with served(tmp_path) as (owner, _):
            monkeypatch.setattr(connection, "VERSION", VERSION + 1)
            with pytest.raises(Unavailable, match="another version"):
                await RemoteLedger.open(owner.socket, seconds=0.5)

    run(story())


def test_a_number_that_no_message_has_room_for_harms_only_its_own_ask(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (_, asker):
            silly = order("silly", expiry_day=2**70)
            answers = await asyncio.gather(
                asker.hold(RECEIVER, [order("s1")], now=NOW),
                asker.hold(RECEIVER, [silly], now=NOW),
                asker.settle(RECEIVER, [settle_of(silly)], now=NOW),
                asker.void(RECEIVER, [void_of(silly)], now=NOW),
                asker.hold(RECEIVER, [order("s2", price=2**80)], now=NOW),
                asker.hold(RECEIVER, [order("s3")], now=NOW),
            )
            assert [str(one[0].outcome if isinstance(one[0], HoldAnswer) else one[0]) for one in answers] == [
                "held", "invalid", "no-such-hold", "not-held", "over-cap", "held",
            ]  # fmt: skip

    run(story())


def test_who_reads_no_answers_is_read_no_more_and_then_cut_off_while_others_are_served(tmp_path, run, monkeypatch):
    monkeypatch.setattr(caller, "UNREAD_SECONDS_MAX", 0.3)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            rude = socket.socket(socket.AF_UNIX)
            rude.setblocking(False)
            rude.connect(str(owner.socket))
            rude.send(frame_of(Hello(0, VERSION)))
            frame, sent, is_cut = frame_of(FindAccount(1, "x" * 1000)), 0, False
            while not is_cut:
                with contextlib.suppress(BlockingIOError):
                    try:
                        sent += rude.send(frame * 100)
                    except (ConnectionResetError, BrokenPipeError):
                        is_cut = True
                assert (await asker.settle(RECEIVER, [settle_of(order())], now=NOW)) == ["no-such-hold"]
            assert sent < 10**9
            rude.close()

    run(story())


def test_of_one_caller_no_more_is_read_than_may_wait(tmp_path, run, monkeypatch):
    monkeypatch.setattr(caller, "ASKS_PER_CALLER_MAX", 10)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.behind.may_answer.clear()
            many = [frame_of(FindAccount(number, "x" * 50_000)) for number in range(100)]
            reader, writer = await raw(owner, frame_of(Hello(0, VERSION)))
            await reader.readexactly(4)
            for frame in many:
                writer.write(frame)
            await until(lambda: len(owner.behind.asked) >= 10)
            await asyncio.sleep(0.1)
            assert len(owner.behind.asked) < 20
            owner.behind.may_answer.set()
            await until(lambda: len(owner.behind.asked) == 100)
            assert await asker.account("nobody") is None
            writer.close()

    run(story())


def test_connections_are_asked_in_rotation_and_a_turn_takes_so_much(tmp_path, run, monkeypatch):
    monkeypatch.setattr(server, "STAMPS_PER_TURN_MAX", 4)

    async def story() -> None:
        async with served(tmp_path, 2) as (owner, one, two):
            owner.behind.may_answer.clear()
            asks = [asyncio.create_task(one.account(f"one {number}")) for number in range(40)]
            await asyncio.sleep(0)
            asks += [asyncio.create_task(two.account("two")), asyncio.create_task(two.account("two"))]
            await until(lambda: len(owner.behind.asked) == 42)
            owner.behind.may_answer.set()
            await asyncio.gather(*asks)
            assert max(place for place, what in enumerate(owner.behind.asked) if what == "two") < 30

    run(story())


def test_a_mistake_in_the_ledger_is_written_down_and_answers_everybody(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            bad, good = asker.account("broken"), asker.account("nobody")
            trouble, found = await asyncio.gather(bad, good, return_exceptions=True)
            assert isinstance(trouble, Unavailable)
            assert not trouble.is_silence, "no letter is accepted on trust because of it"
            assert found is None
            [(event, facts)] = owner.log.lines
            assert (event, facts["work"]) == ("service.broken_off", "ledger FindAccount")

    run(story())


def test_what_the_ledger_refuses_as_a_mistake_of_the_caller_is_raised_there(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (_, asker):
            await asker.create_vouchers([bytes(32)], 1, now=NOW)
            with pytest.raises(ValueError, match="exist"):
                await asker.create_vouchers([bytes(32)], 1, now=NOW)
            with pytest.raises(ValueError, match="number of stamps"):
                await asker.credit("x", 0, "", now=NOW)
            with pytest.raises(UnicodeEncodeError):
                await asker.account("\udc80")
            assert await asker.account("nobody") is None

    run(story())


# too much, too late


def test_beyond_what_may_wait_later_is_said_at_once(tmp_path, run, monkeypatch):
    monkeypatch.setattr(connection, "ASKS_WAITING_MAX", 5)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            assert await asker.account("nobody") is None
            owner.behind.may_answer.clear()
            asks = [asyncio.create_task(asker.account("nobody")) for _ in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(Unavailable, match="too many"):
                await asker.account("nobody")
            owner.behind.may_answer.set()
            assert await asyncio.gather(*asks) == [None] * 5
            assert await asker.account("nobody") is None

    run(story())


def test_every_ask_ends(tmp_path, run, monkeypatch):
    """Also where the other process has it and says nothing."""
    monkeypatch.setattr(FindAccount, "seconds", 0.2)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.behind.may_answer.clear()
            with pytest.raises(Unavailable, match="in time"):
                await asker.account("nobody")
            owner.behind.may_answer.set()
            assert await asker.account("nobody") is None, "its late answer is nobody else's"

    run(story())


def test_a_full_backlog_is_waited_for(tmp_path, run):
    """A connection beyond it is refused with EAGAIN, which a Unix socket never takes back by itself."""

    async def story() -> None:
        owner = Owner(await prepared(), tmp_path)
        owner.listener.socket.listen(1)
        crowd = []
        with contextlib.suppress(BlockingIOError):
            while True:
                crowd.append(place.call(owner.socket))
        assert 0 < len(crowd) < 10
        opening = asyncio.create_task(RemoteLedger.open(owner.socket))
        await asyncio.sleep(0.05)
        assert not opening.done()
        owner.start()
        asker = await opening
        assert await asker.account("nobody") is None
        for one in crowd:
            one.close()
        await asker.close()
        owner.close()

    run(story())


def test_no_more_connections_than_that_are_kept(tmp_path, run, monkeypatch):
    monkeypatch.setattr(server, "CALLERS_MAX", 3)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            crowd = [await raw(owner) for _ in range(5)]
            ended = [asyncio.create_task(reader.read()) for reader, _ in crowd]
            await until(lambda: sum(task.done() for task in ended) == 3)
            assert await asker.account("nobody") is None
            for _, writer in crowd:
                writer.close()

    run(story())


# the process is killed, and started again


def test_what_is_asked_meanwhile_waits_for_the_next_process(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.die()
            await until(lambda: asker._connection.losses)
            asks = [asyncio.create_task(asker.hold(RECEIVER, [order(f"s{n}")], now=NOW)) for n in range(5)]
            await asyncio.sleep(0.05)
            assert not any(ask.done() for ask in asks)
            owner.start()
            assert [(await ask)[0].outcome for ask in asks] == [HELD] * 5

    run(story())


def test_a_process_that_does_not_come_back_is_not_waited_for_by_every_letter(tmp_path, run, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.1)

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.die()
            with pytest.raises(Unavailable):
                await asker.account("nobody")
            for _ in range(3):
                asking = asyncio.create_task(asker.account("nobody"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert asking.done()
                assert isinstance(asking.exception(), Unavailable)
            owner.start()
            while True:
                with contextlib.suppress(Unavailable):
                    assert await asker.account("nobody") is None
                    break
                await asyncio.sleep(0.01)

    run(story())


def test_a_settlement_whose_answer_was_lost_is_asked_again_and_counts_once(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            await asker.hold(RECEIVER, [order()], now=NOW)
            owner.behind.may_answer.clear()
            settling = asyncio.create_task(asker.settle(RECEIVER, [settle_of(order())], now=NOW))
            await until(lambda: "settle" in owner.behind.asked)
            owner.die()
            owner.behind.may_answer.set()
            await until(lambda: asker._connection.losses)
            owner.start()
            assert await settling == [SettleOutcome.ALREADY_SETTLED]
            assert (await owner.behind.audit()).settled == 1

    run(story())


def test_a_credit_whose_answer_was_lost_is_not_repeated(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.behind.may_answer.clear()
            crediting = asyncio.create_task(asker.credit("sender0000000000", 5, "", now=NOW))
            await until(lambda: "credit" in owner.behind.asked)
            owner.die()
            owner.behind.may_answer.set()
            with pytest.raises(OutcomeUnknown):
                await crediting
            owner.start()
            await asker.account("nobody")
            assert owner.behind.asked.count("credit") == 1

    run(story())


def test_what_is_in_hand_is_held_again_by_a_process_that_has_forgotten_it(tmp_path, run):
    """Under the same tx; what was settled or given back is not, nor what has come to the end of its lease. What was to
    last is in the books, whatever happens to the process.
    """

    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            held = [order(f"s{n}", letter=f"letter {n}", tx=f"t{n}") for n in range(4)]
            held.append(order("short", lease_until=NOW + 10))
            for one in held:
                await asker.hold(RECEIVER, [one], now=NOW, is_lasting=False)
            await asker.settle(RECEIVER, [settle_of(held[0])], now=NOW)
            await asker.void(RECEIVER, [void_of(held[1])], now=NOW)
            await asker.hold(RECEIVER, [order("last")], now=NOW + 11, is_lasting=False)
            await asker.hold(RECEIVER, [order("lasting")], now=NOW + 11)
            assert owner.behind.asked[-2:] == ["passing hold", f"hold {RECEIVER}"]
            owner.die()
            owner.behind = await prepared()
            owner.start()
            world = LedgerWorld(asker)
            assert await world.figures() == (97, 3)
            other = order("s2", letter="another letter", tx="another")
            assert await world.hold(other, after=12) == "in-progress"
            assert await world.void(held[3], after=12) == "voided", "under its tx"
            assert await world.settle(held[2], after=12) == "settled"

    run(story())


def test_nobody_slips_in_before_all_have_come_back(tmp_path, run):
    """The stamp of a letter under way in one worker is not another letter's in a worker that is quicker."""

    async def story() -> None:
        async with served(tmp_path, 1) as (owner, slow):
            await slow.hold(RECEIVER, [order(letter="under way")], now=NOW, is_lasting=False)
            owner.die()
            await until(lambda: slow._connection.losses)
            slow._connection._keeper.cancel()  # it does not come back yet
            owner.behind = await prepared()
            owner.start(awaited={0, 1})
            quick = await RemoteLedger.open(owner.socket, worker=1)
            thief = asyncio.create_task(quick.hold(RECEIVER, [order(letter="another", tx="t2")], now=NOW))
            voiding = asyncio.create_task(quick.void(RECEIVER, [void_of(order(letter="another", tx="t2"))], now=NOW))
            assert await quick.account("nobody") is None, "whatever holds nothing goes on"
            assert owner.behind.asked == ["nobody"]
            slow._connection._keeper = asyncio.create_task(
                slow._connection._keep(asyncio.get_running_loop().create_future())
            )
            assert (await thief)[0].outcome is HoldOutcome.IN_PROGRESS
            assert await voiding == ["not-held"]
            await quick.close()

    run(story())


def test_a_worker_that_never_comes_back_is_waited_for_only_so_long(tmp_path, run, monkeypatch):
    monkeypatch.setattr(back, "GRACE_SECONDS", 0.1)

    async def story() -> None:
        owner = Owner(await prepared(), tmp_path)
        owner.start(awaited={0, 1, 2})
        asker = await RemoteLedger.open(owner.socket, worker=0)
        answers = await asyncio.gather(*(asker.hold(RECEIVER, [order(f"s{n}")], now=NOW) for n in range(20)))
        assert [one[0].outcome for one in answers] == [HELD] * 20
        await asker.close()
        owner.close()

    run(story())


def test_of_holds_no_more_are_remembered_than_that_and_none_beyond_its_lease():
    in_hand, held = HoldsInHand(), [HoldAnswer(HELD)]
    for number in range(HOLDS_MAX + 500):
        in_hand.note(RECEIVER, [order(f"s{number}")], held, NOW)
    assert len(in_hand) == HOLDS_MAX
    [(_, last, _), *_] = reversed(list(in_hand.to_hold_again()))
    assert last[-1].key == order(f"s{HOLDS_MAX + 499}").key
    assert len({one.group for one in last}) == len(last)
    in_hand.note(RECEIVER, [order("later", lease_until=NOW + 10 * DAY)], held, NOW + LEASE)
    assert len(in_hand) == 1


def test_a_server_that_stops_answers_first_what_was_asked(tmp_path, run):
    async def story() -> None:
        async with served(tmp_path) as (owner, asker):
            owner.behind.may_answer.clear()
            asks = [asyncio.create_task(asker.hold(RECEIVER, [order(f"s{n}")], now=NOW)) for n in range(50)]
            await until(lambda: len(owner.behind.asked) == 50)
            stopping = asyncio.create_task(owner.server.stop())
            await asyncio.sleep(0.01)
            owner.behind.may_answer.set()
            assert [(await ask)[0].outcome for ask in asks] == [HELD] * 50
            await stopping

    run(story())
