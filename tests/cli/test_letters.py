"""Stamp and send: what comes out, who gets which copy, and how a refusal is told."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.fake_upstream import KEYWORDS, FakeUpstream
from tests.support.stationery import DAY, ISSUER, LETTER, Stationery

from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.minting import mint_licence
from pennyred.postage.stamp import parse_stamp
from pennyred.sender.wallet import Wallet, load_wallet, save_key, save_wallet

ANN = "ann@sender.example"
RESENT = (
    b"550 5.7.1 Postage due: bob@example.org: this text was delivered there at 2026-11-30 22:05 UTC;"
    b" not charged again (resent)\r\n"
)
DUE = b"550 5.7.1 Postage due: <bob@example.org>: the stamp has expired (expired)\r\n"
LATER = b"451 4.3.0 The post office does not answer (office-unreachable)\r\n"
TWO_DOMAINS = (
    b"To: a@b.example, A2@b.example\r\nCc: c@d.example\r\nBcc: x@b.example\r\nFrom: ann@sender.example\r\n\r\nHello\r\n"
)


@pytest.fixture
def server():
    """A mail server by script, in a thread of its own."""
    upstream = FakeUpstream()
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def serve():
        async with upstream:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(20)
    yield upstream
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@pytest.fixture
def wallet(home):
    """Ann's account, opened some time ago: to stamp and to send, nobody needs the office."""
    desk, now = Stationery(), int(time.time())
    licence = mint_licence(
        desk.office_key,
        issuer=ISSUER,
        selector="s1",
        account=desk.account,
        public_key=desk.sender_key.public,
        daily_cap=10,
        valid_from=now - DAY,
        valid_until=now + 90 * DAY,
    )
    keys = {"s1": desk.office_key.public}
    save_key(home, desk.sender_key)
    save_wallet(home, Wallet("http://127.0.0.1:1", ISSUER, desk.account, ANN, desk.sender_key, licence, keys))


def via(server):
    return f"127.0.0.1:{server.port}"


def names(letter):
    return [field.key for field in parse_header(split_letter(letter)[0]).fields]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "letter.eml"
    path.write_bytes(LETTER)
    return path


