"""What `verify` says of the stamps of a letter, and whose keys it asks for."""

import time

import pytest
from tests.support.dkim_keys import rsa_key, sign
from tests.support.dns_server import DnsServer
from tests.support.stationery import LETTER, Stationery

from pennyred.cli.verifying import LOOKUPS_MAX
from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import letter_hash, signed_parts
from pennyred.postage.errors import Unavailable
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.proofs.chain import GENESIS, BatchHead, Epoch, Totals, Use
from pennyred.postage.proofs.merkle import Tree, root_of
from pennyred.postage.proofs.receipt import format_receipt, seal, sign_head
from pennyred.postage.reasons import Reason

BOB = "bob@example.org"
TO_TWO = LETTER.replace(b"<bob@example.org>", b"<bob@example.org>, eve@d.example")


@pytest.fixture
def letter():
    """Stamped just now by a sender of an office whose key is in DNS."""
    return Stationery().stamped(LETTER, BOB, now=int(time.time()))


@pytest.fixture
def zone(monkeypatch):
    """The keys in DNS; raises what is in it."""
    records = {("post.example.org", "s1"): Stationery().office_key.public}

    async def find_key(domain, selector):
        found = records.get((domain, selector))
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("pennyred.gate.issuers.discovery.find_key", find_key)
    return records


def only(said):
    (row,) = said.document["stamps"]
    return row


@pytest.mark.usefixtures("zone")
class TestVerify:
    def test_a_stamp_that_holds_is_told_with_its_number_and_issuer(self, run, letter):
        said = run("verify", "--json", stdin=letter)

        serial = "00000000000000000000000000000001"
        assert only(said) == {
            "recipient": BOB,
            "verdict": "full",
            "reason": "stamped",
            "altered": "",
            "serial": serial,
            "issuer": "post.example.org",
        }
        assert serial in run("verify", stdin=letter).text

    def test_line_ends_of_files_do_not_matter(self, run, letter):
        assert only(run("verify", "--json", stdin=letter.replace(b"\r\n", b"\n")))["verdict"] == "full"

    @pytest.mark.parametrize(
        ("alter", "verdict", "reason", "status"),
        [
            (lambda letter: letter + b"unsubscribe\r\n", "invalid", "altered-body", 1),
            (lambda letter: letter.replace(b"<1@", b"<2@"), "modified", "stamped-modified", 0),
            (lambda letter: letter.replace(b"Tea", b"Coffee"), "invalid", "altered-headers", 1),
            (lambda letter: letter.replace(b"v=2;", b"v=1;"), "invalid", "unknown-version", 1),
            (lambda letter: letter.replace(b"v=2;", b"v=x;"), "invalid", "malformed", 1),
        ],
    )
    def test_what_was_altered_is_told(self, run, letter, alter, verdict, reason, status):
        row = only(run("verify", "--json", stdin=alter(letter), status=status))

        assert (row["verdict"], row["reason"]) == (verdict, reason)

    def test_another_recipient_has_no_stamp_in_it(self, run, letter):
        said = run("verify", "--to", "eve@example.org", stdin=letter, status=1)

        assert "wrong-recipient" in said.err

    def test_every_recipient_needs_one(self, run):
        stamped = Stationery().stamped(TO_TWO, BOB, now=int(time.time()))

        said = run("verify", stdin=stamped, status=1)
        assert "no stamp holds for eve@d.example (no-stamp)" in said.err

        assert only(run("verify", "--json", "--to", BOB, stdin=stamped))["recipient"] == BOB

    def test_a_letter_without_stamps_has_none(self, run):
        said = run("verify", "--json", stdin=LETTER, status=1)

        assert said.document == {"stamps": []}
        assert "no-stamp" in run("verify", stdin=LETTER, status=1).err

    def test_an_expired_stamp_is_told(self, run):
        stamped = Stationery().stamped(LETTER, BOB, now=int(time.time()) - 200, lifetime_seconds=100)

        assert only(run("verify", "--json", stdin=stamped, status=1))["reason"] == "expired"

    def test_without_recipients_there_is_nothing_to_say(self, run):
        run("verify", stdin=b"From: ann@sender.example\r\n\r\n", status=2)


def test_an_office_without_a_key_in_dns_vouches_for_nobody(run, letter, zone):
    zone.clear()

    assert only(run("verify", "--json", stdin=letter, status=1))["reason"] == "bad-licence"


def test_while_dns_does_not_answer_nothing_is_said(run, letter, zone):
    zone["post.example.org", "s1"] = Unavailable(Reason.OFFICE_UNREACHABLE, "DNS does not answer")

    said = run("verify", "--json", stdin=letter, status=75)

    assert said.document["error"]["reason"] == "office-unreachable"


def test_a_letter_cannot_have_dns_asked_for_ever(run, monkeypatch):
    asked = []

    async def find_key(domain, _):
        asked.append(domain)

    monkeypatch.setattr("pennyred.gate.issuers.discovery.find_key", find_key)
    desk = Stationery()
    forged = b"".join(
        desk.stamp(LETTER, BOB).field().replace(b"i=post.", b"i=p%03d." % number) for number in range(LOOKUPS_MAX + 10)
    )

    run("verify", stdin=forged + LETTER, status=1)

    assert len(set(asked)) == len(asked) == LOOKUPS_MAX


