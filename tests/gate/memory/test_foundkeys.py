"""Keys of offices as DNS had them, in the gate's state."""

from tests.support.state_file import NOW, teller_of

from pennyred.gate.memory import foundkeys

OFFICE = "post.example.net"
KEY, OTHER = b"k" * 32, b"o" * 32

on = teller_of("office_keys")


def test_a_key_is_remembered_with_the_time_of_its_last_confirmation(path):
    async def note(keys):
        await keys.keep(OFFICE, "s1", KEY, is_authenticated=False, now=NOW)
        await keys.keep(OFFICE, "s2", KEY, is_authenticated=False, now=NOW)
        await keys.keep(OFFICE, "s2", OTHER, is_authenticated=True, now=NOW + 60)

    async def ask(keys):
        assert await keys.kept(OFFICE, "s1") == (KEY, NOW, False)
        assert await keys.kept(OFFICE, "s2") == (OTHER, NOW + 60, True)
        assert await keys.kept(OFFICE, "s3") is None
        assert await keys.kept("another.example", "s1") is None
        await keys.forget(OFFICE, "s1")
        await keys.forget(OFFICE, "s3")
        assert await keys.kept(OFFICE, "s1") is None
        assert await keys.kept(OFFICE, "s2") is not None

    on(path, note)
    on(path, ask)


def test_so_many_are_kept_and_those_confirmed_longest_ago_go(path, monkeypatch):
    monkeypatch.setattr(foundkeys, "KEYS_MAX", 3)

    async def story(keys):
        for number in range(6):
            await keys.keep(OFFICE, f"s{number}", KEY, is_authenticated=False, now=NOW + number)
        assert [await keys.kept(OFFICE, f"s{number}") is not None for number in range(6)] == [False] * 3 + [True] * 3

    on(path, story)


def test_a_clock_that_is_wrong_for_a_moment_takes_no_key_away(path):
    async def story(keys):
        await keys.keep(OFFICE, "s1", KEY, is_authenticated=False, now=NOW)
        await keys.keep(OFFICE, "s2", OTHER, is_authenticated=False, now=NOW + 400 * 86_400)
        assert await keys.kept(OFFICE, "s1") == (KEY, NOW, False)

    on(path, story)
