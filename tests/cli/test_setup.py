"""init, check, dns: from an empty folder to settings that are well."""

import asyncio
import os
import re
import stat

import msgspec
import pytest
import trustme
from dns import resolver
from tests.support.dns_server import DnsServer
from tests.support.fake_upstream import CHUNKING, FakeUpstream

from pennyred.config import read_settings
from pennyred.gate.issuers.discovery import key_name
from pennyred.office.keys import OfficeKeys
from pennyred.postage.keyrecord import format_key_record, parse_key_record
from pennyred.postage.policyrecord import PostagePolicy, Wanted, find_policy
from pennyred.postage.signing import SigningKey
from pennyred.programs.checks import dnsprobes

OFFICE_KEY = key_name("post.example.org", "s1")
FILES = ["gate-pass.key", "ledger.db", "office.key", "pennyred.toml"]


def test_init_writes_what_a_gate_and_an_office_need(run, tmp_path):
    folder = tmp_path / "deep" / "post"

    said = run("init", folder, "--json")

    assert sorted(said.document) == ["files"]
    assert sorted(said.document["files"]) == [str(folder / name) for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "ledger.db.lock"])


def test_what_init_writes_can_be_read(run, tmp_path):
    run(
        "init",
        tmp_path,
        "--domain",
        "Post.Example.NET",
        "--hostname",
        "mx.example.net",
        "--upstream",
        "lmtp://[::1]:24",
    )

    settings = read_settings(tmp_path / "pennyred.toml")

    assert settings.office is not None
    assert settings.gate is not None
    assert settings.office.domain == "post.example.net"
    assert (settings.gate.hostname, settings.gate.upstream) == ("mx.example.net", ("lmtp://[::1]:24",))
    assert settings.gate.mode == "monitor", "a new gate does no harm"


def test_init_takes_the_domains_whose_mail_it_is(run, tmp_path):
    run("init", tmp_path / "some", "--mail-for", "Example.org", "--mail-for", "example.net")
    run("init", tmp_path / "none")

    assert read_settings(tmp_path / "some/pennyred.toml").gate.domains == ("example.org", "example.net")
    assert read_settings(tmp_path / "none/pennyred.toml").gate.domains == ()


def test_init_keeps_secrets_from_others(run, tmp_path):
    before = os.umask(0)
    try:
        run("init", tmp_path)
    finally:
        os.umask(before)

    for name in ("office.key", "gate-pass.key", "ledger.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_init_takes_the_current_folder(run, tmp_path):
    run("init")

    assert (tmp_path / "pennyred.toml").exists()


@pytest.mark.parametrize("name", FILES)
def test_init_overwrites_nothing_and_names_what_is_there(run, tmp_path, name):
    existing = tmp_path / name
    existing.write_text("mine")

    said = run("init", tmp_path, status=2)

    assert existing.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert str(existing) in said.err
    assert said.err.count("exists already") == 1


def test_init_again_names_everything_that_is_there(run, tmp_path):
    run("init", tmp_path)

    said = run("init", tmp_path, "--json", status=2)

    message = said.document["error"]["message"]
    assert said.document["error"]["reason"] == "settings"
    assert all(str(tmp_path / name) in message for name in FILES)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--domain", "not a domain"),
        ("--upstream", "http://x"),
        ("--hostname", 'x"\nmode = "require'),
        ("--domain", "{"),
        ("--mail-for", "not a domain"),
        ("--mail-for", '"] #'),
    ],
)
def test_init_writes_nothing_it_could_not_read(run, tmp_path, option, value):
    folder = tmp_path / "post"

    said = run("init", folder, option, value, status=2)

    assert "expected" in said.err
    assert not folder.exists()


def test_dns_prints_the_records_to_publish(at, tmp_path):
    keys = OfficeKeys(tmp_path / "post" / "office.key").public_keys

    key, policy = at("dns", "--json").document["records"]

    assert key["name"] == key_name("post.example.org", "s1")
    assert key["type"] == policy["type"] == "TXT"
    assert parse_key_record(key["text"]) == keys["s1"]
    assert policy["name"] == "_postage.DOMAIN"
    assert find_policy([policy["text"]]) == PostagePolicy(Wanted.NONE, 1, ("post.example.org",))
    assert at("dns").text == "".join(f'{one["name"]}. IN TXT "{one["text"]}"\n' for one in (key, policy))