@pytest.mark.usefixtures("wallet")
class TestStamp:
    def test_a_stamp_is_added_on_top_and_nothing_else(self, run, file):
        stamped = run("stamp", file).out

        assert stamped.startswith(b"X-Postage-Stamp: v=2;")
        assert stamped.endswith(LETTER)
        assert names(stamped) == [b"x-postage-stamp", *names(LETTER)]

    def test_standard_input_does_as_well(self, run):
        assert run("stamp", stdin=LETTER).out.endswith(LETTER)
        assert run("stamp", "-", stdin=LETTER).out.endswith(LETTER)

    def test_date_and_message_id_are_added_where_they_are_missing(self, run):
        stamped = run("stamp", "--to", "bob@example.org", stdin=b"From: ann@sender.example\n\nHello\n").out

        assert names(stamped) == [b"x-postage-stamp", b"date", b"message-id", b"to", b"from"]
        assert b"@sender.example>\r\n" in stamped

    def test_who_is_named_twice_has_one_stamp_and_that_is_said(self, run):
        done = run("stamp", "--to", "z@y.example", "--to", "Z@Y.example", "--to", "c@d.example", stdin=TWO_DOMAINS)
        assert names(done.out).count(b"x-postage-stamp") == 2
        assert "z@y.example is named 2 times: one copy, one stamp" in done.err
        assert "c@d.example" not in done.err

    def test_recipients_are_those_named_else_those_of_to_and_cc(self, run):
        letter = b"To: a@b.example, c@d.example\r\nCc: A@b.example, e@f.example\r\nFrom: ann@sender.example\r\n\r\n"

        assert names(run("stamp", stdin=letter).out).count(b"x-postage-stamp") == 3
        assert names(run("stamp", "--to", "z@y.example", stdin=letter).out).count(b"x-postage-stamp") == 1
        assert run("stamp", "--json", stdin=letter).document["recipients"] == [
            "a@b.example",
            "c@d.example",
            "e@f.example",
        ]

    def test_it_is_said_where_a_server_on_the_way_would_not_take_so_much(self, run):
        people = ", ".join(f"b{number}@b.example" for number in range(50))
        letter = f"To: {people}\r\nFrom: ann@sender.example\r\n\r\nHello\r\n".encode()

        said = run("stamp", stdin=letter)

        assert names(said.out).count(b"x-postage-stamp") == 50
        assert "and sendmail takes no letter of more than 32,768" in said.err
        assert "sendmail" not in run("stamp", stdin=TWO_DOMAINS.replace(b"Bcc", b"Reply-To")).err

    @pytest.mark.parametrize(
        "letter",
        [
            TWO_DOMAINS,
            b"Bcc:\r\n" + LETTER,
            b"Resent-Bcc: x@b.example\r\n" + LETTER,
            b"From: a@b.example\r\n\r\n",
            b"To: Bob Smith\r\nFrom: a@b.example\r\n\r\n",
            b"",
        ],
    )
    def test_a_letter_that_does_not_say_who_gets_this_copy_is_wrong_usage(self, run, letter):
        assert run("stamp", stdin=letter, status=2).out == b""
        assert run("stamp", "--json", stdin=letter, status=2).document["error"]["message"]

    def test_a_bcc_field_is_no_obstacle_where_the_recipient_is_named(self, run):
        letter = b"Resent-Bcc: z@b.example\r\n" + TWO_DOMAINS

        stamped = run("stamp", "--to", "x@b.example", stdin=letter).out

        assert stamped.startswith(b"X-Postage-Stamp:")
        assert not {b"bcc", b"resent-bcc"} & set(names(stamped)), "this copy's recipient may not learn of the others"

    def test_a_stamped_letter_is_stamped_no_second_time(self, run):
        once = run("stamp", "--to", "bob@example.org", stdin=b"From: ann@sender.example\nCc: root\n\nHello\n").out

        assert run("stamp", "--to", "bob@example.org", stdin=once).out == once

    def test_all_stamps_stand_in_one_field_where_that_is_wanted(self, run):
        letter = LETTER.replace(b"<bob@example.org>", b"<bob@example.org>, eve@example.org")

        for option, fields in (("--one-field", 1), ("--8bit", 2)):
            stamped = run("stamp", option, stdin=letter).out
            assert stamped.count(b"X-Postage-Stamp:") == fields
            assert len(run("verify", "--json", stdin=stamped).document["stamps"]) == 2

    def test_a_message_id_is_in_the_domain_of_who_writes(self, run):
        letter = LETTER.replace(b"Message-ID: <1@sender.example>\r\n", b"").replace(b"ann@sender.", b"ann@elsewhere.")

        (found,) = re.findall(rb"Message-ID: <(.*)@elsewhere.example>", run("stamp", stdin=letter).out)
        assert len(found) <= 39

    def test_what_is_guessed_is_said_and_the_document_is_alone_on_standard_output(self, run):
        letter = b"From: J\xf6rg <ann@sender.example>\r\nTo: bob@example.org\r\nCc: root\r\n\r\nHello\r\n"

        said = run("stamp", "--to", "bob@example.org", "--json", stdin=letter)

        assert "taken for windows-1252" in said.err
        assert "'root' has no domain, and becomes root@sender.example" in said.err
        assert said.document["recipients"] == ["bob@example.org"]

    def test_an_address_without_a_domain_is_no_recipient(self, run):
        """A guess may stand in a letter; nobody pays for one, or sends to it."""
        assert "name the recipients with --to" in run("stamp", stdin=b"To: root\r\n" + LETTER, status=2).err

    @pytest.mark.parametrize(
        ("letter", "why"),
        [
            (b"no field\r\n" + LETTER, "line 1 of the letter's header is no field: 'no field'"),
            (
                b"List-Unsubscribe: <https://x.example/" + b"a" * 999 + b">\r\n" + LETTER,
                "line 1: field 'list-unsubscribe'",
            ),
            (b"Cc: a!b\r\n" + LETTER, "'a!b' has no domain"),
        ],
    )
    def test_what_would_be_lost_or_garbled_is_refused_with_its_place(self, run, letter, why):
        said = run("stamp", "--to", "bob@example.org", stdin=letter, status=2)

        assert why in said.err
        assert said.out == b""

    def test_eight_bit_text_is_encoded_before_it_is_stamped(self, run):
        letter = LETTER + "Grüße\r\n".encode()

        assert run("stamp", stdin=letter).out.isascii()
        assert run("stamp", "--8bit", stdin=letter).out.endswith(letter)

    def test_a_signed_letter_that_cannot_travel_is_refused_with_the_reason(self, run):
        letter = b"Content-Type: multipart/signed; boundary=b\r\n" + LETTER + "ü".encode()

        assert "altering it would break it" in run("stamp", stdin=letter, status=2).err


