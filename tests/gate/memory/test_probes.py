"""Which probes are open, what of them is kept, and what goes when there is too much."""

from tests.support.state_file import NOW, teller_of

from pennyred.gate.memory.probes import ARRIVALS_MAX, PROBES_MAX, PROBES_PER_ACCOUNT_MAX

on = teller_of("probes")
UNTIL = NOW + 3600


def test_what_was_found_is_there_after_a_restart_until_the_probe_is_over(path):
    async def note(probes):
        assert await probes.open("aa", "ann", now=NOW, expires_at=UNTIL)
        assert await probes.found("aa", now=NOW) == (UNTIL, [])
        assert await probes.add("aa", b"one", now=NOW)
        assert await probes.add("aa", b"\0two", now=NOW)

    async def ask(probes):
        assert await probes.found("aa", now=UNTIL - 1) == (UNTIL, [b"one", b"\0two"])
        assert await probes.found("aa", now=UNTIL) is None
        assert not await probes.add("aa", b"late", now=UNTIL)

    on(path, note)
    on(path, ask)


def test_nothing_is_kept_for_a_token_that_nobody_has_opened(path):
    async def story(probes):
        assert not await probes.is_open("aa", now=NOW)
        assert not await probes.add("aa", b"one", now=NOW)
        assert await probes.found("aa", now=NOW) is None

    on(path, story)


def test_only_the_first_letters_are_kept(path):
    async def story(probes):
        await probes.open("aa", "ann", now=NOW, expires_at=UNTIL)
        assert [await probes.add("aa", b"%d" % number, now=NOW) for number in range(ARRIVALS_MAX + 1)] == [
            *[True] * ARRIVALS_MAX,
            False,
        ]
        assert not await probes.is_open("aa", now=NOW)
        _, found = await probes.found("aa", now=NOW)
        assert found == [b"%d" % number for number in range(ARRIVALS_MAX)]

    on(path, story)


def test_an_account_has_so_many_open_at_once(path):
    async def story(probes):
        opened = [
            await probes.open(f"a{number}", "ann", now=NOW, expires_at=UNTIL)
            for number in range(PROBES_PER_ACCOUNT_MAX + 1)
        ]
        assert opened == [*[True] * PROBES_PER_ACCOUNT_MAX, False]
        assert await probes.open("b", "eve", now=NOW, expires_at=UNTIL)
        assert await probes.open("later", "ann", now=UNTIL, expires_at=UNTIL + 3600)

    on(path, story)


def test_beyond_the_limit_the_oldest_goes_with_its_letters(path):
    async def story(probes):
        for number in range(PROBES_MAX + 1):
            assert await probes.open(f"t{number}", f"account {number}", now=NOW + number, expires_at=NOW + 9999)
            if not number:
                await probes.add("t0", b"one", now=NOW)
        assert await probes.found("t0", now=NOW) is None
        assert await probes.found("t1", now=NOW) == (NOW + 9999, [])
        kept = await probes._commits.run(lambda one: one.execute("SELECT count(*) FROM probe_arrival").fetchall())
        assert [tuple(row) for row in kept] == [(0,)]

    on(path, story)


def test_who_has_too_many_open_pushes_out_nobody(path):
    async def story(probes):
        for number in range(PROBES_MAX):
            account = "eve" if number < PROBES_PER_ACCOUNT_MAX else f"account {number}"
            assert await probes.open(f"t{number}", account, now=NOW + number, expires_at=NOW + 9999)
        assert not await probes.open("more", "eve", now=NOW + PROBES_MAX, expires_at=NOW + 9999)
        assert await probes.found("t0", now=NOW) == (NOW + 9999, [])

    on(path, story)


def test_a_letter_whose_probe_went_meanwhile_goes_too(path):
    async def story(probes):
        statement = "INSERT INTO probe_arrival (token, number, found) VALUES ('gone', 0, ?)"
        await probes._commits.run(lambda one: one.execute(statement, (b"x",)))
        await probes.open("aa", "ann", now=NOW, expires_at=UNTIL)
        kept = await probes._commits.run(lambda one: one.execute("SELECT count(*) FROM probe_arrival").fetchall())
        assert [tuple(row) for row in kept] == [(0,)]

    on(path, story)