def test_the_office_on_this_machine_knows_its_own_keys(at, letter, tmp_path):
    (tmp_path / "post" / "office.key").write_bytes(Stationery().office_key.to_pem())

    assert only(at("verify", "--json", stdin=letter))["verdict"] == "full"


def test_the_office_one_has_an_account_at_is_known(run, account):
    stamped = run("stamp", stdin=LETTER).out

    assert only(run("verify", "--json", stdin=stamped))["verdict"] == "full"


EPOCH = Epoch(b"\x07" * 16, 2, 1_794_900_000)


def receipt_of(letter_hash, *, key=None, serial=b"\x01" * 16, number=1, epochs=()):
    """One that an office has signed, for a batch of this one payment."""
    use = Use("aaaaaaaaaaaaaaaa", 20_790, serial, letter_hash, "mx", "example.org", 1, 1_795_000_000)
    head = BatchHead(number, use.at, Totals(10, 1, 0), 1, root_of([use.detail]), GENESIS, epochs)
    signature = sign_head(key or Stationery().office_key, "post.example.org", "s1", head)
    return format_receipt("post.example.org", "s1", seal(use, head, 0, Tree([use.detail])), signature)


@pytest.mark.usefixtures("zone")
class TestReceipts:
    def told(self, run, tmp_path, *receipts, letter=None, status=0):
        (tmp_path / "receipts").write_bytes(b"\n".join(receipts))
        words = ["verify", "--receipt", tmp_path / "receipts", "--json"]
        if letter is not None:
            (tmp_path / "letter").write_bytes(letter)
            words.append(tmp_path / "letter")
        return run(*words, status=status).document["receipts"]

    def test_one_that_the_office_has_signed_holds_and_says_for_what(self, run, tmp_path):
        [row] = self.told(run, tmp_path, receipt_of(b"l" * 32))
        assert (row["verdict"], row["receiver"], row["letter"], row["batch"]) == ("holds", "mx", "6c" * 32, 1)
        assert row["at"].endswith("Z")

    def test_with_the_letter_it_says_whether_that_was_the_one(self, run, tmp_path):
        section, body = split_letter(LETTER)
        own = letter_hash(signed_parts(parse_header(section), body_hash(body)), canonical_recipient(BOB))
        rows = self.told(
            run, tmp_path, receipt_of(own), receipt_of(b"x" * 32, serial=b"\x02" * 16, number=2), letter=LETTER
        )
        assert [row["letter"] for row in rows] == ["own", "other"]

    def test_an_office_that_took_one_stamp_for_two_letters_is_shown(self, run, tmp_path):
        rows = self.told(run, tmp_path, receipt_of(b"a" * 32), receipt_of(b"b" * 32), status=1)
        assert [row["verdict"] for row in rows] == ["contradicts", "contradicts"]

    def test_an_office_that_signs_two_heads_of_one_number_is_shown_too(self, run, tmp_path):
        rows = self.told(run, tmp_path, receipt_of(b"a" * 32), receipt_of(b"b" * 32, serial=b"\x02" * 16), status=1)
        assert [row["verdict"] for row in rows] == ["contradicts", "contradicts"]

    def test_one_that_was_restored_from_a_backup_in_between_says_so_and_is_not_convicted(self, run, tmp_path):
        """Behind batch 2 it knows nothing of what it had signed: the same stamp, and the same number, come again."""
        rows = self.told(
            run, tmp_path, receipt_of(b"a" * 32, number=4), receipt_of(b"b" * 32, number=4, epochs=(EPOCH,))
        )
        assert [(row["verdict"], row["epoch"]) for row in rows] == [("restored", 0), ("holds", 1)]
        said = run("verify", "--receipt", tmp_path / "receipts", "--json").document["restored"]
        assert said == [{"issuer": "post.example.org", "at": "2026-11-17T07:20:00Z", "follows": 2}]
        text = run("verify", "--receipt", tmp_path / "receipts").text
        assert "post.example.org was restored from a backup on 2026-11-17T07:20:00Z" in text
        assert "behind batch 2" in text

    def test_what_a_restored_office_still_had_in_its_books_convicts_it(self, run, tmp_path):
        rows = self.told(
            run,
            tmp_path,
            receipt_of(b"a" * 32, number=2),
            receipt_of(b"b" * 32, number=4, epochs=(EPOCH,)),
            receipt_of(b"c" * 32, serial=b"\x02" * 16, number=2 + 1),
            status=1,
        )
        assert [row["verdict"] for row in rows] == ["contradicts", "contradicts", "restored"]

    def test_within_one_epoch_two_letters_for_one_stamp_convict_it(self, run, tmp_path):
        receipts = [receipt_of(name * 32, number=4 + n, epochs=(EPOCH,)) for n, name in enumerate((b"a", b"b"))]
        assert [row["verdict"] for row in self.told(run, tmp_path, *receipts, status=1)] == ["contradicts"] * 2

    def test_two_restores_of_one_backup_are_two_epochs(self, run, tmp_path):
        other = Epoch(b"\x08" * 16, 2, 1_794_990_000)
        receipts = [receipt_of(b"a" * 32, number=4, epochs=(EPOCH,)), receipt_of(b"b" * 32, number=4, epochs=(other,))]
        assert [row["verdict"] for row in self.told(run, tmp_path, *receipts)] == ["restored", "holds"]

    def test_a_time_that_no_calendar_has_is_said_as_it_is(self, run, tmp_path):
        [row] = self.told(run, tmp_path, receipt_of(b"a" * 32, number=4, epochs=(Epoch(b"\x07" * 16, 2, 2**53 - 1),)))
        assert row["verdict"] == "holds"

    def test_one_that_somebody_else_has_signed_is_forged(self, run, tmp_path):
        [row] = self.told(run, tmp_path, receipt_of(b"l" * 32, key=Stationery().sender_key), status=1)
        assert row["verdict"] == "forged"

    @pytest.mark.parametrize("content", [b"", b"nothing", b"\xff" * 100, b"v=1; " * 100])
    def test_what_is_no_receipt_is_named(self, run, tmp_path, content):
        (tmp_path / "receipts").write_bytes(content)
        assert "receipt" in run("verify", "--receipt", tmp_path / "receipts", status=2).err