def test_without_an_account_it_is_said_how_to_get_one(run, file):
    said = run("stamp", file, "--json", status=2)

    assert "pennyred open" in said.document["error"]["message"]


def aged(home, office, days, begun=-100):
    """The wallet with a licence that has so many days left."""
    wallet = load_wallet(home)
    selector, key = office.office.keys.newest
    now = int(time.time())
    licence = mint_licence(
        key,
        issuer=wallet.issuer,
        selector=selector,
        account=wallet.account,
        public_key=wallet.key.public,
        daily_cap=10,
        valid_from=now + begun * DAY,
        valid_until=now + days * DAY,
    )
    save_wallet(home, replace(wallet, licence=licence))


@pytest.mark.usefixtures("account")
class TestLicence:
    def test_one_that_is_about_to_end_is_renewed(self, run, file, home, office):
        aged(home, office, 5)

        run("stamp", file)

        assert load_wallet(home).licence.valid_until > time.time() + 30 * DAY

    def test_one_that_is_not_valid_yet_is_renewed_at_once(self, run, file, home, office):
        """It was made while the office's clock was ahead: until it is valid, every stamp would be refused."""
        aged(home, office, 100, begun=14)

        run("stamp", file)

        assert load_wallet(home).licence.valid_from <= time.time()

    def test_an_old_one_serves_while_the_office_does_not_answer(self, run, file, home, office):
        aged(home, office, 5)
        save_wallet(home, replace(load_wallet(home), office="http://127.0.0.1:1"))

        assert run("stamp", file).out.startswith(b"X-Postage-Stamp:")

    def test_one_that_has_ended_needs_the_office(self, run, file, home, office):
        aged(home, office, -1)
        save_wallet(home, replace(load_wallet(home), office="http://127.0.0.1:1"))

        said = run("stamp", file, "--json", status=75)

        assert said.document["error"]["reason"] == "office-unreachable"

    def test_a_closed_account_gets_no_more(self, run, at, file, home, office, account):
        aged(home, office, 5)
        at("account", "close", account)

        said = run("stamp", file, status=1)

        assert "account-closed" in said.err
        assert said.out == b""


