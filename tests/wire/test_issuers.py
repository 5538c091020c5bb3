"""A gate that accepts three post offices, each with its own ledger, their keys in a DNS on loopback."""

import smtplib
import time
from contextlib import ExitStack, closing
from os import urandom

import pytest
from tests.support.dns_server import DnsServer
from tests.support.loopback_office import LoopbackOffice
from tests.support.mailserver import MailServer
from tests.support.program import Served, init, run_json
from tests.support.real_postfix import free_port
from tests.support.town import ANN, BOB, Town, letter

from pennyred.gate.issuers import keyquestions
from pennyred.gate.issuers.discovery import key_name
from pennyred.office.keys import add_key
from pennyred.postage.keyrecord import format_key_record
from pennyred.postage.minting import mint_licence
from pennyred.postage.signing import SigningKey
from pennyred.sender.franking import stamp_letter
from pennyred.sender.wallet import load_wallet

DOMAINS = ("one.example", "two.example", "three.example")


class Country:
    """Three offices as services, a name server that has their keys, a sender at each, and one gate."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.dns = stack.enter_context(DnsServer(ttl=0))
        self.offices = {}
        for domain in DOMAINS:
            home = folder / domain
            init(home)  # makes the ledger; its settings are not used here
            (home / "office.key").unlink()
            add_key(home / "office.key", urandom(32))
            office = self.offices[domain] = stack.enter_context(LoopbackOffice(home, issuer=domain))
            self.publish(domain)
            token = office.do(office.office.add_receiver("mx", ["example.org"])).token
            (folder / f"{domain}.token").write_text(token)
            (folder / f"{domain}.token").chmod(0o600)
            run_json("open", "--office", office.url, "--address", ANN, home=self.home(domain))
            account = load_wallet(self.home(domain)).account
            office.do(office.office.ledger.credit(account, 10, "test", now=office.office.now))
        self.mail_server = stack.enter_context(MailServer())

    def publish(self, domain):
        """All its keys, as `pennyred dns` prints them."""
        for selector, key in self.offices[domain].office.keys.public_keys.items():
            self.dns.replace(key_name(domain, selector), "TXT", format_key_record(key))

    def home(self, domain):
        return self.folder / f"{domain}.home"

    def serve(self, gate="", issuer=""):
        host, port = self.dns.address
        self.port = free_port()
        tables = "".join(
            f'[[issuer]]\ndomain = "{domain}"\nurl = "{office.url}"\ntoken_file = "{domain}.token"\n{issuer}\n'
            for domain, office in self.offices.items()
        )
        settings = self.folder / "pennyred.toml"
        settings.write_text(
            f'[gate]\nlisten = ["127.0.0.1:{self.port}"]\nupstream = "smtp://127.0.0.1:{self.mail_server.port}"\n'
            f'hostname = "mx.example.org"\nissuers = {list(DOMAINS)}\nnameservers = ["{host}:{port}"]\n{gate}\n{tables}'
        )
        return Served(settings)

    def stamped(self, domain):
        wallet = load_wallet(self.home(domain))
        return stamp_letter(letter(), [BOB], wallet.key, wallet.licence, now=int(time.time()), random_bytes=urandom)

    def send(self, stamped):
        return Town(self.folder, self.port, 0, 0).send(stamped, BOB)

    def spent(self, domain):
        return run_json("balance", home=self.home(domain))["spent"]


@pytest.fixture
def country(tmp_path):
    with ExitStack() as stack:
        yield Country(tmp_path, stack)


@pytest.mark.long
def test_each_stamp_is_redeemed_where_it_was_sold(country):
    with country.serve():
        for domain, times in zip(DOMAINS, (1, 2, 3), strict=True):
            for _ in range(times):
                assert country.send(country.stamped(domain))[0] == 250
    assert [country.spent(domain) for domain in DOMAINS] == [1, 2, 3]
    for office in country.offices.values():
        assert office.do(office.office.ledger.audit()).balanced


@pytest.mark.long
def test_an_office_that_is_gone_and_a_dns_that_is_silent_defer_their_own_mail_only(country):
    with country.serve():
        country.dns.fail("s1._postage.two.example")
        code, text = country.send(country.stamped("two.example"))
        assert code == 451
        assert "4.3.0" in text
        stamped = country.stamped("three.example")
        country.offices["three.example"].__exit__()
        assert country.send(stamped)[0] == 451
        assert country.send(country.stamped("one.example"))[0] == 250


@pytest.mark.long
def test_a_key_that_was_rotated_counts_once_dns_has_it_and_stamps_of_the_old_one_go_on(country):
    one = country.offices["one.example"]
    with country.serve():
        before = country.stamped("one.example")
        add_key(one.settings.signing_key, urandom(32))
        one.office.keys.reload()
        account = one.do(one.office.ledger.account(load_wallet(country.home("one.example")).account))
        licence = one.office.licence(account)
        assert licence.selector == "s2"
        wallet = load_wallet(country.home("one.example"))
        new = stamp_letter(letter(), [BOB], wallet.key, licence, now=int(time.time()), random_bytes=urandom)
        code, _ = country.send(new)
        assert code == 451  # DNS may not have it everywhere yet
        assert country.send(before)[0] == 250
        country.publish("one.example")
    with country.serve():  # anew, so that nobody waits for the minute after which DNS is asked again
        assert country.send(new)[0] == 250
        assert country.send(country.stamped("one.example"))[0] == 250
    assert country.spent("one.example") == 3


@pytest.mark.long
def test_without_dnssec_a_key_in_dns_does_not_count_where_it_is_asked_for(country):
    with country.serve(issuer="dnssec = true"):
        assert country.send(country.stamped("one.example"))[0] == 451


@pytest.mark.long
def test_an_account_that_was_closed_is_refused_and_a_new_key_takes_over(country):
    two = country.offices["two.example"]
    with country.serve():
        account = load_wallet(country.home("one.example")).account
        country.offices["one.example"].do(country.offices["one.example"].office.ledger.close_account(account))
        code, text = country.send(country.stamped("one.example"))
        assert (code, "(account-closed)" in text) == (550, True)
        lost = load_wallet(country.home("two.example"))
        two.do(two.office.ledger.replace_key(lost.account, b"\x58" + bytes(31)))
        code, text = country.send(country.stamped("two.example"))
        assert (code, "(revoked)" in text) == (550, True)


def invented(number):
    """A letter with a stamp for Bob that names a key which is nowhere; it is one that anybody can make."""
    key = SigningKey.from_seed(b"\x07" * 32)
    now = int(time.time())
    licence = mint_licence(
        key, issuer="one.example", selector=f"x{number}", account="a" * 16, public_key=key.public, daily_cap=1000,
        valid_from=now - 3600, valid_until=now + 86_400,
    )  # fmt: skip
    return stamp_letter(letter(), [BOB], key, licence, now=now, random_bytes=urandom)


def sent_from(port, source, octets):
    """The last answer to a letter for Bob from one of the machine's own addresses."""
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=(source, 0))) as smtp:
        smtp.ehlo("client.example")
        for say, mailbox in ((smtp.mail, ANN), (smtp.rcpt, BOB)):
            code, text = say(mailbox)
            if code != 250:
                return code, text.decode()
        try:
            code, text = smtp.data(octets)
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code, str(refused.smtp_error, "utf-8")
        return code, text.decode()