def test_a_gate_publishes_for_each_of_its_domains_what_it_asks_for(run, tmp_path):
    (tmp_path / "pennyred.toml").write_text(
        '[gate]\nissuers = ["post.example.org"]\ndomains = ["a.example", "b.example"]\nmode = "bulk"\nprice = 3\n'
        '[[issuer]]\ndomain = "post.example.org"\nurl = "https://post.example.org"\ntoken_file = "t"\n'
    )
    (tmp_path / "t").write_text("t" * 43)

    records = run("dns", "--json").document["records"]

    assert [one["name"] for one in records] == ["_postage.a.example", "_postage.b.example"]
    assert {one["text"] for one in records} == {"v=POSTAGE1; w=bulk; p=3; i=post.example.org"}


def test_a_new_key_stands_beside_the_old_one(at, tmp_path):
    old = at("dns", "--json").document["records"]

    said = at("key", "rotate", "--json").document

    assert said == {"selector": "s2", "file": str(tmp_path / "post" / "office-s2.key")}
    assert stat.S_IMODE((tmp_path / "post" / "office-s2.key").stat().st_mode) == 0o600
    records = at("dns", "--json").document["records"][:2]
    assert records[:1] == old[:1]
    assert [record["name"] for record in records] == [f"{one}._postage.post.example.org" for one in ("s1", "s2")]
    assert records[0]["text"] != records[1]["text"]
    assert "s3" in at("key", "rotate").text


def test_where_there_is_neither_office_nor_gate_there_is_nothing_to_publish(run, tmp_path):
    (tmp_path / "pennyred.toml").write_text("")

    said = run("dns", "--json", status=2)

    assert said.document["error"]["reason"] == "settings"


# check


class Published(DnsServer):
    """DNS as the office's owner has filled it, by a real name server: keys by their names."""

    def __setitem__(self, name, key):
        self.replace(name, "TXT", *([format_key_record(key)] if key else []))


@pytest.fixture
def dns():
    with Published() as server:
        yield server


@pytest.fixture
def check(at, dns, tmp_path):
    """Run `pennyred check` with a mail server behind the gate; all is well but for what the test has changed."""
    folder = tmp_path / "post"
    dns[OFFICE_KEY] = OfficeKeys(folder / "office.key").public_keys["s1"]
    toml = folder / "pennyred.toml"
    asked = 'nameservers = ["{}:{}"]'.format(*dns.address)
    toml.write_text(toml.read_text().replace("[gate]", f"[gate]\n{asked}", 1).replace("[office]", f"[office]\n{asked}"))

    ports = [10025]

    def run_check(*options, upstream=None, status=2):
        async def with_upstream():
            async with upstream or closed() as server:
                toml.write_text(toml.read_text().replace(f"127.0.0.1:{ports[-1]}", f"127.0.0.1:{server.port}"))
                ports.append(server.port)
                return await asyncio.to_thread(lambda: at("check", *options, status=status))

        return asyncio.run(with_upstream())

    return run_check


def closed(**options):
    """A mail server that takes nothing for strangers."""
    upstream = FakeUpstream(**options)
    upstream.answers[b"RCPT"].extend([b"554 5.7.1 Relay access denied\r\n"] * 10)  # each kind of stranger asks
    return upstream


def complaints(said):
    assert list(said.document) == ["complaints", "hints"]
    for one in said.document["complaints"]:
        assert list(one) == ["file", "key", "what", "expected", "later"]
        assert one["file"].endswith("pennyred.toml")
    return {one["key"]: one["what"] for one in said.document["complaints"]}


def test_when_all_is_well_it_is_said(check):
    assert check(status=0).text == "all is well\n"


def test_a_hint_is_no_complaint(check, tmp_path):
    toml = tmp_path / "post" / "pennyred.toml"
    toml.write_text(toml.read_text().replace("[gate]", '[gate]\ntrusted_fronts = ["127.0.0.1/32"]', 1))

    well, hint = check(status=0).text.splitlines()

    assert well == "all is well"
    assert hint.startswith(f"hint: {toml}: gate.mixed: ")