@pytest.mark.usefixtures("wallet")
class TestSend:
    def test_the_stamped_letter_arrives_and_the_answer_is_told(self, run, file, server):
        said = run("send", "--via", via(server), file)

        assert said.text == "bob@example.org: 250 2.0.0 Ok: queued as 0\n"
        arrived = server.letters[0]
        assert arrived.letter.startswith(b"X-Postage-Stamp:")
        assert arrived.letter.endswith(LETTER)
        assert arrived.mail.startswith(b"MAIL FROM:<ann@sender.example>")

    def test_the_document_says_what_became_of_each_copy(self, run, file, server):
        said = run("send", "--via", via(server), "--json", file)

        reply = {"recipients": ["bob@example.org"], "code": 250, "reply": "2.0.0 Ok: queued as 0", "reason": ""}
        assert said.document == {"copies": [reply]}

    def test_a_domain_gets_one_copy_and_a_bcc_recipient_one_alone(self, run, server):
        run("send", "--via", via(server), stdin=TWO_DOMAINS)

        assert [len(one.recipients) for one in server.letters] == [2, 1, 1]
        assert [names(one.letter).count(b"x-postage-stamp") for one in server.letters] == [2, 1, 1]
        assert not any(b"bcc" in names(one.letter) for one in server.letters)
        assert server.letters[2].recipients == [b"RCPT TO:<x@b.example>\r\n"]

    def test_who_is_named_only_to_us_gets_a_copy_alone(self, run, file, server):
        run("send", "--via", via(server), "--to", "bob@example.org", "--to", "eve@example.org", file)

        assert [one.recipients for one in server.letters] == [
            [b"RCPT TO:<bob@example.org>\r\n"],
            [b"RCPT TO:<eve@example.org>\r\n"],
        ]

    def test_another_envelope_sender_can_be_named(self, run, file, server):
        run("send", "--via", via(server), "--from", "bounces@sender.example", file)

        assert server.letters[0].mail.startswith(b"MAIL FROM:<bounces@sender.example>")

    def test_a_refusal_is_printed_as_it_was_said_and_does_not_stop_the_others(self, run, server):
        server.answers[b"."].append(DUE)

        said = run("send", "--via", via(server), stdin=TWO_DOMAINS, status=1)

        assert DUE.decode().strip() in said.text
        assert "(expired)" in said.err
        assert len(server.letters) == 2

    def test_what_its_recipients_had_before_is_called_so(self, run, file, server):
        server.answers[b"."].append(RESENT)
        said = run("send", "--via", via(server), file, status=1)
        assert "bob@example.org: had this text before; it was not charged again" in said.text

    def test_what_a_server_says_cannot_steer_the_terminal(self, run, file, server):
        server.answers[b"."].append(b"550 5.7.1 \x1b]0;owned\x07 no\r\n")

        said = run("send", "--via", via(server), file, status=1)

        assert "?]0;owned? no" in said.text
        assert "\x1b" not in said.text + said.err

    def test_the_document_of_a_refusal_has_its_reason(self, run, file, server):
        server.answers[b"."].append(DUE)

        said = run("send", "--via", via(server), "--json", file, status=1)

        assert [(one["code"], one["reason"]) for one in said.document["copies"]] == [(550, "expired")]

    def test_what_may_go_later_is_75(self, run, file, server):
        server.answers[b"."].append(LATER)

        assert "451 4.3.0" in run("send", "--via", via(server), file, status=75).text

    @pytest.mark.parametrize("answers", [[], [LATER]], ids=["taken", "one of two is"])
    @pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
    def test_what_was_sent_and_could_not_be_told_is_not_called_later(self, home, tmp_path, server, answers, as_json):
        """Who goes by 75 would send all of it again, and pay again."""
        server.answers[b"."] += [b"250 ok\r\n", *answers]
        (tmp_path / "two.eml").write_bytes(TWO_DOMAINS.replace(b"Bcc: x@b.example\r\n", b""))
        command = [sys.executable, "-m", "pennyred", "send", "--via", via(server), "two.eml", *as_json]
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
                env=os.environ | {"PENNYRED_HOME": str(home)},
            )  # fmt: skip
        assert done.returncode == 74, done.stderr
        assert "done, but it could not be told on standard output: no space left on the disk; " in done.stderr

    def test_text_stays_eight_bit_where_the_server_takes_it_and_only_there(self, run, server):
        letter = LETTER + "Grüße\r\n".encode()

        run("send", "--via", via(server), stdin=letter)
        server.keywords = ()
        run("send", "--via", via(server), stdin=letter)

        assert server.letters[0].letter.endswith(letter)
        assert server.letters[1].letter.isascii()

    def test_a_server_that_is_not_there_is_75(self, run, file):
        said = run("send", "--via", "127.0.0.1:1", "--json", file, status=75)

        assert said.document["error"]["reason"] == "upstream-unavailable"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--via", "host:port"),
            ("--via", "host:0"),
            ("--via", ""),
            ("--via", "::1"),
            ("--via", "h:1", "--from", "nobody"),
        ],
    )
    def test_wrong_usage_is_told_before_anything_is_sent(self, run, file, arguments):
        assert run("send", *arguments, file, status=2).out == b""

    def test_a_letter_without_recipients_is_wrong_usage(self, run, server):
        run("send", "--via", via(server), stdin=b"From: ann@sender.example\r\n\r\nHello\r\n", status=2)

        assert server.letters == []


