"""Correspondents, permits and rules of single recipients by command."""

import bz2
import gzip
import json
import lzma
import re
from pathlib import Path

import pytest

ANN, BOB, CARL = "ann@example.org", "bob@example.org", "carl@friends.example"
LOG = (
    "2026-11-20T10:00:00+00:00 mx postfix/qmgr[7]: 4Abc12: from=<ann@example.org>, size=512, nrcpt=1 (queue active)\n"
    "2026-11-20T10:00:01+00:00 mx postfix/smtp[8]: 4Abc12: to=<carl@friends.example>, relay=mx[192.0.2.1]:25, dsn=2.0.0,"
    " status=sent (250 Ok)\n"
)


class TestCorrespondents:
    def test_one_is_added_asked_for_counted_and_removed(self, at):
        assert "free until" in at("correspondents", "add", ANN, CARL, "Dora@Friends.example").text
        assert at("correspondents", "list", "--json").document["users"][0]["correspondents"] == 2
        asked = at("correspondents", "list", "--user", "Ann+tag@example.org", "--with", CARL, "--json").document
        assert asked["last"] is not None
        assert at("correspondents", "remove", ANN, CARL, "--json").document == {"user": ANN, "removed": 1}
        assert at("correspondents", "remove", ANN, "--all", "--json").document["removed"] == 1

    def test_a_pair_that_is_not_known_is_1(self, at):
        said = at("correspondents", "list", "--user", ANN, "--with", CARL, status=1)
        assert f"{ANN} has not written to {CARL}" in said.err

    @pytest.mark.parametrize(
        "words",
        [
            ["list", "--with", CARL],
            ["add", ANN],
            ["add", "nobody", CARL],
            ["remove", ANN],
            ["remove", ANN, CARL, "--all"],
            ["import"],
            ["import", "missing.log", "--domain", "example.org"],
        ],
        ids=" ".join,
    )
    def test_what_cannot_be_done_is_2(self, at, words):
        at("correspondents", *words, status=2)

    @pytest.mark.parametrize("name", ["mail.log", "mail.log.1.gz", "mail.log.1.xz", "mail.log.1.bz2"])
    @pytest.mark.parametrize("is_named", [True, False], ids=["by its name", "by how it begins"])
    def test_a_log_is_imported_packed_or_not(self, at, tmp_path, name, is_named):
        pack = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}.get(Path(name).suffix, bytes)
        log = tmp_path / (name if is_named else "log")
        log.write_bytes(pack(LOG.encode() + b"\xff\x00 rubbish\n"))
        said = at("correspondents", "import", log, "--domain", "Example.ORG", "--json").document
        assert said == {"pairs": 1, "users": 1, "lines": 3, "understood": 2, "skipped": {}}
        assert at("correspondents", "list", "--user", ANN, "--with", CARL, "--json").document["last"] == "2026-11-20"

    def test_a_log_comes_by_standard_input(self, at):
        said = at("correspondents", "import", "-", "--domain", "example.org", stdin=LOG.encode())
        assert "1 pairs of 1 users" in said.text
        assert "2 of 2 lines are a mail server's" in said.text
        packed = gzip.compress(LOG.encode())
        assert (
            at("correspondents", "import", "-", "--domain", "example.org", "--json", stdin=packed).document["pairs"]
            == 1
        )

    def test_lines_of_which_none_is_understood_are_a_complaint_and_the_other_files_are_learned(self, at, tmp_path):
        (tmp_path / "good.log").write_text(LOG)
        (tmp_path / "bad.log").write_text("Nov 20 10:00:00 mx sshd[1]: \x1b[2Jhello\n" * 10)
        said = at(
            "correspondents", "import", tmp_path / "bad.log", tmp_path / "good.log", "--domain", "example.org", status=2
        )
        assert "bad.log: none of 10 lines is understood, the first: Nov 20 10:00:00 mx sshd[1]: ?[2Jhello" in said.err
        assert "expected: a log of Postfix or Exim" in said.err
        assert "good.log" not in said.err
        assert at("correspondents", "list", "--user", ANN, "--with", CARL, "--json").document["last"] == "2026-11-20"

    def test_a_few_lines_of_others_are_none(self, at, tmp_path):
        (tmp_path / "mail.log").write_text("Nov 20 10:00:00 mx rsyslogd: rotated\n")
        said = at("correspondents", "import", tmp_path / "mail.log", "--domain", "example.org", "--json").document
        assert (said["pairs"], said["lines"], said["understood"]) == (0, 1, 0)

    def test_it_is_said_why_sent_letters_are_passed_over(self, at, tmp_path):
        (tmp_path / "mail.log").write_text(LOG)
        said = at("correspondents", "import", tmp_path / "mail.log", "--domain", "x.example")
        assert "1 sent letters passed over: its sender is none of yours" in said.text

    @pytest.mark.parametrize("inside", ["\r", "\x85", "\u2028", "x" * 30_000])
    def test_nothing_inside_a_line_begins_another(self, at, tmp_path, inside):
        forged = LOG.replace("carl@friends", "x@bank").partition("\n")[2]
        front = "2026-11-20T10:00:00+00:00 mx postfix/smtpd[7]: x"
        for fill in range(8):  # wherever the bound of a line may fall
            line = f"{front}{inside}{'y' * fill}{forged}"
            (tmp_path / "mail.log").write_bytes((LOG.partition("\n")[0] + "\n" + line).encode())
            said = at("correspondents", "import", tmp_path / "mail.log", "--domain", "example.org", "--json").document
            assert said["pairs"] == 0

    def test_what_python_cannot_unpack_is_named_with_a_way_round(self, at, tmp_path):
        (tmp_path / "mail.log.zst").write_bytes(b"\x28\xb5\x2f\xfd")
        said = at("correspondents", "import", tmp_path / "mail.log.zst", "--domain", "x.example", status=2)
        assert "zstdcat" in said.err

    @pytest.mark.parametrize("octets", [gzip.compress(LOG.encode())[:60], b"no gzip"], ids=["cut off", "none"])
    def test_a_packed_log_that_is_broken_is_named(self, at, tmp_path, octets):
        (tmp_path / "mail.log.gz").write_bytes(octets)
        assert (
            "mail.log.gz"
            in at("correspondents", "import", tmp_path / "mail.log.gz", "--domain", "x.example", status=2).err
        )

    def test_without_domains_nobody_knows_whose_mail_is_outgoing(self, at, tmp_path):
        (tmp_path / "mail.log").write_text(LOG)
        assert "--domain" in at("correspondents", "import", tmp_path / "mail.log", status=2).err

    def test_lists_of_pairs_and_of_one_users_addresses(self, at, tmp_path):
        (tmp_path / "pairs").write_text(f"{ANN} {CARL}\n{BOB},{CARL}\n")
        (tmp_path / "one").write_text(f"# friends\n{CARL}\n")
        assert at("correspondents", "import", tmp_path / "pairs", "--pairs", "--json").document == {
            "pairs": 2,
            "users": 2,
        }
        assert at("correspondents", "import", tmp_path / "one", "--user", ANN, "--json").document["pairs"] == 1
        (tmp_path / "bad").write_text(f"{CARL}\nno address\n")
        assert "line 2" in at("correspondents", "import", tmp_path / "bad", "--user", ANN, status=2).err


