"""Every back end knows who may ask, and what it has told them."""

import pytest
from tests.support.ledgerworld import DAY, DOMAIN, NOW, OTHER_DOMAIN, RECEIVER, order, some_bytes

from pennyred.office.ledger import callers
from pennyred.office.ledger.callers import ANSWER_LIFE_SECONDS, KeptAnswer
from pennyred.postage.licence import Revocations, fingerprint

NAME = some_bytes("name", 32)
ONE, OTHER = KeptAnswer(bytes(32), b"one"), KeptAnswer(bytes(32), b"other")


def test_a_receiver_may_be_given_more_domains_and_redeems_for_them(tell):
    async def story(world):
        one = order(domain=OTHER_DOMAIN)
        assert await world.hold(one) == "wrong-receiver"
        for _ in range(2):
            assert await world.ledger.add_domain(RECEIVER, OTHER_DOMAIN) == "added"
        receiver = await world.ledger.receiver_by_token(some_bytes("token", 32))
        assert receiver.domains == (DOMAIN, OTHER_DOMAIN)
        assert await world.hold(one) == "held"
        assert await world.ledger.add_domain("nobody", OTHER_DOMAIN) == "unknown-receiver"

    tell(story)


def test_a_receiver_that_is_added_again_with_its_own_token_is_not_taken_for_anothers(tell):
    """So a database does it where the answer to COMMIT was lost: with NAME_TAKEN nobody would ever see the token."""

    async def story(world):
        token = some_bytes("acme", 32)
        for _ in range(2):
            assert await world.ledger.add_receiver("acme", ["acme.example"], token, now=NOW) == "added"
        assert (await world.ledger.receiver_by_token(token)).domains == ("acme.example",)
        assert await world.ledger.add_receiver("acme", ["a.example"], some_bytes("eve", 32), now=NOW) == "name-taken"
        assert await world.ledger.receiver_by_token(some_bytes("eve", 32)) is None

    tell(story)


def test_a_receiver_has_a_bounded_number_of_domains(tell, monkeypatch):
    monkeypatch.setattr(callers, "RECEIVER_DOMAINS_MAX", 1000)

    async def story(world):
        await world.ledger.add_receiver("many", [f"d{n}.example" for n in range(1000)], some_bytes("m", 32), now=NOW)
        assert await world.ledger.add_domain("many", "one-more.example") == "too-many"

    tell(story)


def test_the_first_answer_is_kept_for_a_day(tell):
    async def story(world):
        ledger = world.ledger
        assert await ledger.kept_answer(NAME, now=NOW) is None
        await ledger.keep_answer(NAME, ONE, now=NOW)
        await ledger.keep_answer(NAME, OTHER, now=NOW + 1)
        assert await ledger.kept_answer(NAME, now=NOW + ANSWER_LIFE_SECONDS - 1) == ONE
        assert await ledger.kept_answer(NAME, now=NOW + ANSWER_LIFE_SECONDS) is None
        await ledger.keep_answer(NAME, OTHER, now=NOW + ANSWER_LIFE_SECONDS)
        assert await ledger.kept_answer(NAME, now=NOW + ANSWER_LIFE_SECONDS) == OTHER
        await ledger.sweep(now=NOW + 5 * DAY, until=NOW + 5 * DAY)

    tell(story)


def test_an_answer_without_end_is_not_kept(tell):
    async def story(world):
        with pytest.raises(ValueError, match="an answer of"):
            await world.ledger.keep_answer(NAME, KeptAnswer(bytes(32), b"x" * 2**22), now=NOW)

    tell(story)


def test_licences_that_count_no_more_are_told_in_order_once_each(tell):
    async def story(world):
        ledger = world.ledger
        keys = [some_bytes(f"key{number}", 32) for number in range(3)]
        for number, key in enumerate(keys):
            await ledger.open_account(f"a{number}", f"a{number}@sender.example", key, 10, now=NOW)
        assert await ledger.revocations() == Revocations((), 0)
        await ledger.replace_key("a1", keys[1])  # the one it has
        assert (await ledger.revocations()).fingerprints == ()
        await ledger.replace_key("a1", some_bytes("new", 32))
        for _ in range(2):
            await ledger.close_account("a0")
        told = await ledger.revocations()
        assert told.fingerprints == (fingerprint("a1", keys[1]), fingerprint("a0", keys[0]))
        assert await ledger.revocations(after=told.last) == Revocations((), told.last)
        await ledger.replace_key("a1", keys[1])
        await ledger.close_account("office:sales")
        assert (await ledger.revocations(after=told.last)).fingerprints == (fingerprint("a1", some_bytes("new", 32)),)

    tell(story)
