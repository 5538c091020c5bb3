"""The journal's chain: every back end proves what a stamp was used for, and its audit sees what was altered."""

import asyncio

import apsw
import pytest
from tests.support.ledgerworld import DAY, DOMAIN, NOW, RECEIVER, SENDER, TODAY, LedgerWorld, order, settle_of

from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.proofs.chain import Totals, Use
from pennyred.postage.proofs.merkle import root_from


def use_of(one, *, at=NOW):
    return Use(*one.key, one.letter, RECEIVER, one.domain, one.price, at)


def test_a_settled_stamp_has_a_proof_of_its_use(tell):
    async def story(world):
        some = [order(f"s{number}", f"letter {number}") for number in range(5)]
        await world.hold_all(some)
        await world.ledger.settle(RECEIVER, [settle_of(one) for one in some], now=NOW)
        for one, sealed in zip(some, await world.ledger.uses([one.key for one in some]), strict=True):
            assert sealed.use == use_of(one)
            leaf = sealed.use.detail
            assert root_from(leaf, sealed.index, sealed.head.count, sealed.path) == sealed.head.root

    tell(story)


def test_what_was_not_settled_has_none(tell):
    async def story(world):
        held, voided = order("held"), order("voided")
        await world.hold_all([held, voided])
        await world.void(voided)
        assert await world.ledger.uses([held.key, voided.key, order("unseen").key]) == [None, None, None]

    tell(story)


def test_a_refund_leaves_the_proof_of_the_first_use(tell):
    async def story(world):
        one = order()
        await world.hold(one)
        await world.settle(one)
        await world.refund(one, after=9)
        (sealed,) = await world.ledger.uses([one.key])
        assert sealed.use == use_of(one)

    tell(story)


def test_the_newest_head_has_the_totals(tell):
    async def story(world):
        one, other = order("s1"), order("s2")
        before = await world.ledger.head()
        assert before.totals == Totals(sold=20)
        await world.hold_all([one, other])
        assert await world.ledger.head() == before, "a hold moves nothing"
        await world.ledger.settle(RECEIVER, [settle_of(one), settle_of(other)], now=NOW + 1)
        await world.refund(other, after=2)
        head = await world.ledger.head()
        assert head.totals == Totals(sold=20, settled=2, refunded=1)
        assert head.number == before.number + 2

    tell(story)


def test_a_sale_out_of_a_receiver_s_credit_is_a_link_but_no_new_stamps(tell):
    async def story(world):
        one = order()
        await world.hold(one)
        await world.settle(one)
        before = await world.ledger.head()
        await world.ledger.credit(SENDER, 1, "bought with credit", now=NOW, source=f"receiver:{RECEIVER}")
        head = await world.ledger.head()
        assert (head.number, head.totals) == (before.number + 1, before.totals)

    tell(story)


def test_details_go_with_their_day_and_the_chain_stays(tell):
    async def story(world):
        one = order(expiry_day=TODAY)
        await world.hold(one)
        await world.settle(one)
        later = NOW + 30 * DAY
        while (await world.ledger.sweep(now=later, until=later)).is_more:
            pass
        assert await world.ledger.uses([one.key]) == [None]
        assert (await world.ledger.head()).totals.settled == 1

    tell(story)


ALTERATIONS = {
    "a use that was another": "UPDATE stamp_{day} SET domain = 'other.example'",
    "a use at another's place": "UPDATE stamp_{day} SET place = place + 1",
    "a detail exchanged": "UPDATE detail SET hashes = randomblob(32)",
    "a detail left out": "DELETE FROM detail WHERE number = (SELECT max(number) FROM detail)",
    "a total altered": "UPDATE batch SET settled = 0",
    "a time altered": "UPDATE batch SET at = at - 1 WHERE number = 2",
    "a link left out": "DELETE FROM batch WHERE number = 2",
    "the last link left out": "DELETE FROM batch WHERE number = (SELECT max(number) FROM batch)",
    "a link exchanged, its own hash made to fit": "UPDATE batch SET hash = randomblob(32) WHERE number = 1",
}


@pytest.mark.parametrize("alteration", ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_the_audit_sees_what_was_altered(alteration, tmp_path):
    async def story():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        world = LedgerWorld(ledger)
        await world.prepare()
        one = order()
        await world.hold(one)
        await world.settle(one)
        assert (await ledger.audit()).balanced
        await ledger.close()
        database = apsw.Connection(str(tmp_path / "ledger.db"))
        database.execute(alteration.format(day=TODAY + 3))
        database.close()
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        audit = await ledger.audit()
        await ledger.close()
        assert not audit.balanced
        assert any("batch" in sentence or "chain" in sentence for sentence in audit.differences)

    asyncio.run(story())


def test_a_journal_from_before_the_chain_is_given_its_first_link(tmp_path):
    """A ledger as the first version of the schema left it, with a stamp settled and one held."""

    async def story():
        path = tmp_path / "ledger.db"
        ledger = SqliteLedger.open(path, now=NOW)
        world = LedgerWorld(ledger)
        await world.prepare()
        old, held, new = order("old"), order("held", "l2"), order("new", "l3")
        await world.hold_all([old, held])
        await world.settle(old)
        await ledger.close()
        database = apsw.Connection(str(path))
        database.execute(
            f"ALTER TABLE stamp_{TODAY + 3} DROP COLUMN place; DROP TABLE detail; DROP TABLE batch; DROP TABLE answer; DROP TABLE revocation;"
            "DROP TABLE epoch; DROP TABLE passed_time; DROP TABLE passed_clock"
        ).fetchall()
        database.execute(
            "CREATE TABLE old AS SELECT account, abs(entry_id) AS entry_id, amount, balance FROM posting;"
            "DROP TABLE posting; ALTER TABLE old RENAME TO posting; UPDATE entry SET id = abs(id)"
        ).fetchall()
        database.execute("DELETE FROM schema_migration WHERE number > 1")
        database.close()

        from pennyred.office.ledger.sqlite import migrate_ledger

        assert 2 in migrate_ledger(path, now=NOW + 5)
        ledger = SqliteLedger.open(path, now=NOW)
        world = LedgerWorld(ledger)
        head = await ledger.head()
        assert (head.number, head.count, head.totals) == (1, 0, Totals(sold=20, settled=1))
        await world.hold(new)
        await world.settle(held)
        await world.settle(new)
        uses = await ledger.uses([old.key, held.key, new.key])
        assert uses[0] is None
        assert [one.use.domain for one in uses[1:]] == [DOMAIN, DOMAIN]
        audit = await ledger.audit()
        assert audit.balanced, audit.differences
        await ledger.close()

    asyncio.run(story())
