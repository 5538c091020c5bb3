"""A ledger that was put back behind the office's back is noticed by what was signed last."""

import asyncio
import shutil

import pytest
from tests.support.desk import Lines
from tests.support.memory_ledger import MemoryLedger

from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.programs.witness import Witness

NOW = 1_795_000_000


class Books:
    """A ledger in a file, which can be put back."""

    def __init__(self, folder):
        self.folder = folder
        self.log = Lines()

    def run(self, work):
        async def whole():
            ledger = SqliteLedger.open(self.folder / "ledger.db", now=NOW)
            try:
                return await work(ledger)
            finally:
                await ledger.close()

        return asyncio.run(whole())

    def sell(self, *reasons):
        async def work(ledger):
            await ledger.open_account("ann", "ann@sender.example", b"k" * 32, 1000, now=NOW)
            for reason in reasons:
                await ledger.credit("ann", 1, reason, now=NOW)

        self.run(work)

    def look(self):
        """As the office does when it starts; the newest link then."""

        async def work(ledger):
            await Witness(self.folder / "office.key", ledger, self.log, clock=lambda: NOW).look()
            return await ledger.head()

        return self.run(work)

    def save(self):
        shutil.copy(self.folder / "ledger.db", self.folder / "saved")

    def put_back(self):
        shutil.copy(self.folder / "saved", self.folder / "ledger.db")

    @property
    def events(self):
        return [line["event"] for line in self.log.lines]


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path)


def test_what_goes_on_as_it_was_is_only_noted(books):
    books.sell("one")
    assert books.look().epochs == ()
    books.sell("two")
    assert books.look().epochs == ()
    assert books.look().epochs == ()
    assert books.events == []
    assert (books.folder / "office.head").stat().st_mode & 0o077 == 0


def test_a_ledger_that_went_back_begins_a_new_epoch_and_says_so_once(books):
    books.sell("one")
    books.save()
    books.sell("two", "three")
    lost = books.look()
    books.put_back()
    begun = books.look()
    assert [one.follows for one in begun.epochs] == [lost.number - 2]
    assert not lost.is_in_books_of(begun)
    assert books.look() == begun
    assert books.events == ["ledger.went_back"]


def test_one_that_has_since_grown_beyond_what_was_noted_is_noticed_by_its_hash(books):
    books.sell("one")
    books.save()
    books.sell("two")
    books.look()
    books.put_back()
    books.sell("another", "and another", "and one more")
    assert len(books.look().epochs) == 1


def test_one_that_goes_back_behind_a_restore_is_noticed_too(books):
    books.sell("one")
    books.save()
    books.sell("two")
    books.look()
    books.put_back()
    first = books.look()
    books.sell("three")
    lost = books.look()
    books.put_back()
    second = books.look()
    assert [one.follows for one in second.epochs] == [one.follows for one in first.epochs]
    assert second.epochs[-1].id not in {one.id for one in first.epochs}
    assert not lost.is_in_books_of(second)
    assert books.look() == second
    assert books.events == ["ledger.went_back"] * 2


def test_one_that_was_restored_again_by_the_command_is_not_marked_again(books):
    books.sell("one")
    books.save()
    books.run(lambda ledger: ledger.begin_epoch(b"e" * 16, now=NOW))
    books.look()
    books.put_back()
    begun = books.run(lambda ledger: ledger.begin_epoch(b"f" * 16, now=NOW))
    assert books.look() == begun
    assert books.events == []


def test_what_was_restored_by_the_command_is_not_marked_again(books):
    books.sell("one")
    books.save()
    books.sell("two")
    books.look()
    books.put_back()
    begun = books.run(lambda ledger: ledger.begin_epoch(b"e" * 16, now=NOW))
    assert books.look() == begun
    assert books.events == []


def test_an_empty_ledger_in_place_of_a_full_one_went_back_too(books):
    books.sell("one")
    books.look()
    for path in books.folder.glob("ledger.db*"):
        path.unlink()
    assert [one.follows for one in books.look().epochs] == [0]


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"[]", b'{"number":1}', b'{"number":1,"hash":"AA==","epochs":"AA=="}', b"\xff" * 9, b"[" * 5000],
)
def test_a_note_that_cannot_be_read_is_none(books, content):
    books.sell("one")
    (books.folder / "office.head").write_bytes(content)
    assert books.look().epochs == ()
    assert books.look().epochs == ()


def test_where_nothing_can_be_noted_it_is_said_once_and_the_office_goes_on(tmp_path):
    log = Lines()

    async def story():
        ledger = MemoryLedger()
        witness = Witness(tmp_path / "nowhere" / "office.key", ledger, log, clock=lambda: NOW)
        await witness.look()
        for number in (1, 2):
            await ledger.begin_epoch(bytes([number]) * 16, now=NOW)
            await witness.look()

    asyncio.run(story())
    assert [line["event"] for line in log.lines] == ["ledger.heads_not_noted"]


def test_a_ledger_that_does_not_answer_is_not_taken_for_one_that_went_back(tmp_path):
    async def story():
        ledger = MemoryLedger()
        await ledger.begin_epoch(b"1" * 16, now=NOW)
        witness = Witness(tmp_path / "office.key", ledger, Lines(), clock=lambda: NOW)
        await witness.look()

        async def silent(*_, **__):
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "by script")

        answering, ledger.head = ledger.head, silent
        with pytest.raises(Unavailable):
            await witness.look()
        await witness.look_last()
        ledger.head = answering
        await witness.look()
        assert len((await ledger.head()).epochs) == 1

    asyncio.run(story())
