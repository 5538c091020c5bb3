"""A restored ledger begins a new epoch of its chain: every back end commits to it, and no number is signed twice alike."""

import asyncio
import hashlib

from tests.support.ledgerworld import DAY, NOW, RECEIVER, order, settle_of

from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.proofs.chain import EPOCHS_MAX, Epoch, Totals
from pennyred.postage.proofs.merkle import root_from

ONE, OTHER = b"\x01" * 16, b"\x02" * 16


async def spend(world, *orders, after=0):
    await world.hold_all(list(orders), after=after)
    await world.ledger.settle(RECEIVER, [settle_of(one) for one in orders], now=NOW + after)


def test_links_behind_a_restore_commit_to_it_and_those_before_do_not(tell):
    async def story(world):
        before, after = order("s1"), order("s2", "l2")
        await spend(world, before)
        last = await world.ledger.head()
        begun = await world.ledger.begin_epoch(ONE, now=NOW + 5)
        epoch = Epoch(ONE, last.number, NOW + 5)
        assert (begun.number, begun.previous, begun.totals, begun.count) == (last.number + 1, last.hash, last.totals, 0)
        assert begun.epochs == (epoch,)
        await spend(world, after, after=6)
        uses = await world.ledger.uses([before.key, after.key])
        assert [one.head.epochs for one in uses] == [(), (epoch,)]
        for one in uses:
            assert root_from(one.use.detail, one.index, one.head.count, one.path) == one.head.root
        head = await world.ledger.head()
        assert (head, head.previous) == (uses[1].head, begun.hash)
        assert await world.ledger.head_of(last.number) == last
        assert await world.ledger.head_of(begun.number) == begun
        assert await world.ledger.head_of(head.number + 1) is None

    tell(story)


def test_the_same_links_after_two_restores_of_one_backup_are_told_apart(tell):
    """Same number, same content: only the epoch's id differs."""
    hashes = []

    async def story(world):
        epoch_id = hashlib.sha256(b"%d" % len(hashes)).digest()[:16]
        begun = await world.ledger.begin_epoch(epoch_id, now=NOW)
        hashes.append(begun.hash)

    tell(story)
    tell(story)
    assert len(set(hashes)) == 2


def test_an_epoch_is_begun_once_by_whoever_notices_first(tell):
    async def story(world):
        begun = await world.ledger.begin_epoch(ONE, after=(), now=NOW)
        assert await world.ledger.begin_epoch(OTHER, after=(), now=NOW + 1) == begun
        again = await world.ledger.begin_epoch(OTHER, after=begun.epochs, now=NOW + 2)
        assert [one.id for one in again.epochs] == [ONE, OTHER]

    tell(story)


def test_a_ledger_without_a_link_begins_with_one(new_ledger):
    async def story():
        ledger = await new_ledger()
        begun = await ledger.begin_epoch(ONE, after=(), now=NOW)
        assert (begun.number, begun.previous, begun.totals) == (1, bytes(32), Totals())
        assert begun.epochs == (Epoch(ONE, 0, NOW),)
        assert (await ledger.audit()).balanced
        await ledger.close()

    asyncio.run(story())


def test_a_head_names_so_many_epochs_and_no_more(tell):
    async def story(world):
        for number in range(EPOCHS_MAX + 3):
            head = await world.ledger.begin_epoch(bytes([number]) * 16, now=NOW + number)
        assert [one.id[0] for one in head.epochs] == list(range(3, EPOCHS_MAX + 3))
        await spend(world, order())
        assert (await world.ledger.head()).epochs == head.epochs

    tell(story)


def test_details_are_forgotten_and_epochs_are_not(tell):
    async def story(world):
        begun = await world.ledger.begin_epoch(ONE, now=NOW)
        await spend(world, order())
        while (await world.ledger.sweep(now=NOW + 40 * DAY, until=NOW + 40 * DAY)).is_more:
            pass
        assert (await world.ledger.head()).epochs == begun.epochs

    tell(story)


def test_the_audit_sees_an_epoch_that_was_altered(tmp_path):
    import apsw

    async def audited():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        try:
            return (await ledger.audit()).balanced
        finally:
            await ledger.close()

    async def begin():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        await ledger.begin_epoch(ONE, now=NOW)
        await ledger.close()

    asyncio.run(begin())
    assert asyncio.run(audited())
    for crime in ("UPDATE epoch SET id = randomblob(16)", "UPDATE epoch SET at = at + 1", "DELETE FROM epoch"):
        database = apsw.Connection(str(tmp_path / "ledger.db"))
        database.execute(crime)
        database.close()
        assert not asyncio.run(audited()), crime


def test_a_move_takes_the_epochs_along_and_the_next_link_is_the_same(tmp_path, postgres_database):
    from tests.support.postgres import any_version

    from pennyred.office.ledger.moving import move

    url = postgres_database(any_version())

    async def story():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        for number in range(EPOCHS_MAX + 1):
            head = await ledger.begin_epoch(bytes([number]) * 16, now=NOW + number)
        await ledger.close()
        await move(tmp_path / "ledger.db", url, now=NOW, note=lambda _: None)
        target = await PostgresLedger.open(url, now=NOW)
        try:
            assert await target.head() == head
            await target.open_account("ann", "ann@sender.example", b"k" * 32, 1000, now=NOW)
            await target.credit("ann", 1, "first", now=NOW)
            after = await target.head()
            assert (after.previous, after.epochs) == (head.hash, head.epochs)
            assert (await target.audit()).balanced
        finally:
            await target.close()

    asyncio.run(story())


def test_a_trial_copy_is_marked_as_two_ledgers_go_on(tmp_path, postgres_database):
    from tests.support.postgres import any_version

    from pennyred.office.ledger.moving import move

    url = postgres_database(any_version())

    async def story():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        await ledger.open_account("ann", "ann@sender.example", b"k" * 32, 1000, now=NOW)
        await ledger.credit("ann", 1, "first", now=NOW)
        await ledger.close()
        await move(tmp_path / "ledger.db", url, now=NOW, note=lambda _: None, is_trial=True)
        source = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        target = await PostgresLedger.open(url, now=NOW)
        try:
            assert (await source.head()).epochs == ()
            assert len((await target.head()).epochs) == 1
        finally:
            await source.close()
            await target.close()

    asyncio.run(story())