def test_a_certificate_for_another_name_is_complained_of(check, tmp_path):
    folder = tmp_path / "post"
    made = trustme.CA().issue_cert("www.example.org")
    made.private_key_pem.write_to_path(folder / "mx.key")
    (folder / "mx.key").chmod(0o600)
    (folder / "mx.pem").write_bytes(made.cert_chain_pems[0].bytes())
    toml = folder / "pennyred.toml"
    toml.write_text(toml.read_text().replace("[gate]", '[gate]\ntls_certificate = "mx.pem"\ntls_key = "mx.key"', 1))

    assert "www.example.org, not for mx.example.org" in complaints(check("--json"))["gate.tls_certificate"]


def test_an_open_relay_is_complained_of(check):
    upstream = FakeUpstream()

    said = complaints(check("--json", upstream=upstream))

    assert set(said) == {"gate.upstream"}
    assert "OPEN RELAY" in said["gate.upstream"]
    assert b"DATA\r\n" not in upstream.commands


def test_one_that_offers_chunks_and_does_not_know_them_is_complained_of(check):
    upstream = closed(keywords=CHUNKING)
    upstream.answers[b"."] += [b"500 5.5.2 command not recognized\r\n"]

    said = complaints(check("--json", upstream=upstream))

    assert set(said) == {"gate.upstream_chunking"}
    assert "does not know BDAT" in said["gate.upstream_chunking"]
    check(upstream=closed(keywords=CHUNKING), status=0)


def test_a_mail_server_that_would_not_know_the_client_is_complained_of(check):
    said = complaints(check("--json", upstream=closed(keywords=("PIPELINING",))))

    assert set(said) == {"gate.upstream_identity"}


def test_all_complaints_come_at_once(check, tmp_path, dns):
    folder = tmp_path / "post"
    dns[OFFICE_KEY] = None
    (folder / "office.key").chmod(0o644)
    (folder / "gate-pass.key").write_text("short")
    (folder / "ledger.db").unlink()

    said = check("--json", upstream=FakeUpstream())

    assert list(complaints(said)) == [
        "gate.pass_key",
        "gate.upstream",
        "office.signing_key",
        "office.ledger",
        "office.domain",
    ]
    assert len(check(upstream=FakeUpstream()).text.splitlines()) == 5