class TestPermits:
    def test_lists_domains_and_addresses_are_approved_shown_and_taken_back(self, at):
        words = ["--list", "<News.Example.net>", "--domain", "shop.example", "--address", CARL, "--days", "30"]
        added = at("permit", "add", BOB, *words, "--json").document["permits"]
        assert [(one["kind"], one["name"]) for one in added] == [
            ("list", "news.example.net"),
            ("domain", "shop.example"),
            ("address", CARL),
        ]
        assert all(one["until"] for one in added)
        assert len(at("permit", "list", BOB, "--json").document["permits"]) == 3
        assert at("permit", "list", ANN, "--json").document["permits"] == []
        at("permit", "remove", BOB, "news.example.net")
        assert len(at("permit", "list", "--json").document["permits"]) == 2
        at("permit", "remove", BOB, "news.example.net", status=1)

    def test_everybody_and_a_domain_of_ours_may_be_named(self, at):
        at("permit", "add", "everybody", "--domain", "bank.example")
        at("permit", "add", "Example.org", "--domain", "bank.example")
        assert [one["user"] for one in at("permit", "list", "--json").document["permits"]] == ["*", "example.org"]
        assert "everybody" in at("permit", "list").text

    @pytest.mark.parametrize(
        "words",
        [
            ["add", BOB],
            ["add", BOB, "--domain", "no domain"],
            ["add", BOB, "--address", "nobody"],
            ["add", BOB, "--address", CARL, "--proof", "friends.example"],
            ["add", BOB, "--address", CARL, "--proof", "192.0.2.1/24"],
            ["add", BOB, "--domain", "a.example", "--days", "0"],
            ["address", "nobody"],
            ["expect", BOB, "--minutes", "0"],
        ],
        ids=" ".join,
    )
    def test_what_cannot_be_is_2(self, at, words):
        at("permit", *words, status=2)

    def test_a_tagged_address_is_made_and_the_domain_it_is_for_is_told(self, at):
        made = at("permit", "address", "Bob@example.org", "--domain", "shop.example", "--json").document
        assert made["address"].startswith("bob+permit-d")
        assert made["address"].endswith("@example.org")
        assert made["domain"] == "shop.example"
        assert at("permit", "address", BOB).text.strip().startswith("bob+permit-a")

    def test_a_window_is_opened(self, at):
        said = at("permit", "expect", BOB, "--domain", "shop.example", "--minutes", "5", "--json").document
        assert said == {"user": BOB, "domain": "shop.example", "minutes": 5}


