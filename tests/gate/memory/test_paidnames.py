"""Under which other names recipients were paid for lately."""

from tests.support.state_file import NOW, teller_of, time_passes

from pennyred.gate.memory.paidnames import DAYS_KEPT, NAMES_MAX

DAY = NOW // 86_400
BOB, EVE, INFO = "bob@example.org", "eve@example.org", "info@example.net"

on = teller_of("paid_names")


def test_what_was_noted_is_known_after_a_restart(path):
    async def note(names):
        await names.add(DAY, [(BOB, INFO), (EVE, INFO), (BOB, "office@example.net")])
        await names.add(DAY + 1, [(BOB, INFO)])

    async def ask(names):
        assert await names.of([BOB, "x@example.org", EVE]) == [[INFO, "office@example.net"], [], [INFO]]
        assert await names.of([]) == []

    on(path, note)
    on(path, ask)


def test_it_is_forgotten_when_no_stamp_for_the_name_can_come_any_more(path):
    async def story(names):
        await names.add(DAY, [(BOB, INFO), (EVE, INFO)])
        await names.add(DAY + 1, [(BOB, INFO)])
        await time_passes(path, (DAY + DAYS_KEPT + 1) * 86_400)
        await names.add(DAY + DAYS_KEPT + 1, [("ann@example.org", INFO)])
        assert await names.of([BOB, EVE]) == [[INFO], []]

    on(path, story)


def test_a_recipient_has_so_many_the_latest(path):
    async def story(names):
        for number in range(NAMES_MAX + 3):
            await names.add(DAY + number, [(BOB, f"n{number}@example.net")])
        [found] = await names.of([BOB])
        assert found == [f"n{number}@example.net" for number in range(NAMES_MAX + 2, 2, -1)]

    on(path, story)
