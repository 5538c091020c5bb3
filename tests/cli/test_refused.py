"""Refused letters, from the command line: find one, read it, deliver it after all."""

import contextlib
import time

import pytest
from tests.support.kept import ORIGIN, copy, hash_of, keep, quarantine
from tests.support.mailserver import MailServer
from tests.support.stationery import LETTER, NOW

from pennyred.programs import release

EVIL = b"From: =?utf-8?q?=1B]0;evil?= <e@evil.example>\r\nSubject: [bold]x[/nothing] \x1b[31m\r\n\r\n\x1b[2Jcleared\r\n"


@pytest.fixture
def server():
    with MailServer() as server:
        yield server


@pytest.fixture
def gate(run, tmp_path, server):
    """Run a command with settings of a gate that keeps what it refuses; three letters are there."""
    settings = tmp_path / "pennyred.toml"
    settings.write_text(
        f'[gate]\nupstream = "smtp://127.0.0.1:{server.port}"\nhostname = "gate.example.org"\n'
        'issuers = ["post.example.org"]\n[gate.quarantine]\n[office]\ndomain = "post.example.org"\n'
    )
    kept = quarantine(tmp_path / "refused")
    keep(kept, copy(0xA1 << 248))
    keep(kept, copy(0xA2 << 248, b"eve@example.org", "spent"), letter=EVIL)
    keep(kept, copy(0xB3 << 248))
    return run


BOBS, EVES, BOBS_OTHER = (hash_of(number << 248).hex()[:12] for number in (0xA1, 0xA2, 0xB3))


@pytest.fixture
def permits(monkeypatch):
    """What is approved."""
    written = []

    class Book:
        async def add(self, user, kind, name, proof, *, expires_day):
            written.append((user, kind, name, proof))

    monkeypatch.setattr(release, "open_permits", lambda _: contextlib.nullcontext(Book()))
    return written


class TestList:
    def test_each_letter_is_a_line(self, gate):
        shown = gate("refused", "list").text
        for text in (BOBS, EVES, "bob@example.org", "Ann <ann@sender.example>", "Tea", "no-stamp", "spent"):
            assert text in shown
        assert "\x1b" not in shown
        assert "[bold]x[/nothing] ?[31m" in shown

    def test_as_a_document_it_is_what_is_documented(self, gate):
        [entry] = gate("refused", "list", "--to", "Eve@example.org", "--json").document["refused"]
        assert entry == {
            "id": EVES,
            "at": "2026-11-18T11:06:40+00:00",
            "to": "eve@example.org",
            "from": "?]0;evil <e@evil.example>",
            "subject": "[bold]x[/nothing] ?[31m",
            "reason": "spent",
            "source": "198.51.100.7",
            "bytes": len(EVIL),
        }

    def test_days_leave_out_what_is_older(self, gate, monkeypatch):
        monkeypatch.setattr(time, "time", lambda: NOW + 3 * 86_400)
        assert len(gate("refused", "list", "--days", 4, "--json").document["refused"]) == 3
        assert gate("refused", "list", "--days", 2, "--json").document["refused"] == []

    def test_nothing_kept_is_an_empty_list(self, gate):
        assert gate("refused", "list", "--to", "nobody@example.org", "--json").document == {"refused": []}


class TestShow:
    def test_raw_is_the_letter_byte_for_byte(self, gate):
        assert gate("refused", "show", EVES, "--raw").out == EVIL
        assert gate("refused", "show", BOBS[:4], "--raw").out == LETTER

    def test_for_people_it_is_printable(self, gate):
        shown = gate("refused", "show", EVES).text
        assert "\x1b" not in shown
        assert "?[2Jcleared" in shown
        assert "Subject: [bold]x[/nothing] ?[31m" in shown
        assert "198.51.100.7" in shown

    def test_as_a_document_it_has_its_fields_and_text(self, gate):
        shown = gate("refused", "show", BOBS, "--json").document
        assert shown["sender"] == "ann@sender.example"
        assert shown["authenticated"] == ORIGIN.authenticated
        assert shown["header"].startswith("From: Ann <ann@sender.example>\nTo: Bob")
        assert shown["text"] == "Shall we have tea?"

    @pytest.mark.parametrize(
        ("letter_id", "status", "reason"),
        [("ffff", 1, "unknown-letter"), ("xyz", 2, "malformed"), ("../../etc", 2, "malformed")],
    )
    def test_an_id_that_is_none_is_said(self, gate, letter_id, status, reason):
        said = gate("refused", "show", letter_id, "--json", status=status)
        assert said.document["error"]["reason"] == reason

    def test_an_id_of_several_letters_names_them(self, gate, tmp_path):
        keep(quarantine(tmp_path / "refused"), copy((0xA1 << 248) + 1))
        said = gate("refused", "show", BOBS, status=2)
        assert "several" in said.err

    def test_raw_and_json_are_one_too_many(self, gate):
        gate("refused", "show", BOBS, "--raw", "--json", status=2)