class TestRecipients:
    def test_a_rule_is_set_shown_and_forgotten(self, at):
        at("recipient", "set", "Ceo@example.org", "--price", "10", "--mode", "require")
        at("recipient", "set", "example.net", "--free")
        rules = at("recipient", "list", "--json").document["recipients"]
        assert rules == [
            {"recipient": "ceo@example.org", "price": 10, "mode": "require", "free": False},
            {"recipient": "example.net", "price": None, "mode": None, "free": True},
        ]
        assert "ceo@example.org" in at("recipient", "list").text
        at("recipient", "remove", "ceo@example.org")
        at("recipient", "remove", "ceo@example.org", status=1)

    @pytest.mark.parametrize("words", [["nobody@"], ["x@y.example", "--price", "0"], ["x@y.example", "--mode", "odd"]])
    def test_what_cannot_be_is_2(self, at, words):
        at("recipient", "set", *words, status=2)


@pytest.mark.parametrize(
    "words", [["correspondents", "list"], ["permit", "list"], ["recipient", "list"], ["report"]], ids=" ".join
)
def test_without_a_gate_it_is_said_what_is_missing(run, tmp_path, words):
    settings = tmp_path / "pennyred.toml"
    settings.write_text('[office]\ndomain = "post.example.org"\n')
    said = run("--config", settings, *words, "--json", status=2)
    assert "[gate]" in json.dumps(said.document)


@pytest.mark.parametrize(
    "words",
    [
        "permit add {} --domain shop.example",
        "permit expect {}",
        "permit address {}",
        "correspondents add {} carl@friends.example",
        "recipient set {} --price 2",
    ],
)
def test_a_recipient_whose_domain_is_misspelt_is_noted(at, tmp_path, words):
    settings = tmp_path / "post/pennyred.toml"
    text = settings.read_text()
    assert "domains = [" in text
    settings.write_text(re.sub(r"^(# )?domains = .*$", 'domains = ["example.org"]', text, flags=re.MULTILINE))
    assert "note" not in at(*words.format("bob@example.org").split()).err
    said = at(*words.format("bob@exmaple.org").split(), "--json")
    assert said.document
    assert "note: exmaple.org is none of the domains whose mail this is ([gate] domains: example.org)" in said.err


def test_everybody_and_a_gate_of_no_named_domain_have_nothing_to_note(at, tmp_path):
    settings = tmp_path / "post/pennyred.toml"
    text = settings.read_text()
    settings.write_text(re.sub(r"^(# )?domains = .*$", 'domains = ["example.org"]', text, flags=re.MULTILINE))
    assert at("permit", "add", "everybody", "--domain", "bank.example").err == ""
    settings.write_text(re.sub(r"^(# )?domains = .*\n", "", text, flags=re.MULTILINE))
    assert at("permit", "add", "bob@exmaple.org", "--domain", "bank.example").err == ""
