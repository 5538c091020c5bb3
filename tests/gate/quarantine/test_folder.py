"""Copies of refused letters: as they came, once each, for some days, within a limit."""

import asyncio
import errno
import mailbox
import os
import re
import stat
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kept import BOB, ORIGIN, copy, files, hash_of, keep, quarantine, whole
from tests.support.stationery import DAY, LETTER, NOW

from pennyred.gate.quarantine import maildir
from pennyred.gate.quarantine.folder import AmbiguousLetter, Quarantine, UnknownLetter
from pennyred.gate.quarantine.keptletter import HEAD_BYTES_USUAL
from pennyred.gate.quarantine.maildir import folder_name
from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.postage.errors import Malformed, Unavailable

TRICKS = [
    b'"../../x"@d.example',
    b'"/etc/passwd"@d.example',
    b"..",
    b".",
    b"",
    b"/",
    b"a\0b@d.example",
    b"a\nb@d.example",
    b"\xff\xfe@d.example",
    "jürgen@bücher.example".encode(),
    b"x" * 300 + b"@d.example",
    b"/" * 300,
    b"%2e%2e/",
    b"tmp",
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "refused"


class TestKeeping:
    def test_what_is_kept_is_what_came(self, folder):
        kept = quarantine(folder)
        assert keep(kept) == 0

        [letter] = kept.listed()
        assert whole(kept, letter) == LETTER
        assert (letter.recipient, letter.head.reason, letter.head.origin) == ("bob@example.org", "no-stamp", ORIGIN)
        assert (letter.sender_shown, letter.subject, letter.head.size) == (
            "Ann <ann@sender.example>",
            "Tea",
            len(LETTER),
        )

    @given(letter=st.binary(max_size=2000))
    def test_any_letter_at_all_comes_out_as_it_went_in(self, tmp_path_factory, letter):
        kept = quarantine(tmp_path_factory.mktemp("kept"))
        keep(kept, letter=letter)
        [found] = kept.listed()
        assert whole(kept, found) == letter

    def test_a_long_letter_too(self, folder):
        letter = LETTER + b"x" * 998 * 1000
        kept = quarantine(folder)
        header, body = LETTER.split(b"\r\n\r\n")[0] + b"\r\n", b""
        body = letter[len(header) :]
        asyncio.run(kept.keep(ORIGIN, [copy(1), copy(2, b"eve@example.org")], header, [body], len(letter)))
        assert [whole(kept, one) == letter for one in kept.listed()] == [True, True]

    def test_each_recipient_has_a_copy_of_its_own_and_a_maildir(self, folder):
        kept = quarantine(folder)
        keep(kept, copy(1), copy(2, b"Eve@EXAMPLE.org", "spent"), copy(3, b"ned@example.org"))

        assert {one.recipient: one.head.reason for one in kept.listed()} == {
            "bob@example.org": "no-stamp",
            "Eve@EXAMPLE.org": "spent",
            "ned@example.org": "no-stamp",
        }
        assert all(whole(kept, one) == LETTER for one in kept.listed())
        assert sorted(path.name for path in folder.iterdir()) == [
            "bob@example.org",
            "eve@example.org",
            "ned@example.org",
        ]

    def test_a_mail_program_can_open_it(self, folder):
        kept = quarantine(folder)
        keep(kept)

        opened = mailbox.Maildir(folder / "bob@example.org", create=False)
        [message] = opened
        assert (message["Subject"], message["Delivered-To"]) == ("Tea", "bob@example.org")
        assert message["Return-Path"] == "<ann@sender.example>"

    def test_the_same_letter_again_keeps_the_first_copy(self, folder):
        kept = quarantine(folder)
        keep(kept)
        keep(kept, origin=replace(ORIGIN, at=NOW + 60))
        keep(quarantine(folder), copy(), copy())

        [letter] = kept.listed()
        assert letter.head.origin.at == NOW

    def test_a_copy_that_somebody_has_read_is_there_already(self, folder):
        kept = quarantine(folder)
        keep(kept)
        [path] = files(folder)
        path.rename(path.parent.parent / "cur" / f"{path.name},S=500:2,RS")

        keep(kept)

        [letter] = kept.listed()
        assert letter.path.parent.name == "cur"
        assert whole(kept, letter) == LETTER

    def test_nobody_else_can_read_it(self, folder):
        keep(quarantine(folder))
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_two_workers_at_once_keep_one_copy(self, folder):
        several = [quarantine(folder) for _ in range(4)]
        threads = [threading.Thread(target=keep, args=(kept, copy(1), copy(2))) for kept in several]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [one.name for one in several[0].listed()] == [hash_of(2).hex(), hash_of(1).hex()]
        assert all(path.parent.name == "new" for path in files(folder))

    def test_a_folder_swept_away_while_a_letter_is_written_is_made_again(self, folder):
        kept = quarantine(folder)

        def body():
            yield b"\r\n"
            for place in ("new", "cur"):
                (folder / "bob@example.org" / place).rmdir()

        asyncio.run(kept.keep(ORIGIN, [copy()], b"A: b\r\n", body(), 8))
        assert [path.parent.name for path in files(folder)] == ["new"]

    def test_a_folder_swept_away_before_a_letter_is_written_is_made_again(self, folder, monkeypatch):
        make, made = maildir._make, []

        def make_and_lose_once(one):
            make(one)
            made.append(one)
            if len(made) == 1:
                for place in (one / "tmp", one / "new", one / "cur", one):
                    place.rmdir()

        monkeypatch.setattr(maildir, "_make", make_and_lose_once)
        keep(quarantine(folder))
        assert len(made) == 2
        assert [path.parent.name for path in files(folder)] == ["new"]

    def test_letters_kept_while_others_sweep_are_kept(self, folder):
        now = int(time.time())  # the system's own: by it, folders are fresh
        stop = threading.Event()

        def sweep_on():
            while not stop.is_set():
                quarantine(folder, days=1).sweep_now(now)

        sweeper = threading.Thread(target=sweep_on)
        sweeper.start()
        try:
            kept = quarantine(folder)
            for number in range(30):
                keep(kept, copy(number, b"r%d@example.org" % (number % 2)), origin=replace(ORIGIN, at=now))
        finally:
            stop.set()
            sweeper.join()
        assert len(kept.listed()) == 30


class TestPaths:
    @pytest.mark.parametrize("recipient", TRICKS)
    def test_no_recipient_leads_out_of_the_folder(self, folder, recipient):
        kept = quarantine(folder)
        keep(kept, copy(1, recipient))

        [inner] = folder.iterdir()
        [file] = files(folder.parent)
        assert file.parents[1] == inner
        assert len(inner.name.encode()) < 200
        [letter] = kept.listed(recipient.decode("utf-8", "surrogateescape")) if recipient.isascii() else kept.listed()
        assert letter.head.recipient == recipient
        assert whole(kept, letter) == LETTER

    @given(st.binary(max_size=400))
    def test_a_folders_name_is_one_name_in_plain_letters(self, recipient):
        name = folder_name(recipient)
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEF0123456789@._+-%=")
        assert not name.startswith(".")
        assert 0 < len(name) < 200

    @given(st.lists(st.binary(max_size=300).map(bytes.lower), unique=True, max_size=5))
    def test_other_recipients_have_other_folders(self, recipients):
        canonical = [canonical_or_none(mailbox) for mailbox in recipients]
        names = {one.canonical.encode() if one else mailbox for one, mailbox in zip(canonical, recipients, strict=True)}
        assert len({folder_name(mailbox) for mailbox in recipients}) == len(names)

    def test_an_admin_can_read_it(self):
        assert folder_name(b"Bob+x@Example.org") == "bob+x@example.org"
        assert folder_name(b'"a b"@example.org') == "a%20b@example.org"

    def test_long_names_that_differ_at_the_end_differ(self):
        assert folder_name(b"x" * 300) != folder_name(b"x" * 301)


class TestWhenTheDiskFails:
    @pytest.mark.parametrize("broken", ["fsync", "utime", "mkdir", "open"])
    def test_it_is_later_and_nothing_is_left_behind(self, folder, monkeypatch, broken):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        kept = quarantine(folder)
        with monkeypatch.context() as patched:
            patched.setattr(maildir.os, broken, full)
            with pytest.raises(Unavailable, match="no space left"):
                keep(kept)
        assert files(folder) == []
        keep(kept)
        assert len(kept.listed()) == 1

    def test_a_disk_that_is_full_halfway_keeps_no_half(self, folder):
        kept = quarantine(folder)

        def body():
            yield b"\r\nhalf"
            raise OSError(errno.EIO, "the spool is gone")

        with pytest.raises(Unavailable):
            asyncio.run(kept.keep(ORIGIN, [copy(1), copy(2)], b"Subject: x\r\n", body(), 1000))
        assert files(folder) == []

    def test_what_is_shorter_than_it_was_said_to_be_is_not_kept(self, folder):
        kept = quarantine(folder)
        with pytest.raises(Unavailable, match="instead of"):
            keep(kept, size=len(LETTER) + 1)
        assert files(folder) == []

    def test_a_file_in_the_place_of_the_folder_is_later(self, folder):
        folder.parent.mkdir(parents=True)
        folder.write_text("")
        with pytest.raises(Unavailable):
            keep(quarantine(folder))
        with pytest.raises(Unavailable):
            asyncio.run(quarantine(folder).sweep(NOW))

    def test_who_is_cancelled_still_waits_for_the_end(self, folder):
        kept = quarantine(folder)
        entered, may_go = threading.Event(), threading.Event()

        def body():
            entered.set()
            assert may_go.wait(20)
            yield b"\r\n"

        async def story():
            task = asyncio.create_task(kept.keep(ORIGIN, [copy()], b"A: b\r\n", body(), 8))
            await asyncio.to_thread(entered.wait)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            may_go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(kept.listed()) == 1

        asyncio.run(story())


class TestSweeping:
    def at(self, kept, number, at, **how):
        return keep(kept, copy(number, b"r%d@example.org" % number), origin=replace(ORIGIN, at=at), **how)

    def names(self, kept):
        return {int(one.name, 16) for one in kept.listed()}

    def test_what_is_too_old_goes_and_its_empty_folder_with_it(self, folder):
        kept = quarantine(folder, days=30)
        self.at(kept, 1, NOW)
        self.at(kept, 2, NOW + DAY)
        for tmp in folder.glob("*/tmp"):
            os.utime(tmp, (NOW, NOW))

        swept = asyncio.run(kept.sweep(NOW + 30 * DAY + 1))

        assert (swept.removed, swept.is_done, self.names(kept)) == (1, True, {2})
        assert [path.name for path in folder.iterdir()] == ["r2@example.org"]

    def test_beyond_the_limit_the_oldest_go_first(self, folder):
        kept = quarantine(folder, bytes_max=10**9)
        for number in (3, 1, 4, 2):
            self.at(kept, number, NOW + number)

        swept = quarantine(folder, bytes_max=2 * 4096).sweep_now(NOW)

        assert (swept.removed, swept.disk_bytes, self.names(kept)) == (2, 2 * 4096, {3, 4})

    def test_keeping_keeps_within_the_limit(self, folder):
        kept = quarantine(folder, bytes_max=10 * 4096)
        for number in range(1, 40):
            self.at(kept, number, NOW + number)

        assert self.names(kept) == set(range(30, 40))

    def test_one_letter_takes_a_quarter_of_the_room_at_most_for_all_its_recipients(self, folder):
        kept = quarantine(folder, bytes_max=8 * 4096)
        copies = [copy(number, b"r%d@example.org" % number) for number in range(5)]
        assert keep(kept, *copies) == 3
        assert len(files(folder)) == 2
        assert keep(kept, *copies) == 1, "its retry has some more of them kept"
        assert keep(kept, copy(9), letter=LETTER + b"x" * 20_000) == 1
        assert len(files(folder)) == 4, "what does not fit pushes nobody out"

    @pytest.mark.parametrize("is_read", [False, True])
    def test_a_letter_refused_once_more_from_another_network_is_kept_once(self, folder, is_read):
        """A big sender tries again from whichever of its machines is free."""
        kept = quarantine(folder)
        keep(kept)
        if is_read:
            [path] = files(folder)
            path.rename(path.parent.parent / "cur" / f"{path.name}:2,S")
        for source in ("203.0.113.7", "2001:db8::7", "", ORIGIN.source):
            assert keep(kept, copy(1), copy(2), origin=replace(ORIGIN, source=source)) == 0
        assert len(files(folder)) == 2
        sources = {one.name: one.head.origin.source for one in kept.listed()}
        assert sources == {hash_of(1).hex(): ORIGIN.source, hash_of(2).hex(): "203.0.113.7"}

    def test_a_sweep_ends_and_the_next_goes_on(self, folder, monkeypatch):
        monkeypatch.setattr("pennyred.gate.quarantine.folder.SWEPT_MAX", 2)
        kept = quarantine(folder)
        for number in range(5):
            self.at(kept, number, NOW)

        swept = [kept.sweep_now(NOW + 100 * DAY) for _ in range(3)]

        assert [(one.removed, one.is_done) for one in swept] == [(2, False), (2, False), (1, True)]

    def test_what_somebody_else_put_there_stays_and_is_passed_over(self, folder):
        kept = quarantine(folder)
        keep(kept)
        new = folder / "bob@example.org" / "new"
        (new / "1234.theirs").write_text("Subject: theirs\n")
        (new / ("a" * 64)).mkdir()
        (new / ("b" * 64)).write_bytes(b"Return-Path: <x>\r\nnot ours")
        (new / ("c" * 64)).symlink_to("/etc/passwd")
        os.mkfifo(new / ("d" * 64))
        (folder / "stray").write_text("")

        assert len(kept.listed()) == 1
        kept.sweep_now(NOW + 100 * DAY)
        assert {path.name[:4] for path in new.iterdir()} == {"1234", "aaaa", "cccc", "dddd"}

    def test_what_nobody_finished_is_taken_away_in_time(self, folder):
        kept = quarantine(folder)
        keep(kept)
        tmp = folder / "bob@example.org" / "tmp"
        left = [tmp / f"{'e' * 64},1.2", tmp / f"{'f' * 64},1.2", tmp / "theirs"]
        for number, path in enumerate(left):
            path.write_text("half")
            os.utime(path, (NOW + number * 2 * DAY, NOW + number * 2 * DAY))

        kept.sweep_now(NOW + 2 * DAY)

        assert [path.exists() for path in left] == [False, True, True]

    def test_an_empty_or_missing_folder_is_swept_and_listed(self, folder):
        kept = quarantine(folder)
        assert kept.sweep_now(NOW).removed == 0
        assert kept.listed() == []
        assert kept.listed("bob@example.org") == []


class TestManyRecipients:
    RECIPIENTS = tuple(b"r%d@example.org" % number for number in range(18))

    def copies(self, recipients=RECIPIENTS):
        return [copy(number, recipient) for number, recipient in enumerate(recipients)]

    def test_a_letter_lies_there_once_and_each_has_it(self, folder):
        kept = quarantine(folder)
        letter = LETTER + b"x" * 998 * 1000
        keep(kept, *self.copies(), letter=letter)

        assert len({path.stat().st_ino for path in files(folder)}) == 1
        assert {one.head.recipient for one in kept.listed()} == set(self.RECIPIENTS)
        assert all(whole(kept, one) == letter for one in kept.listed())
        for recipient in self.RECIPIENTS:
            [message] = mailbox.Maildir(folder / recipient.decode(), create=False)
            assert message["Subject"] == "Tea"
        assert kept.sweep_now(NOW).disk_bytes < len(letter) + 20 * 4096

    def test_nobody_is_told_of_the_others(self, folder):
        """Who was a Bcc of whom."""
        keep(quarantine(folder), *self.copies())
        [file] = {path.stat().st_ino: path for path in files(folder)}.values()
        assert b"@example.org" not in file.read_bytes().replace(LETTER, b"")

    def test_who_is_not_written_as_the_folder_is_or_has_another_reason_has_a_file_alone(self, folder):
        kept = quarantine(folder)
        long = b"x" * 300 + b"@example.org"
        others = [copy(90, b"Eve@example.org"), copy(91, long), copy(92, b"ned@example.org", "spent")]
        keep(kept, *self.copies(), *others)
        assert len({path.stat().st_ino for path in files(folder)}) == 4
        assert {one.head.recipient: one.head.reason for one in kept.listed()} == {
            **dict.fromkeys((*self.RECIPIENTS, b"Eve@example.org", long), "no-stamp"),
            b"ned@example.org": "spent",
        }

    def test_what_one_does_with_it_is_nothing_to_the_others(self, folder):
        kept = quarantine(folder)
        keep(kept, *self.copies(self.RECIPIENTS[:3]))
        one, two, three = kept.listed()
        kept.remove(one)
        two.path.rename(two.path.parent.parent / "cur" / f"{two.path.name}:2,S")
        assert whole(kept, three) == LETTER
        assert {found.name for found in kept.listed()} == {two.name, three.name}
        keep(kept, *self.copies(self.RECIPIENTS[:3]))
        assert [found.head.recipient for found in kept.listed()] == [*reversed(self.RECIPIENTS[:3])]

    @pytest.mark.parametrize("error", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP])
    def test_where_a_file_cannot_have_two_names_each_has_a_copy(self, folder, monkeypatch, error):
        def link(*_, **__):
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(maildir.os, "link", link)
        kept = quarantine(folder)
        keep(kept, *self.copies())
        assert len({path.stat().st_ino for path in files(folder)}) == 18
        assert all(whole(kept, one) == LETTER for one in kept.listed())

    def test_a_disk_that_is_full_at_the_tenth_leaves_whole_letters_only(self, folder, monkeypatch):
        made, link = [], os.link

        def fail(*arguments):
            made.append(arguments)
            if len(made) == 10:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            link(*arguments)

        kept = quarantine(folder)
        with monkeypatch.context() as patched:
            patched.setattr(maildir.os, "link", fail)
            with pytest.raises(Unavailable, match="no space left"):
                keep(kept, *self.copies())
        assert all(whole(kept, one) == LETTER for one in kept.listed())
        assert all(path.parent.name == "new" for path in files(folder))
        keep(kept, *self.copies())
        assert len(kept.listed()) == 18


