"""What the state knows of letters of ours that come back: by Message-ID, by address, by whom they were for."""

import asyncio

import pytest
from tests.support.state_file import NOW

from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import BOUNCES_MAX, BOUNCES_PER_LETTER, BOUNCES_TO_ADDRESS_MAX, REPLY_DAYS
from pennyred.postage.address import canonical_recipient

DAY = NOW // 86_400
BOB, VERP = "bob@example.org", "list-bounces+dan=far.example@example.org"


def on(path, story):
    async def whole():
        state = GateState.open(path, now=NOW)
        try:
            return await story(state)
        finally:
            await state.close()

    return asyncio.run(whole())


async def grants(state, user=BOB, *, now=NOW, **claimed):
    [found] = await state.grant_book.grants([[user, "example.org", "*"]], Claims(is_null=True, **claimed), now=now)
    return found


async def used(state, grant) -> int:
    count = 0
    while await state.grant_book.use([grant.counter]):
        count += 1
    return count


@pytest.mark.parametrize("where", ["returned", "replied_to"])
def test_a_message_id_is_good_for_so_many_and_for_so_long(path, where):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (BOB,), (), (b"1@example.org",))])
        [grant] = [one for one in await grants(state, **{where: (b"1@example.org",)}) if one.reason == "bounce"]
        assert await used(state, grant) == BOUNCES_MAX
        assert "bounce" not in [one.reason for one in await grants(state, **{where: (b"1@example.org",)})]
        await state.grant_book.give_back([grant.counter])
        assert await used(state, grant) == 1
        late = NOW + (REPLY_DAYS + 1) * 86_400
        assert await grants(state, now=late, **{where: (b"1@example.org",)}) == []
        assert await grants(state, "eve@example.org", **{where: (b"1@example.org",)}) == []

    on(path, story)


def test_replies_and_bounces_do_not_use_up_each_other(path):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (BOB,), (), (b"1@example.org",))])
        found = await grants(state, replied_to=(b"1@example.org",))
        counts = {one.reason.value: await used(state, one) for one in found}
        assert counts == {"bounce": BOUNCES_MAX, "reply": 10}

    on(path, story)


def test_who_has_a_name_is_asked_for_none_of_it(path):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (BOB,), (), (b"1@example.org",), bounces_to=VERP)])
        claims = Claims(sender=canonical_recipient("x@y.example"), returned=(b"1@example.org",))
        assert await state.grant_book.grants([[BOB], [VERP]], claims, now=NOW) == [[], []]

    on(path, story)


def test_an_address_is_good_for_a_few_times_as_many_as_left_with_it_after_a_restart_too(path):
    async def leave(state):
        await state.correspondents.learn([Learned(DAY, (), (), bounces_to=VERP)])

    async def come_back(state):
        assert await grants(state) == []
        [grant] = await grants(state, VERP)
        assert not grant.is_limited_by_source
        assert await used(state, grant) == 2 * BOUNCES_PER_LETTER
        assert await grants(state, VERP) == []

    on(path, leave)
    on(path, leave)
    on(path, come_back)


@pytest.mark.parametrize("address", ["owner@example.org", "list-bounces@example.org", "bob+shop@example.org"])
def test_one_that_anybody_may_guess_is_counted_for_who_sends_it_too(path, address):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (), (), bounces_to=address)])
        [grant] = await grants(state, address)
        assert grant.is_limited_by_source
        assert grant.is_easily_guessed

    on(path, story)


def test_but_never_for_more_than_there_may_be(path):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (), (), bounces_to=VERP)] * (BOUNCES_TO_ADDRESS_MAX // 2))
        [grant] = await grants(state, VERP)
        await state.grant_book._commits.run(
            lambda connection: connection.execute("UPDATE bounce_address SET used = ?", (BOUNCES_TO_ADDRESS_MAX - 1,))
        )
        assert await used(state, grant) == 1

    on(path, story)


def test_a_report_names_whom_the_letter_was_for_and_his_mail_server_has_to_prove_that_it_writes(path):
    async def story(state):
        await state.correspondents.learn([Learned(DAY, (BOB,), ("dan@far.example",))])
        dan, eve = canonical_recipient("dan@far.example"), canonical_recipient("eve@far.example")
        daemon = canonical_recipient("mailer-daemon@mx.far.example")
        [grant] = await grants(state, reported=(eve, dan), author=daemon)
        assert grant.is_author_proven
        assert grant.is_counted
        assert await grants(state, reported=(eve,), author=daemon) == []
        assert await grants(state, "carl@example.org", reported=(dan,), author=daemon) == []
        for other in (None, eve, canonical_recipient("mailer-daemon@evil.example")):
            assert await grants(state, reported=(dan,), author=other) == []

    on(path, story)


def test_the_book_is_in_use_by_an_address_alone(path):
    async def story(state):
        await grants(state)
        assert not state.grant_book.is_in_use
        await state.correspondents.learn([Learned(DAY, (), (), bounces_to=VERP)])
        await grants(state)
        assert state.grant_book.is_in_use

    on(path, story)