def test_a_mail_server_that_is_not_there_is_complained_of(check):
    upstream = FakeUpstream()
    upstream.answers[b"220"].append(b"554 5.3.2 go away\r\n")

    assert "554 5.3.2 go away" in complaints(check("--json", upstream=upstream, status=75))["gate.upstream"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_gate_before_itself_is_complained_of_and_nobody_is_asked(check, tmp_path, host):
    toml = tmp_path / "post" / "pennyred.toml"
    own = re.search(r'listen = \["[0-9.]+:([0-9]+)"\]', toml.read_text())
    assert own is not None
    toml.write_text(toml.read_text().replace("127.0.0.1:10025", f"{host}:{own[1]}"))

    upstream = FakeUpstream()
    assert complaints(check("--json", upstream=upstream))["gate.upstream"] == "the gate itself"
    assert upstream.heard == []


def test_each_of_several_mail_servers_is_probed(check, tmp_path):
    toml = tmp_path / "post" / "pennyred.toml"
    toml.write_text(
        toml.read_text().replace('"smtp://127.0.0.1:10025"', '["smtp://127.0.0.1:10025", "smtp://127.0.0.1:1"]')
    )

    said = check("--json", status=75)

    [complaint] = said.document["complaints"]
    assert complaint["key"] == "gate.upstream"
    assert complaint["expected"] == "a mail server at smtp://127.0.0.1:1"


@pytest.mark.parametrize(
    ("published", "what"),
    [
        (SigningKey.from_seed(bytes(32)).public, "another key is published"),
        (None, "the key is not published"),
    ],
)
def test_what_dns_says_is_compared(check, dns, published, what):
    dns[OFFICE_KEY] = published

    assert what in complaints(check("--json"))["office.domain"]


def test_a_ledger_that_is_none_is_complained_of(check, tmp_path):
    (tmp_path / "post" / "ledger.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)

    assert "office.ledger" in complaints(check("--json"))


def test_a_key_that_is_none_is_complained_of(check, tmp_path):
    (tmp_path / "post" / "office.key").write_text("no key")

    assert str(tmp_path / "post" / "office.key") in complaints(check("--json"))["office.signing_key"]


def test_settings_that_cannot_be_read_are_complaints_too(run, tmp_path):
    (tmp_path / "pennyred.toml").write_text("[gate]\nprice = 0\n")

    said = run("check", "--json", status=2)

    assert set(complaints(said)) == {"gate.price", "gate.issuers"}


def test_check_looks_at_where_outgoing_mail_goes_and_where_refused_letters_are_kept(at, tmp_path):
    (tmp_path / "post" / "file").write_text("no folder")
    (tmp_path / "post" / "pennyred.toml").write_text(
        '[gate]\nhostname = "mx.example.org"\nissuers = ["post.example.org"]\n'
        '[gate.outgoing]\nupstream = "smtp://127.0.0.1:1"\n[gate.quarantine]\nfolder = "file/refused"\n'
        '[office]\ndomain = "post.example.org"\n'
    )
    said = at("check", "--json", status=2)
    keys = {one["key"] for one in said.document["complaints"]}
    assert {"gate.outgoing.upstream", "gate.quarantine.folder"} <= keys


# What does not answer just now, and what somebody has to mend


def test_what_only_does_not_answer_is_75_and_what_has_to_be_mended_is_2(check, dns):
    refusing = FakeUpstream()
    refusing.answers[b"220"].append(b"421 4.3.2 try later\r\n")
    said = check("--json", upstream=refusing, status=75)
    assert [one["later"] for one in said.document["complaints"]] == [True]

    dns[OFFICE_KEY] = None
    said = check("--json", status=2)
    assert [(one["key"], one["later"]) for one in said.document["complaints"]] == [("office.domain", False)]


def test_a_name_server_that_does_not_answer_is_complained_of_by_name(check, dns, monkeypatch):
    monkeypatch.setattr("pennyred.programs.checks.dnsprobes.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("pennyred.gate.issuers.discovery.LIFETIME_SECONDS", 0.3)
    dns.fall_silent(OFFICE_KEY)

    said = check("--json", status=75)

    found = complaints(said)
    host, port = dns.address
    assert found["gate.nameservers"] == (
        f"the name server {host}:{port} does not answer for {OFFICE_KEY}: no name server answers"
    )
    assert f"DNS does not answer for {OFFICE_KEY}" in found["office.domain"]


def test_a_name_server_that_knows_nothing_of_the_office_but_answers_is_well(check, dns):
    dns.fail(OFFICE_KEY)
    assert "no name server has an answer" in complaints(check("--json", status=75))["gate.nameservers"]
    dns.mend(OFFICE_KEY)
    dns[OFFICE_KEY] = None
    assert set(complaints(check("--json", status=2))) == {"office.domain"}


def test_a_dead_name_server_beside_one_that_lives_is_complained_of(check, dns, tmp_path, monkeypatch):
    monkeypatch.setattr("pennyred.programs.checks.dnsprobes.ANSWER_SECONDS", 0.5)
    toml = tmp_path / "post/pennyred.toml"
    toml.write_text(toml.read_text().replace("nameservers = [", 'nameservers = ["127.0.0.1:1", ', 1))

    found = complaints(check("--json", status=75))

    assert list(found) == ["gate.nameservers"]
    assert "the name server 127.0.0.1:1 does not answer for" in found["gate.nameservers"]


def test_a_name_server_that_is_not_reached_by_tcp_is_complained_of(check, dns, monkeypatch):
    """A firewall that lets DNS through by UDP alone keeps the mail of whoever has much in his DNS waiting."""

    def hang_up():
        dns._tcp.accept()[0].close()

    monkeypatch.setattr(dns, "_take_connection", hang_up)
    found = complaints(check("--json", status=75))
    assert set(found) == {"gate.nameservers", "office.nameservers"}
    assert f"does not answer for {OFFICE_KEY}" in found["gate.nameservers"]
    assert "when asked by TCP" in found["gate.nameservers"]


def test_the_name_server_of_this_machine_is_asked_where_none_is_set(check, tmp_path, monkeypatch):
    def unconfigured(*_, **__):
        raise resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.asyncresolver.Resolver", unconfigured)
    settings = read_settings(tmp_path / "post/pennyred.toml")
    parts = {name: msgspec.structs.replace(getattr(settings, name), nameservers=()) for name in ("gate", "office")}
    settings = msgspec.structs.replace(settings, **parts)
    [found] = asyncio.run(dnsprobes.dns_complaints(settings))
    assert (found.key, found.what) == ("gate.nameservers", "this machine has no name server")