class TestRelease:
    def test_the_letter_arrives_its_sender_is_approved_and_the_copy_is_gone(self, gate, server, permits):
        said = gate("refused", "release", BOBS)

        [taken] = server.letters
        assert taken.letter.partition(b"\r\n")[2] == LETTER
        assert f"{BOBS} bob@example.org: 250 2.0.0 Ok" in said.text
        assert "ann@sender.example may write to bob@example.org without a stamp" in said.text
        assert permits == [("bob@example.org", "address", "ann@sender.example", "")]
        gate("refused", "show", BOBS, status=1)

    def test_no_approve_and_keep_do_as_they_say(self, gate, server, permits):
        [one] = gate("refused", "release", BOBS, "--no-approve", "--keep", "--json").document["released"]

        assert len(server.letters) == 1
        assert permits == []
        assert one["kept"] is True
        assert set(one) == {"id", "to", "fate", "reply", "kept", "approved", "trouble"}
        gate("refused", "show", BOBS)

    def test_several_and_each_once(self, gate, server):
        gate("refused", "release", BOBS, EVES, BOBS)
        assert len(server.letters) == 2

    def test_all_of_a_recipient(self, gate, server):
        gate("refused", "release", "--all", "--to", "bob@example.org")
        assert len(server.letters) == 2
        assert [one["id"] for one in gate("refused", "list", "--json").document["refused"]] == [EVES]
        assert gate("refused", "release", "--all", "--to", "bob@example.org").text == "nothing was refused\n"

    @pytest.mark.parametrize(
        ("answer", "status", "reason"),
        [(b"554 5.7.1 never\r\n", 1, "refused"), (b"451 4.3.0 later\r\n", 75, "upstream-unavailable")],
    )
    def test_a_refusal_is_1_and_later_is_75_and_the_copy_stays(self, gate, server, permits, answer, status, reason):
        server.answer(b".", answer, answer)

        said = gate("refused", "release", BOBS, status=status)
        assert answer.decode().strip() in said.text
        assert reason in said.err

        document = gate("refused", "release", BOBS, "--json", status=status).document
        assert document["released"][0]["reply"] == answer.decode().strip()
        assert permits == []
        gate("refused", "show", BOBS)

    def test_one_that_is_refused_does_not_keep_the_others_back(self, gate, server):
        server.answer(b".", b"554 5.7.1 never\r\n")
        released = gate("refused", "release", BOBS, EVES, "--json", status=1).document["released"]
        assert [one["fate"] for one in released] == ["refused-permanent", "accepted"]

    def test_a_book_that_does_not_answer_is_75_and_the_letter_is_gone_all_the_same(self, gate, server, monkeypatch):
        class Book:
            async def add(self, *_, **__):
                from pennyred.postage.errors import Unavailable
                from pennyred.postage.reasons import Reason

                raise Unavailable(Reason.INTERNAL, "the disk is full")

        monkeypatch.setattr(release, "open_permits", lambda _: contextlib.nullcontext(Book()))
        said = gate("refused", "release", BOBS, status=75)
        assert "could not be approved: the disk is full" in said.text
        gate("refused", "show", BOBS, status=1)

    @pytest.mark.parametrize("words", [[], ["--all"], ["--to", "bob@example.org"], ["a1a1", "--to", "x@y.example"]])
    def test_it_must_be_said_which(self, gate, words):
        gate("refused", "release", *words, status=2)

    def test_an_id_that_fits_none_releases_none(self, gate, server):
        gate("refused", "release", BOBS, "ffff", status=1)
        assert server.letters == []


@pytest.mark.parametrize("words", [["list"], ["show", "abcd"], ["release", "abcd"]], ids=" ".join)
def test_without_a_quarantine_it_is_said_what_to_add(at, words):
    said = at("refused", *words, status=2)
    assert "[gate.quarantine]" in said.err
    assert at("refused", *words, "--json", status=2).document["error"]["reason"] == "settings"