class TestShares:
    """Whose copies go where there is not room for all."""

    ROOM = 1_000_000

    def at(self, kept, number, source, size=0, at=NOW):
        return keep(
            kept,
            copy(number, b"r%d@example.org" % (number % 5)),
            letter=LETTER + b"x" * size,
            origin=replace(ORIGIN, source=source, at=at + number),
        )

    def of(self, kept, source):
        return sum(one.head.origin.source == source for one in kept.listed())

    def test_a_stranger_with_long_letters_to_many_pushes_out_nobody_but_himself(self, folder):
        kept = quarantine(folder, bytes_max=self.ROOM)
        for number in range(20):
            self.at(kept, number, f"198.51.{number}.7", 4000)
        for number in range(100, 120):
            copies = [copy(1000 * number + one, b"r%d@example.org" % one) for one in range(18)]
            origin = replace(ORIGIN, source="203.0.113.5", at=NOW + number)
            assert keep(kept, *copies, letter=LETTER + b"x" * 150_000, origin=origin) == 0
        assert all(self.of(kept, f"198.51.{number}.7") == 1 for number in range(20))
        assert self.of(kept, "203.0.113.5") > 0
        assert kept.sweep_now(None).disk_bytes < self.ROOM * 5 // 4

    def test_nor_from_many_networks_and_addresses(self, folder):
        kept = quarantine(folder, bytes_max=self.ROOM)
        for number in range(20):
            self.at(kept, number, f"198.51.{number}.7", 4000)
        for number in range(100, 300):
            source = f"203.0.{number % 30}.{number % 250}" if number % 2 else f"2001:db8:{number % 30:x}:{number:x}::1"
            self.at(kept, number, source, 100_000)
        assert all(self.of(kept, f"198.51.{number}.7") == 1 for number in range(20))

    def test_nor_from_all_the_networks_that_one_provider_has(self, folder):
        """A /32 of IPv6 holds 65,536 networks, so each of them may take less than an honest one has."""
        kept = quarantine(folder, bytes_max=self.ROOM)
        for number in range(10):
            self.at(kept, number, f"198.51.{number}.7", 30_000)
            self.at(kept, 50 + number, f"2001:db8:{number:x}::1", 30_000)
        for number in range(100, 400):
            self.at(kept, number, f"2001:666:{number:x}::1", 8_000)
        assert all(self.of(kept, f"198.51.{number}.7") == 1 for number in range(10))
        assert all(self.of(kept, f"2001:db8:{number:x}::1") == 1 for number in range(10))

    def test_networks_of_ipv4_are_nobodys_together(self, folder):
        kept = quarantine(folder, bytes_max=self.ROOM)
        for number in range(46):
            self.at(kept, number, f"198.51.{number}.7", 16_000)
        self.at(kept, 50, "2001:db8::1", 50_000)
        kept._sweep_after = 0
        self.at(kept, 51, "2001:db8::1", 40_000)
        assert all(self.of(kept, f"198.51.{number}.7") == 1 for number in range(46))

    def test_of_those_that_take_the_same_the_oldest_goes(self, folder):
        kept = quarantine(folder, bytes_max=50 * 4096)
        for number in range(100):
            self.at(kept, number, f"198.51.{number}.7")
        assert {int(one.name, 16) for one in kept.listed()} >= set(range(60, 100))
        assert not self.of(kept, "198.51.0.7")

    def test_letters_of_an_earlier_version_are_known_by_what_they_say(self, folder):
        kept = quarantine(folder, bytes_max=10**9)
        for number in range(10):
            self.at(kept, number, f"198.51.{number}.7", 4000)
        for number in range(100, 110):
            self.at(kept, number, "203.0.113.5", 8000)
        for path in files(folder):
            path.rename(path.with_name(path.name[:64]))
        assert keep(kept, copy(100, b"r0@example.org"), origin=replace(ORIGIN, source="203.0.113.5")) == 0
        assert len(kept.listed()) == 20, "it is there already"
        swept = quarantine(folder, bytes_max=12 * 8192).sweep_now(NOW)
        assert (swept.crowded_out, swept.network) == (9, "203.0.113.0/24")
        assert all(self.of(kept, f"198.51.{number}.7") == 1 for number in range(10))

    def test_who_was_pushed_out_is_told(self, folder):
        told = []
        kept = Quarantine(folder, days=30, bytes_max=self.ROOM, note_swept=told.append)
        for number in range(60):
            self.at(kept, number, "2001:db8:7:1::5", 40_000)
        assert told
        assert {one.network for one in told} == {"2001:db8:7::/48"}
        assert sum(one.crowded_out for one in told) >= 30

    def test_several_workers_together_keep_within_the_room_and_a_sixteenth(self, folder):
        workers = [Quarantine(folder, days=30, bytes_max=self.ROOM, sweepers=8) for _ in range(8)]
        for number in range(400):
            self.at(workers[number % 8], number, f"198.51.{number % 200}.7", 8000)
        assert sum(path.stat().st_size for path in files(folder)) < self.ROOM * 18 // 16

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60_000)), max_size=40))
    def test_no_network_gives_way_to_one_that_takes_more(self, tmp_path_factory, steps):
        """Whatever comes: who has lost a letter had as much as any other, but for the last one that came."""
        folder = tmp_path_factory.mktemp("kept")
        kept = quarantine(folder, bytes_max=300_000)
        kept._sweep_after = 0  # with every letter
        brought = dict.fromkeys(range(7), 0)
        for number, (network, size) in enumerate(steps):
            self.at(kept, number, f"198.51.{network}.7", size)
            brought[network] += maildir.on_disk(size + len(LETTER) + HEAD_BYTES_USUAL)
            left = dict.fromkeys(range(7), 0)
            for path in files(folder):
                left[int(re.search(",n=c633(..)", path.name)[1], 16)] += maildir.on_disk(path.stat().st_size)
            lost = [one for one in range(7) if left[one] < brought[one] - 7 * 4096]
            most = max(left.values())
            assert all(left[one] + 70_000 >= most for one in lost)
            assert sum(left.values()) <= 300_000 + 70_000