def asks(price, who=b"<bob@example.org>"):
    """A refusal, as a gate says it; in lines, as it has to be where it is long."""
    return b"550-5.7.1 Postage due: %b: the stamp is worth less than the\r\n550 5.7.1 price here, %d stamps (underpaid)\r\n" % (who, price)  # fmt: skip


def worth(letter):
    """What each stamp of a letter is worth, from the top."""
    fields = parse_header(split_letter(letter)[0]).named(b"x-postage-stamp")
    return [parse_stamp(field.value).price for field in fields]


@pytest.mark.usefixtures("wallet")
class TestPrices:
    def priced(self, server, *parameters):
        server.keywords = (*KEYWORDS, " ".join(("XPOSTAGE", *map(str, parameters))))

    @pytest.mark.parametrize("price", [1, 3, 1_000_000])
    def test_stamp_makes_stamps_of_the_price_that_is_named(self, run, file, price):
        assert worth(run("stamp", "--price", price, file).out) == [price]

    @pytest.mark.parametrize("price", ["0", "-1", "1000001", "1.5", "x"])
    def test_a_price_that_no_stamp_can_have_is_wrong_usage(self, run, file, price):
        assert run("stamp", "--price", price, file, status=2).out == b""

    def test_a_letter_that_was_stamped_for_less_gets_a_stamp_for_more_and_keeps_one_for_enough(self, run, file):
        once = run("stamp", "--price", 3, file).out
        assert worth(run("stamp", "--price", 2, stdin=once).out) == [3]
        assert worth(run("stamp", "--price", 5, stdin=once).out) == [5, 3]

    def test_send_pays_what_the_server_asks_and_says_so(self, run, file, server):
        self.priced(server, 3, ISSUER, "other.example")
        said = run("send", "--via", via(server), file)
        assert [worth(one.letter) for one in server.letters] == [[3]]
        assert said.text.splitlines()[0] == "127.0.0.1 asks 3 stamps for each recipient"
        [copy] = run("send", "--via", via(server), "--json", file).document["copies"]
        assert copy["stamps"] == {"bob@example.org": 3}

    @pytest.mark.parametrize(("words", "asked"), [([], 11), (["--max-price", "2"], 3), ([], 999_999)])
    def test_more_than_the_ceiling_is_refused_before_anything_is_stamped_or_sent(self, run, file, server, words, asked):
        self.priced(server, asked, ISSUER)
        said = run("send", "--via", via(server), *words, "--json", file, status=1).document["error"]
        assert said["reason"] == "over-max-price"
        assert f"--max-price {asked}" in said["message"]
        assert not [line for line in server.commands if line.startswith(b"MAIL")]
        run("send", "--via", via(server), "--max-price", asked, file)
        assert worth(server.letters[0].letter) == [asked]

    def test_a_server_that_takes_other_offices_stamps_is_told_before_anything_is_stamped_or_sent(
        self, run, file, server
    ):
        self.priced(server, 1, "post.example.net", "POST.example.com.")
        said = run("send", "--via", via(server), "--json", file, status=1).document["error"]
        assert said["reason"] == "issuer-not-accepted"
        assert "post.example.net or post.example.com" in said["message"]
        assert ISSUER in said["message"]
        assert not [line for line in server.commands if line.startswith(b"MAIL")]
        run("send", "--via", via(server), "--max-price", 0, file)
        assert worth(server.letters[0].letter) == [], "to who takes that"

    @pytest.mark.parametrize(
        "parameters", [(), ("x",), ("0",), ("-3",), ("1000001",), ("9" * 400,), ("\u0663",), ("3.5",)]
    )
    def test_what_is_no_price_is_none(self, run, file, server, parameters):
        self.priced(server, *parameters)
        run("send", "--via", via(server), file)
        assert worth(server.letters[0].letter) == [1]

    def test_a_recipient_s_own_price_is_paid_where_the_refusal_names_it(self, run, file, server):
        self.priced(server, 2, ISSUER)
        server.answers[b"."].append(asks(7))
        said = run("send", "--via", via(server), file)
        assert [worth(one.letter) for one in server.letters] == [[7]]
        assert said.text.splitlines() == [
            "127.0.0.1 asks 2 stamps for each recipient",
            "bob@example.org: paid 7 stamps",
            "bob@example.org: 250 2.0.0 Ok: queued as 0",
        ]

    def test_each_recipient_of_a_copy_is_paid_its_own(self, run, server):
        server.answers[b"."].extend([asks(7, b"a@b.example"), asks(5, b"<A2@B.example>")])
        letter = b"To: a@b.example, A2@b.example, c@b.example\r\nFrom: ann@sender.example\r\n\r\nHello\r\n"
        [copy] = run("send", "--via", via(server), "--json", stdin=letter).document["copies"]
        assert copy["stamps"] == {"a@b.example": 7, "A2@b.example": 5, "c@b.example": 1}
        assert sorted(worth(server.letters[0].letter)) == [1, 5, 7]

    @pytest.mark.parametrize(
        ("refusals", "stamps"),
        [
            ([asks(11)], 1),
            ([asks(7), asks(8)], 7),
            ([asks(1)], 1),
            ([asks(0)], 1),
            ([asks(7, b"<eve@example.org>")], 1),
            ([asks(7).replace(b"underpaid", b"spent")], 1),
            ([asks(7).replace(b"7 stamps", b"many stamps")], 1),
            ([asks(9_999_999)], 1),
        ],
        ids=["over the ceiling", "twice", "what was paid", "nothing", "somebody else", "another reason", "no number", "no price"],
    )  # fmt: skip
    def test_a_server_cannot_bait_a_sender_into_more(self, run, file, server, refusals, stamps):
        """By hand: leave the ceiling out of send_paid, and the first of these is paid."""
        server.answers[b"."].extend(refusals)
        [copy] = run("send", "--via", via(server), "--json", file, status=1).document["copies"]
        assert copy.get("stamps", {"bob@example.org": 1}) == {"bob@example.org": stamps}
        assert server.letters == []

    def test_what_is_asked_beyond_the_ceiling_is_said(self, run, file, server):
        server.answers[b"."].append(asks(25))
        said = run("send", "--via", via(server), file, status=1)
        assert "bob@example.org: asks 25 stamps, more than --max-price 10" in said.text


def test_a_letter_that_the_shell_has_emptied_is_told_from_one_that_is_empty(account, home, tmp_path):
    """`pennyred stamp letter.eml > letter.eml`"""
    file = tmp_path / "letter.eml"
    file.write_bytes(b"From: a@b.example\r\n\r\n")
    command = f"{sys.executable} -m pennyred stamp letter.eml"
    for words, is_told in ((f"{command} > letter.eml", True), (f"{command} > other.eml", False)):
        done = subprocess.run(
            ["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PENNYRED_HOME": str(home)},
        )  # fmt: skip
        assert done.returncode == 2
        assert "the letter is empty" in done.stderr
        assert ("name another file there" in done.stderr) == is_told