FOOTER = LETTER + b"-- \r\nfooter\r\n"


@pytest.fixture
def dns():
    """A name server that knows the key of Ann's domain and of a shared sender's."""
    records = {f"s._domainkey.{domain}": {"TXT": [rsa_key().txt]} for domain in ("sender.example", "shared.example")}
    with DnsServer(records) as server:
        yield server


@pytest.fixture
def asking(at, tmp_path, dns):
    """Commands on a machine whose gate asks that name server, and whose office has made the stamps."""
    settings = tmp_path / "post" / "pennyred.toml"
    host, port = dns.address
    text = f'[gate]\nnameservers = ["{host}:{port}"]\nsubject_tags = ["***SPAM***"]'
    settings.write_text(settings.read_text().replace("[gate]", text, 1))
    (tmp_path / "post" / "office.key").write_bytes(Stationery().office_key.to_pem())
    return at


def with_stamp(altered):
    """An altered letter, with the stamp that LETTER had."""
    return Stationery().stamp(LETTER, BOB, now=int(time.time())).field() + altered


SAID = {
    "same": ("full", "stamped", "", 0),
    "signed by its author": ("modified", "stamped-modified", "body", 0),
    "not signed": ("invalid", "altered-body", "body", 1),
    "signed by somebody else": ("invalid", "altered-body", "body", 1),
    "signed before": ("invalid", "altered-body", "body", 1),
    "another subject, signed by its author": ("modified", "stamped-modified", "subject", 0),
    "another subject": ("invalid", "altered-headers", "subject", 1),
    "a tag of the settings": ("modified", "stamped-modified", "subject", 0),
}


@pytest.mark.parametrize("name", SAID)
def test_where_all_hangs_on_the_author_he_is_proven_as_at_a_gate(asking, dns, name):
    coffee = LETTER.replace(b"Tea", b"Coffee")
    letters = {
        "same": LETTER,
        "signed by its author": sign(FOOTER, "sender.example", "s", rsa_key()),
        "not signed": FOOTER,
        "signed by somebody else": sign(FOOTER, "shared.example", "s", rsa_key()),
        "signed before": sign(LETTER, "sender.example", "s", rsa_key()).replace(LETTER, FOOTER),
        "another subject, signed by its author": sign(coffee, "sender.example", "s", rsa_key()),
        "another subject": coffee,
        "a tag of the settings": LETTER.replace(b"Tea", b"***SPAM*** Tea"),
    }
    verdict, reason, altered, status = SAID[name]

    row = only(asking("verify", "--json", stdin=with_stamp(letters[name]), status=status))

    assert (row["verdict"], row["reason"], row["altered"]) == (verdict, reason, altered)
    assert (dns.questions["s._domainkey.sender.example", "TXT"] > 0) is ("by its author" in name)


def test_while_dns_is_silent_about_the_author_it_is_said_to_try_later(asking, dns):
    dns.fail("s._domainkey.sender.example")
    signed = sign(FOOTER, "sender.example", "s", rsa_key())

    said = asking("verify", "--json", stdin=with_stamp(signed), status=75)

    assert only(said)["reason"] == "dns-unavailable"


def test_a_stamp_for_somebody_else_asks_nobody(asking, dns):
    stray = Stationery().stamp(LETTER, "eve@example.net", now=int(time.time())).field()

    asking("verify", stdin=stray + sign(FOOTER, "sender.example", "s", rsa_key()), status=1)

    assert not dns.questions["s._domainkey.sender.example", "TXT"]


@pytest.mark.usefixtures("zone")
def test_it_is_said_that_names_are_not_signed(run, letter):
    assert "not the name" in run("verify", stdin=letter).text
    assert "not the name" not in run("verify", stdin=LETTER, status=1).text
