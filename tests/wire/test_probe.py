"""`pennyred probe` against a started gate and office, by real Postfixes that rewrite: it names exactly what they have
altered, says what a gate says, and nothing is spent.
"""

import json
import re
import smtplib
import urllib.request
from contextlib import closing

import pytest
from tests.support import real_postfix
from tests.support.program import run, run_json
from tests.support.real_postfix import Postfix, free_port
from tests.support.town import ANN, BOB, Town, letter

MIRROR = "mirror@post.example.org"
needs_postfix = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)


@pytest.fixture(scope="module")
def town(tmp_path_factory, mail_server):
    """A town whose office has a mirror, and a sender without a single stamp."""
    found = Town.found(tmp_path_factory.mktemp("mirror"), mail_server.port, "", f'mirror = "{MIRROR}"')
    with found.serve("--workers", "2"):
        run_json("open", "--office", f"http://127.0.0.1:{found.office_port}", "--address", ANN, home=found.home)
        yield found


@pytest.fixture
def path(town, tmp_path):
    """Starts a Postfix between the sender and the gate, with rewriting of its own."""
    started = []

    def start(**settings: str) -> Postfix:
        port = free_port()
        postfix = Postfix(
            f"127.0.0.1:{port} inet n - n - - smtpd\n",
            {
                "relayhost": f"[127.0.0.1]:{town.gate_port}",
                "mynetworks": "127.0.0.0/8",
                "smtpd_relay_restrictions": "permit_mynetworks, reject",
                "virtual_mailbox_domains": "",
                **settings,
            },
        )
        postfix.port = port
        started.append(postfix)
        return postfix.__enter__()

    yield start
    for one in started:
        one.__exit__()


def probed(town: Town, via: str, *arguments: str) -> dict:
    [found] = run_json("probe", "--via", via, *arguments, home=town.home, check=False)["probes"]
    return found


def altered_by(found: dict) -> list[str]:
    return [one["part"] for one in found["fields"] if one["finding"] == "altered"]


def test_a_straight_way_alters_nothing_and_costs_nothing(town, mail_server):
    mail_server.forget()
    before = town.balance(), town.audit()
    found = run_json("probe", "--via", f"127.0.0.1:{town.gate_port}", home=town.home)["probes"]
    assert [one["shape"] for one in found] == ["plain", "words", "html"]
    assert {(one["verdict"], one["reason"], one["row"]) for one in found} == {("paid", "stamped", "unaltered")}
    assert [altered_by(one) + one["altered"] for one in found] == [[], [], []]
    assert all(one["stamp"] == {"fields": 1, "stamps": 1, "form": "folded"} for one in found)
    assert (town.balance(), town.audit()) == before
    assert mail_server.letters == []


@needs_postfix
def test_exactly_what_a_real_server_rewrites_is_named(town, path, tmp_path):
    rules = tmp_path / "checks"
    rules.write_text(
        "/^Subject: / REPLACE Subject: Buy now, it is cheap\n/^Message-ID: / REPLACE Message-ID: <made@provider.example>\n"
    )
    tmp_path.chmod(0o755)
    before = town.balance(), town.audit()
    postfix = path(smtp_header_checks=f"regexp:{rules}")
    found = probed(town, f"127.0.0.1:{postfix.port}", "--shape", "plain")
    assert found["altered"] == altered_by(found) == ["subject", "message-id"]
    assert (found["verdict"], found["reason"], found["row"]) == ("due", "altered-headers", "subject-unproven")
    [subject] = [one for one in found["fields"] if one["part"] == "subject"]
    assert (subject["sent"], subject["arrived"]) == ("Penny Red probe", "Buy now, it is cheap")
    assert (town.balance(), town.audit()) == before


@needs_postfix
def test_a_message_id_that_a_provider_makes_anew_is_no_harm(town, path, tmp_path):
    rules = tmp_path / "checks"
    rules.write_text("/^Message-ID: / REPLACE Message-ID: <made@provider.example>\n")
    found = probed(town, f"127.0.0.1:{path(smtp_header_checks=f'regexp:{rules}').port}", "--shape", "plain")
    assert (found["altered"], found["reason"], found["row"]) == (["message-id"], "stamped-modified", "same-text")
    [advice] = found["advice"]
    assert advice["about"] == "message-id"
    assert "Nothing to do" in advice["text"]


