"""The settings: what is written means what it should, what is not written has its default, and nothing is a surprise."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.config import BadSettings, Complaint, GateSettings, Settings, find_settings, parse_settings, read_settings

OFFICE = '[office]\ndomain = "post.example.org"\n'
FILE = Path("/somewhere/pennyred.toml")


def gate(text: str) -> GateSettings:
    """The gate of a document with this under [gate]."""
    settings = parse_settings("[gate]\n" + text + "\n" + OFFICE, FILE)
    assert settings.gate is not None
    return settings.gate


def test_a_gate_beside_an_office_takes_that_offices_stamps():
    assert gate("").issuers == ("post.example.org",)


def test_an_office_that_is_retired_is_none_whose_stamps_count():
    elsewhere = '[[issuer]]\ndomain = "post.example.net"\ntoken_file = "token"\n'
    assert gate("").issuers == ("post.example.org",)
    for more, issuers in (("", ("post.example.org", "post.example.net")), ("retired = true", ("post.example.org",))):
        settings = parse_settings(f"[gate]\n{OFFICE}{elsewhere}{more}\n", FILE)
        assert settings.gate is not None
        assert settings.gate.issuers == issuers


def test_the_defaults_are_the_contracts():
    settings = gate("")

    assert settings.listen == (("127.0.0.1", 2525),)
    assert settings.upstream == ("smtp://127.0.0.1:10025",)
    assert (settings.upstream_identity, settings.mode) == ("xclient", "require")
    assert (settings.price, settings.workers, settings.max_size) == (1, 1, 50_000_000)
    assert settings.lease_seconds == 1320
    assert (settings.allowance.per_day, settings.allowance.per_source_per_day) == (20, 1000)
    assert settings.allowance.bounces_per_day == 20


def test_paths_are_relative_to_the_settings_file():
    settings = parse_settings('[gate]\npass_key = "keys/pass"\n' + OFFICE, FILE)
    assert settings.gate is not None
    assert settings.office is not None

    assert settings.gate.state == Path("/somewhere/gate.db")
    assert settings.gate.pass_key == Path("/somewhere/keys/pass")
    assert settings.office.ledger == Path("/somewhere/ledger.db")
    assert settings.office.signing_key == Path("/somewhere/office.key")


def test_an_absolute_database_has_four_slashes():
    assert gate('state = "sqlite:////var/lib/pennyred/gate.db"').state == Path("/var/lib/pennyred/gate.db")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("127.0.0.1:25", ("127.0.0.1", 25)), ("[::1]:0", ("::1", 0)), ("mx.example.org:2525", ("mx.example.org", 2525))],
)
def test_an_address_to_listen_at_is_host_and_port(text, meaning):
    assert gate(f'listen = ["{text}"]').listen == (meaning,)


@pytest.mark.parametrize(
    ("text", "size"),
    [('"50MB"', 50_000_000), ('"64KiB"', 65536), ('"1 GB"', 10**9), ('"20m"', 20_000_000), ('"7"', 7), ("1000", 1000)],
)
def test_a_size_is_in_bytes(text, size):
    assert gate(f"memory_per_letter = {text}").memory_per_letter == size


def test_networks_are_networks_and_names_are_canonical():
    text = 'networks = ["192.0.2.7"]\nsenders = {"News.Example" = ["2001:db8::/32"]}\nrecipients = ["Bob@EXAMPLE.org"]'

    exempt = gate("[gate.exempt]\n" + text).exempt

    assert exempt.networks == (ip_network("192.0.2.7/32"),)
    assert exempt.senders == {"news.example": (ip_network("2001:db8::/32"),)}
    assert exempt.recipients == ("bob@example.org",)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:a00:0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::/0", "::/0"),
    ],
)
@pytest.mark.parametrize("key", ["trusted_fronts", "exempt.networks", "exempt.senders"])
def test_a_network_of_mapped_addresses_is_that_of_the_addresses_a_gate_sees(key, text, meant):
    lines = {
        "trusted_fronts": f'trusted_fronts = ["{text}"]',
        "exempt.networks": f'[gate.exempt]\nnetworks = ["{text}"]',
        "exempt.senders": f'[gate.exempt]\nsenders = {{"news.example" = ["{text}"]}}',
    }
    found = gate(lines[key])
    read = {
        "trusted_fronts": found.trusted_fronts,
        "exempt.networks": found.exempt.networks,
        "exempt.senders": found.exempt.senders.get("news.example"),
    }[key]
    assert read == (ip_network(meant),)


@pytest.mark.parametrize("text", ["::ffff:10.0.0.1/104", "::ffff:10.0.0.0/129", "::ffff:10.0.0/104"])
def test_and_one_with_host_bits_is_none(text):
    with pytest.raises(BadSettings, match="without host bits"):
        gate(f'trusted_fronts = ["{text}"]')


@pytest.mark.parametrize(
    "url", ["smtp://[::1]:25", "lmtp://127.0.0.1:24", "lmtp+unix:///run/lmtp.sock", "smtp://mail.example.org"]
)
def test_the_mail_server_may_be_anywhere(url):
    assert gate(f'upstream = "{url}"').upstream == (url,)


def test_mail_servers_may_be_several_in_order_of_preference():
    several = ("smtp://b.example.org", "smtp://a.example.org:26")
    assert gate(f"upstream = {list(several)}").upstream == several
    assert len(gate(f"upstream = {[f'smtp://127.0.0.{number}' for number in range(1, 17)]}").upstream) == 16


@pytest.mark.parametrize(
    "several",
    [
        [],
        ["smtp://a", "smtp://a"],
        [f"smtp://127.0.0.{number}" for number in range(1, 18)],
        [1],
        ["smtp://a", "lmtp://b"],
    ],
)
def test_several_mail_servers_are_different_few_and_alike(several):
    with pytest.raises(BadSettings, match=r"gate\.upstream(\[0\])?: "):
        gate(f"upstream = {several}")


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        gate("").price = 7  # type: ignore[misc]


class TestFind:
    """Which file is read."""

    def test_the_one_that_was_named_comes_first(self):
        assert find_settings(Path("a.toml"), {"PENNYRED_CONFIG": "b.toml"}) == Path("a.toml")

    def test_then_the_one_in_the_environment(self):
        assert find_settings(None, {"PENNYRED_CONFIG": "b.toml"}) == Path("b.toml")

    def test_then_the_one_in_this_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pennyred.toml").touch()

        assert find_settings(None, {}) == Path("pennyred.toml")

    def test_where_there_is_none_it_says_where_it_looked(self, monkeypatch):
        monkeypatch.setattr("pennyred.config.reading.PLACES", (Path("nowhere.toml"),))

        with pytest.raises(BadSettings, match=r"nowhere.toml: no settings file, expected one there, or --config"):
            find_settings(None, {})


class TestRead:
    """Files that cannot be read are complaints too."""

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(BadSettings, match=r"x\.toml: there is no such file or folder, expected a readable file"):
            read_settings(tmp_path / "x.toml")

    def test_a_file_that_is_not_utf_8(self, tmp_path):
        file = tmp_path / "pennyred.toml"
        file.write_bytes(b"\xff\xfe")

        with pytest.raises(BadSettings, match="not UTF-8"):
            read_settings(file)

    def test_a_file_without_end(self, tmp_path):
        file = tmp_path / "pennyred.toml"
        file.write_bytes(b"#" * (4 * 2**20 + 1))

        with pytest.raises(BadSettings, match="too long"):
            read_settings(file)


names = st.sampled_from(
    ["gate", "office", "relay", "issuer", "listen", "domain", "upstream", "max_size", "mode", "state", "senders"]
)
plain = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.datetimes().map(lambda at: at.isoformat()), st.text(max_size=30)
)


def toml_value(value: object) -> str:
    """A value in TOML, or near enough to reach the reader."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items()) + "}"
        case _:
            return str(value)


values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
documents = st.dictionaries(names, values, max_size=4).map(
    lambda tables: "\n".join(f"{name} = {toml_value(value)}" for name, value in tables.items())
)


def complaints(text: str) -> list[Complaint]:
    """What is wrong with a document; nothing where it gives settings."""
    try:
        assert isinstance(parse_settings(text, FILE), Settings)
    except BadSettings as bad:
        return bad.complaints
    return []


@given(documents | st.text(max_size=200))
def test_any_text_gives_settings_or_complaints_and_nothing_else(text):
    for complaint in complaints(text):
        assert str(complaint).isprintable()


@given(st.text(max_size=60), st.sampled_from(["listen", "upstream", "state", "help_url", "hostname", "max_size"]))
def test_any_text_as_a_value_is_taken_or_complained_about_by_its_key(value, key):
    written = f"[{toml_value(value)}]" if key == "listen" else toml_value(value)

    found = complaints(f"[gate]\n{key} = {written}\n{OFFICE}")

    assert {complaint.key.partition("[")[0] for complaint in found} <= {f"gate.{key}"}