@pytest.mark.long
def test_who_invents_selectors_is_barred_and_a_key_once_found_outlasts_them_a_silent_dns_and_a_restart(country):
    with country.serve() as served:
        assert country.send(country.stamped("one.example"))[0] == 250
        said = [sent_from(country.port, "127.0.7.1", invented(number)) for number in range(12)]
        assert said[0][0] == 451
        assert any("Too many bad stamps" in text for _, text in said), said
        asked = country.dns.asked_in_all
        for source in range(10, 40):  # and from many places
            for number in range(4):
                assert sent_from(country.port, f"127.0.{source}.1", invented(f"{source}-{number}"))[0] == 451
        assert country.dns.asked_in_all <= asked + 120
        country.dns.fail("s1._postage.one.example")
        assert country.send(country.stamped("one.example"))[0] == 250
        assert served.process.poll() is None
    with country.serve():
        assert country.send(country.stamped("one.example"))[0] == 250
        country.dns.fail("s1._postage.two.example")
        assert country.send(country.stamped("two.example"))[0] == 451  # nobody has ever found that one
    assert country.spent("one.example") == 3


@pytest.mark.long
def test_all_workers_together_ask_dns_for_so_many_invented_selectors_of_one_network(country):
    limits = "workers = 4\nmax_bad_stamps_per_minute = 1000"
    with country.serve(limits):
        for number in range(80):
            assert sent_from(country.port, "127.0.7.1", invented(number))[0] == 451
        # Twice as many, if the minute of the clock ended meanwhile.
        asked = sum(country.dns.asked(key_name("one.example", f"x{number}")) for number in range(80))
        assert keyquestions.PER_SOURCE_MAX <= asked <= 2 * keyquestions.PER_SOURCE_MAX


@pytest.mark.timeout(400)
@pytest.mark.long
def test_a_dns_that_does_not_answer_is_named_in_the_log_and_by_check(country):
    name = "s1._postage.two.example"
    country.dns.fail(name)
    with country.serve() as served:
        code, text = country.send(country.stamped("two.example"))
        assert (code, "office-unreachable" in text) == (451, True)
        line = served.wait_for(lambda line: line["event"] == "office.key_not_found")
        assert (line["office"], line["selector"]) == ("two.example", "s1")
        assert f"DNS does not answer for {name}" in line["why"]

        check = ["--config", str(served.settings), "check"]
        found = {one["key"]: one for one in run_json(*check, check=False)["complaints"]}
        gates, issuers = found["gate.nameservers"], found["issuer[1].domain"]
        assert f"does not answer for {name}: no name server has an answer" in gates["what"]
        assert f"DNS does not answer for {name}" in issuers["what"]
        assert gates["later"]
        assert issuers["later"]

        country.dns.mend(name)
        found = {one["key"] for one in run_json(*check, check=False)["complaints"]}
        assert found.isdisjoint({"gate.nameservers", "issuer[1].domain"})


@pytest.mark.long
def test_a_key_that_dns_has_not_is_named_in_the_log_once_a_minute(country):
    country.dns.replace("s1._postage.one.example", "TXT")
    with country.serve() as served:
        for _ in range(2):
            assert country.send(country.stamped("one.example"))[0] == 451
            served.wait_for_letter()
        lines = [line for line in served.log if line["event"] == "office.key_not_found"]
        assert [line["why"] for line in lines] == ["DNS has no key at s1._postage.one.example"]


@pytest.mark.long
def test_check_says_what_is_missing_in_dns(country):
    with country.serve() as served:
        check = ["--config", str(served.settings), "check"]
        assert not [one for one in run_json(*check, check=False)["complaints"] if one["key"].startswith("issuer")]
        country.dns.replace("s1._postage.one.example", "TXT", "v=pennyred1; k=ed25519; p=")
        [complaint] = [one for one in run_json(*check, check=False)["complaints"] if one["key"].startswith("issuer")]
        assert complaint["key"] == "issuer[0].domain"
        assert "s1._postage.one.example" in complaint["what"]