class TestFinding:
    def test_letters_are_listed_newest_first_and_may_be_asked_for(self, folder):
        kept = quarantine(folder)
        for number, recipient in enumerate([b"a@x.example", b"b@x.example", b"a@x.example"]):
            keep(kept, copy(number, recipient), origin=replace(ORIGIN, at=NOW + number))

        def listed(*how, **more):
            return [int(one.name, 16) for one in kept.listed(*how, **more)]

        assert listed() == [2, 1, 0]
        assert listed("A@X.example") == [2, 0]
        assert listed(since=NOW + 1) == [2, 1]
        assert listed("a@x.example", NOW + 1) == [2]
        assert listed(limit=1) == [2]

    def test_a_letter_is_found_by_the_beginning_of_its_name(self, folder):
        kept = quarantine(folder)
        keep(kept, copy(0xABCD << 240), copy(0xABCE << 240))

        assert kept.find("abcd").name.startswith("abcd0000")
        [newest, *_] = kept.listed()
        assert kept.find(newest.id) == newest

    def test_an_id_that_fits_several_says_which(self, folder):
        kept = quarantine(folder)
        keep(kept, copy(0xABCD << 240), copy(0xABCD1 << 236))
        with pytest.raises(AmbiguousLetter, match="abcd000000000000, abcd100000000000"):
            kept.find("abcd")

    def test_an_id_that_fits_none_or_is_none_is_said(self, folder):
        kept = quarantine(folder)
        keep(kept)
        with pytest.raises(UnknownLetter, match="ffff"):
            kept.find("ffff")
        for wrong in ("", "abc", "xyzw", "../..", "A" * 12, "0" * 65):
            with pytest.raises(Malformed):
                kept.find(wrong)

    def test_a_letter_that_a_mail_program_moved_is_read_and_removed_all_the_same(self, folder):
        kept = quarantine(folder)
        keep(kept)
        [letter] = kept.listed()
        letter.path.rename(letter.path.parent.parent / "cur" / f"{letter.name}:2,S")

        assert whole(kept, letter) == LETTER
        kept.remove(letter)
        kept.remove(letter)
        assert kept.listed() == []
        with pytest.raises(UnknownLetter):
            whole(kept, letter)

    def test_a_letter_that_was_altered_is_not_given_out(self, folder):
        kept = quarantine(folder)
        keep(kept)
        [letter] = kept.listed()
        letter.path.write_bytes(letter.path.read_bytes() + b"more")
        assert kept.listed() == []
        with pytest.raises(UnknownLetter):
            whole(kept, letter)


def test_strangers_subjects_are_readable_and_steer_nothing(tmp_path):
    kept = quarantine(tmp_path)
    subjects = {
        b"=?utf-8?q?T=C3=A9?=": "Té",
        b"a\r\n b": "a b",
        b"=?utf-8?q?=1B[31mred=0D=0A?=": "?[31mred ",
        b"=?nonsense?q?x?=": "=?nonsense?q?x?=",
        b"=?utf-8?b?!?=": "",
        b"\xff\x1b]0;x\x07": "\ufffd?]0;x?",
        b"x" * 100_000: "x" * 200,
        b"": "",
    }
    for number, subject in enumerate(subjects):
        keep(kept, copy(number, BOB), letter=b"Subject: " + subject + b"\r\n\r\nx")

    shown = {int(one.name, 16): one.subject for one in kept.listed()}
    assert [shown[number] for number in range(len(subjects))] == list(subjects.values())