@needs_postfix
def test_a_way_that_removes_the_field_is_said_to_be_none_with_all_else_that_it_alters(town, path, tmp_path):
    rules = tmp_path / "checks"
    rules.write_text("/^X-Postage-Stamp: / IGNORE\n/^Subject: / REPLACE Subject: other\n")
    found = probed(town, f"127.0.0.1:{path(header_checks=f'regexp:{rules}').port}", "--shape", "plain")
    assert (found["verdict"], found["reason"]) == ("due", "no-stamp")
    assert found["altered"] == ["subject"]
    assert found["stamp"] == {"fields": 0, "stamps": 0, "form": ""}
    assert "removes it" in found["advice"][0]["text"]


@needs_postfix
def test_a_way_by_a_command(town, path):
    postfix = path()
    command = f"/usr/sbin/sendmail -C {postfix.folder / 'conf'} -t -i -f {{from}}"
    found = probed(town, command, "--shape", "words")
    assert (found["reason"], found["altered"]) == ("stamped", [])


def test_a_way_by_hand_and_words_for_people(town):
    """`stdout` prints the letter; what a person does with it is done here by swapping the pages."""
    done = run("probe", "--via", "stdout", "--wait", "1", home=town.home, check=False)
    assert done.returncode == 75
    assert done.stdout.startswith(b"X-Postage-Stamp: v=2;")
    assert b"not arrived" in done.stderr
    [address] = set(re.findall(rb"mirror\+[a-z2-7]{26}@post\.example\.org", done.stderr))
    assert town.send(done.stdout, address.decode())[0] == 250
    [page] = set(re.findall(r"http://\S+/probes/[a-z2-7]{26}", done.stderr.decode()))
    assert b"takes this letter" in _get(page)
    assert json.loads(_get(page.replace("/probes/", "/v1/probes/")))["arrivals"][0]["reason"] == "stamped"


def test_the_table_says_what_was_sent_what_arrived_and_what_a_gate_says(town):
    done = run("probe", "--via", f"127.0.0.1:{town.gate_port}", "--shape", "plain", home=town.home)
    for words in (b"message-id", b"same", b"A gate takes it: the stamp counts (stamped)", b"Author proven: no"):
        assert words in done.stdout, words


def test_a_letter_of_ones_own(town, tmp_path):
    own = tmp_path / "own.eml"
    own.write_bytes(letter("Newsletter"))
    found = probed(town, f"127.0.0.1:{town.gate_port}", "--letter", str(own))
    assert found["reason"] == "stamped"
    assert next(one["sent"] for one in found["fields"] if one["part"] == "subject") == "Newsletter"
    assert BOB not in found["header"]


def test_strangers_have_no_mailbox_no_relay_and_no_answer_there(town, mail_server):
    mail_server.forget()
    for tag in ("", "+", "+" + "a" * 26, "+x"):
        code, text = town.send(letter(), f"mirror{tag}@post.example.org")
        assert (code, text[:6]) == (550, "5.1.1 "), tag
    assert mail_server.letters == []


def test_the_mirror_takes_letters_to_itself_alone(town, mail_server):
    mail_server.forget()
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        smtp.mail(ANN)
        assert [smtp.rcpt(one)[0] for one in ("postmaster@example.org", "mirror+x@post.example.org")] == [250, 452]
        assert smtp.data(letter())[0] == 250
        smtp.mail(ANN)
        assert [smtp.rcpt(one)[0] for one in ("mirror+x@post.example.org", BOB, "mirror+y@post.example.org")] == [
            250,
            452,
            452,
        ]
        assert smtp.docmd("RSET")[0] == 250
        smtp.mail(ANN)
        assert smtp.docmd("DATA")[0] == 503
    assert len(mail_server.letters) == 1


def test_the_introduction_names_the_mirror(town):
    said = json.loads(_get(f"http://127.0.0.1:{town.office_port}/.well-known/pennyred"))
    assert said["mirror"] == MIRROR


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()
