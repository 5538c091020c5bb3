"""What is said when something is wrong: plain words and the next step, never Python's own; and which exit status it has."""

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme
from tests.cli.conftest import Said
from tests.support.postgres import any_version
from tests.support.stationery import LETTER

PYTHONS_OWN = re.compile(
    r"Errno|Traceback|Expecting value|Connect call failed|ssl:default|_ssl\.c|\[SSL|Is a directory|No such file or dir"
    r"|Permission denied|Name or service not|\b[A-Z][A-Za-z]+(?:Error|Exception|Timeout|Disconnected)\b"
)
NOWHERE = "http://127.0.0.1:1"
CLOSED = "127.0.0.1:1"


def plain(said):
    """The whole of it, once it is sure that no words of Python's are among it."""
    text = said.out.decode() + said.err
    assert not PYTHONS_OWN.search(text), text
    return text


@pytest.fixture
def alone(at, tmp_path):
    """Run a command with the settings of `at` in a process of its own, as what stays and has processes needs."""

    def run(*words, status):
        command = [sys.executable, "-m", "pennyred", "--config", tmp_path / "post/pennyred.toml", *words]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        said = Said(done.returncode, done.stdout, done.stderr.decode())
        assert said.status == status, said
        return said

    return run


@pytest.fixture
def things(tmp_path):
    """What a person may name by mistake."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "letter.eml").write_bytes(LETTER)
    (tmp_path / "empty").touch()
    (tmp_path / "nonsense").write_bytes(b"\xff\xfe\x00nonsense")
    (tmp_path / "broken.toml").write_text("[gate\n")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "rules.toml").write_text('[gate]\nissuers = ["a.example"]\nrecipient_rules = "nowhere.toml"\n')
    return tmp_path


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    ("words", "status", "wanted"),
    [
        ("init letter.eml", 2, "letter.eml: it is there already; move it away"),
        ("init letter.eml/x", 2, "letter.eml/x: a part of the path is a file"),
        ("verify loop", 2, "loop: its symbolic links go round in a circle"),
        (f"init {'x' * 300}", 2, "the name is too long"),
        ("--config nowhere.toml check", 2, "nowhere.toml: there is no such file or folder, expected a readable file"),
        ("--config folder check", 2, "folder: it is a folder, not a file"),
        ("--config letter.eml/x report", 2, "a part of the path is a file"),
        ("--config nonsense dns", 2, "nonsense: not UTF-8, expected TOML"),
        ("--config broken.toml account list", 2, "broken.toml: not TOML"),
        ("--config rules.toml check", 2, "nowhere.toml: there is no such file or folder"),
        ("report", 2, "no settings file, expected one there, or --config FILE"),
        ("verify nowhere", 2, "nowhere: there is no such file or folder; is it spelt right?"),
        ("verify folder", 2, "folder: it is a folder, not a file; name a file"),
        ("verify empty", 2, "the letter is empty"),
        ("verify --to bob letter.eml", 2, "'bob': no address: it has no @, expected an address like bob@example.org"),
        ("verify --receipt letter.eml", 2, "letter.eml: the 1. text in it is no receipt"),
        ("verify --receipt folder", 2, "folder: it is a folder"),
        ("balance", 2, "run `pennyred open --office URL --address ADDR`"),
        ("stamp letter.eml", 2, "run `pennyred open"),
        (
            f"open --office {NOWHERE} --address ann@sender.example",
            75,
            f"{NOWHERE}: nobody listens there; is it running",
        ),
        ("open --office https://127.0.0.1:1 --address ann@sender.example", 75, "nobody listens there"),
        ("open --office https://nosuch.invalid --address ann@sender.example", 75, "DNS"),
        (f"open --office {NOWHERE} --address ann", 2, "'ann': no address"),
        ("open --office nonsense --address ann@sender.example", 2, "expected the address of a post office"),
        ("ledger copy sqlite:///nowhere.db postgresql://127.0.0.1:1/x", 2, "nowhere.db does not exist"),
        ("ledger copy nonsense x", 2, "expected a database like"),
        (
            "state copy sqlite:///nowhere.db postgresql://127.0.0.1:1/x",
            2,
            "nowhere.db does not exist; FROM is the state",
        ),
        ("state copy sqlite:///letter.eml postgresql://127.0.0.1:1/x", 75, "letter.eml: it is no SQLite database"),
        ("--config nowhere.toml serve", 2, "there is no such file or folder"),
        ("ledger restore nowhere", 2, "'nowhere' does not exist"),
    ],
)
def test_whatever_is_named_wrongly_is_said_in_plain_words(run, things, words, status, wanted, as_json):
    said = run(*words.split(), *(["--json"] if as_json else []), status=status)
    text = plain(said)
    if as_json:
        error = said.document.get("error", {})
        assert said.document.get("complaints") or (error["reason"] and error["message"])
        text = error.get("message") or "{file}: {what}, expected {expected}".format(**said.document["complaints"][0])
    assert wanted in text
    assert not Path(things / "nowhere.db").exists(), "a ledger that is to be copied is not made"


@pytest.mark.parametrize(
    ("words", "status", "wanted"),
    [
        ("account show nobody", 1, "no account 'nobody'"),
        ("account close nobody", 1, "see  pennyred account list"),
        ("account credit nobody 5 --reason x", 1, "see  pennyred account list"),
        (
            "receiver add x --domain no..domain",
            2,
            "'no..domain': not a domain name, expected a domain like example.org",
        ),
        ("ledger backup folder/no/x.db", 2, "there is no such file or folder"),
        ("ledger backup post/ledger.db", 1, "exists; move it away first"),
        ("state copy sqlite:///post/ledger.db postgresql://127.0.0.1:1/x", 2, "ledger.db is no gate's state"),
        ("report", 2, "gate.db is not there yet: no gate with these settings has run"),
        ("report --plot x.pdf", 2, "--plot draws FILE.svg or FILE.png"),
        ("correspondents add bob carl@friends.example", 2, "'bob': no address"),
        ("correspondents import nowhere --domain example.org", 2, "nowhere: there is no such file or folder"),
        ("correspondents import letter.eml", 2, "pennyred.toml: gate.domains: "),
        ("permit add bob@example.org --domain b..d", 2, "'b..d': not a domain name"),
        ("permit remove bob@example.org x.example", 1, "see  pennyred permit list bob@example.org"),
        ("recipient remove bob@example.org", 1, "see  pennyred recipient list"),
        ("recipient set bob@", 2, "'bob@': not a domain name"),
        ("refused list", 2, "expected a [gate.quarantine] table"),
        ("key rotate", 0, "publish it"),
    ],
)
def test_and_so_it_is_on_the_side_of_gate_and_office(at, things, words, status, wanted):
    assert wanted in plain(at(*words.split(), status=status))


def break_toml(post):
    (post / "pennyred.toml").write_text("nonsense")


def break_key(post):
    (post / "office.key").write_text("nonsense")


def lose_key(post):
    (post / "office.key").unlink()


def break_ledger(post):
    (post / "ledger.db").write_bytes(b"nonsense" * 100)


def lose_ledger(post):
    (post / "ledger.db").unlink()


def ledger_folder(post):
    lose_ledger(post)
    (post / "ledger.db").mkdir()


def state_folder(post):
    (post / "gate.db").mkdir()


@pytest.mark.parametrize(
    ("breaking", "words", "status", "wanted"),
    [
        (break_toml, "account list", 2, "not TOML"),
        (break_key, "dns", 2, "office.key: not an unencrypted private key in PEM form"),
        (break_key, "account list", 2, "office.key"),
        (lose_key, "dns", 2, "office.key: no signing key; put it back from a backup"),
        (lose_key, "check", 2, "office.key: no signing key"),
        (break_ledger, "ledger audit", 75, "ledger.db: it is no SQLite database"),
        (break_ledger, "ledger migrate", 75, "ledger.db: it is no SQLite database"),
        (break_ledger, "check", 2, "ledger.db: it is no SQLite database"),
        (lose_ledger, "account list", 75, "ledger.db does not exist; `pennyred init`"),
        (
            lose_ledger,
            "ledger restore {post}/office.key",
            75,
            "office.key: it is no SQLite database; is that the right",
        ),
        (ledger_folder, "voucher create --stamps 5", 75, "ledger.db: it cannot be opened"),
        (state_folder, "permit list", 75, "gate.db: it cannot be opened"),
        (state_folder, "report", 75, "gate.db: it cannot be opened"),
        (state_folder, "serve", 75, "gate.db: it cannot be opened"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_files_of_an_office_that_are_broken_are_named(at, alone, tmp_path, breaking, words, status, wanted):
    breaking(tmp_path / "post")
    say = alone if words == "serve" else at
    assert wanted in plain(say(*words.format(post=tmp_path / "post").split(), status=status))


@pytest.mark.parametrize(
    ("url", "status", "wanted"),
    [
        ("postgresql://127.0.0.1:1/x", 75, "postgresql://127.0.0.1:1/x: nobody listens there"),
        ("postgresql://nosuch.invalid/x", 75, "postgresql://nosuch.invalid/x: "),
        (
            "postgresql://u:secret@127.0.0.1:port/x",
            2,
            '"postgresql://...@127.0.0.1:port/x" will not do, expected a database',
        ),
        (
            "postgresql://u:secret@127.0.0.1/x?sslmode=nonsense",
            2,
            "expected sslmode in the URL as one of allow, disable",
        ),
        ("mysql://u:secret@127.0.0.1/x", 2, 'expected a database like "sqlite:///ledger.db"'),
    ],
)
@pytest.mark.parametrize("words", ["account list", "permit list --json"])
def test_a_database_that_is_not_there_or_no_database_is_said_so_without_its_password(
    at, tmp_path, url, status, wanted, words
):
    settings = tmp_path / "post/pennyred.toml"
    text = settings.read_text().replace("sqlite:///ledger.db", url)
    settings.write_text(text.replace("[gate]", f'[gate]\nstate = "{url}"', 1))
    text = plain(at(*words.split(), status=status)).replace('\\"', '"')
    assert wanted in text
    assert "secret" not in text


def test_the_words_of_a_real_database_are_understood(at, tmp_path, postgres_servers):
    server = postgres_servers(any_version())
    settings = tmp_path / "post/pennyred.toml"
    url = server.url.replace("/postgres", "/nosuch")
    settings.write_text(settings.read_text().replace("sqlite:///ledger.db", url))
    said = at("account", "list", status=75)
    assert "there is no such database; make it (createdb), or correct the URL" in plain(said)


@pytest.mark.parametrize("content", [None, "nonsense"])
@pytest.mark.parametrize(
    ("table", "lines", "file"),
    [
        ("[gate]", 'tls_certificate = "mx.pem"\ntls_key = "mx.key"', "mx.pem"),
        ("[office]", 'tls_certificate = "post.pem"\ntls_key = "post.key"', "post.pem"),
        ("[gate]", 'upstream_tls_ca = "ca.pem"', "ca.pem"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(at, alone, tmp_path, content, table, lines, file):
    post = tmp_path / "post"
    settings = post / "pennyred.toml"
    text = settings.read_text().replace("smtp://127.0.0.1:10025", "smtps://127.0.0.1:1")
    settings.write_text(text.replace(table, f"{table}\n{lines}", 1).replace(":2525", ":0").replace(":8025", ":0"))
    if content:
        for name in (file, file.replace("pem", "key")):
            (post / name).write_text(content)
    wanted = "there is no cert" if content else "there is no such file or folder"
    for said in (at("check", status=2), alone("serve", status=2)):
        assert re.search(rf"{file}.*: {wanted}", plain(said)), said


@pytest.fixture
def listening():
    """A server on loopback that does to each client what it is told; its port."""
    servers = []

    def listen(serve):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with contextlib.suppress(OSError), client:
                        serve(client)

        threading.Thread(target=run, daemon=True).start()
        return server.getsockname()[1]

    yield listen
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def answering(answer):
    def serve(client):
        client.recv(4096)
        client.sendall(answer)

    return serve


def http(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"", "it hung up without an answer; is that the right address and port?"),
        (b"220 mx.example.org ESMTP\r\n", "its answer is not HTTP"),
        (http("<html>"), "not a post office's answer; is the address right?"),
        (http("{}"), "not a post office's answer"),
        (http("", "503 Busy"), "it answers 503; try again later"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "its answer broke off"),
    ],
)
def test_what_is_no_office_or_not_now_is_said_so(run, listening, answer, wanted):
    url = f"http://127.0.0.1:{listening(answering(answer))}"
    said = run("open", "--office", url, "--address", "ann@sender.example", status=75)
    assert f"{url}: {wanted}" in plain(said)


def test_an_office_whose_certificate_nobody_knows_is_said_so(run, listening):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def serve(client):
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(1)

    url = f"https://localhost:{listening(serve)}"
    said = run("open", "--office", url, "--address", "ann@sender.example", status=75)
    assert "its certificate does not hold" in plain(said)


def test_an_office_that_does_not_speak_tls_is_said_so(run, listening):
    url = f"https://127.0.0.1:{listening(answering(http('{}')))}"
    said = run("open", "--office", url, "--address", "ann@sender.example", status=75)
    assert "it does not speak TLS there; is that the right port?" in plain(said)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("greeting", "wanted"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak SMTP; is that a mail server's port?"),
        (b"", "it hung up; try again later"),
        (b"554 go away\r\n", "554 go away"),
    ],
)
def test_what_is_no_mail_server_is_said_so(run, listening, tmp_path, greeting, wanted):
    (tmp_path / "letter.eml").write_bytes(LETTER)
    port = listening(lambda client: client.sendall(greeting))
    said = run("send", "--via", f"127.0.0.1:{port}", tmp_path / "letter.eml", status=75)
    assert wanted in plain(said)


@pytest.mark.usefixtures("account")
def test_a_mail_server_that_is_not_there_is_said_so(run, tmp_path):
    (tmp_path / "letter.eml").write_bytes(LETTER)
    said = run("send", "--via", CLOSED, tmp_path / "letter.eml", status=75)
    assert f"{CLOSED}: nobody listens there; is it running, and are address and port right?" in plain(said)


@pytest.mark.parametrize("words", ["--help", "ledger --help", "account list", "account list --json", "dns"])
def test_output_that_finds_no_room_is_said_so_and_means_later(at, tmp_path, words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pennyred", "--config", str(tmp_path / "post/pennyred.toml"), *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 75, done.stderr
    assert "no space left on the disk; make room there and repeat (system)" in done.stderr
    assert not PYTHONS_OWN.search(done.stderr), done.stderr


NO_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can give files away")
@pytest.mark.parametrize(
    ("closed", "words", "status"),
    [
        ("pennyred.toml", "account list", 2),
        ("office.key", "dns", 2),
        ("ledger.db", "account list", 75),
        ("gate.db", "permit list", 75),
        (".", "check", 2),
        (".", "key rotate", 2),
    ],
)
def test_a_file_of_somebody_elses_is_named_with_its_owner(at, tmp_path, closed, words, status):
    at("permit", "list")
    path = (tmp_path / "post" / closed).resolve()
    shutil.chown(path, "nobody", "nogroup")
    path.chmod(0o500 if path.is_dir() else 0o400)
    done = subprocess.run(
        [
            *NO_PRIVILEGE,
            sys.executable,
            "-m",
            "pennyred",
            "--config",
            str(tmp_path / "post/pennyred.toml"),
            *words.split(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = done.stdout + done.stderr
    assert not PYTHONS_OWN.search(text), text
    assert done.returncode == status, text
    assert str(path) in text
    if status == 2:
        assert "this user may not read or write it" in text or "cannot be written" in text
    assert "nobody" in text or "may this user" in text or "expected" in text


def _full_disk(folder):
    """A command that runs the rest with a full disk at the folder, for itself alone."""
    fill = f'mount -t tmpfs -o size=64k tmpfs {folder} && cat /dev/zero > {folder}/filled 2>/dev/null; exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", fill, "sh")


@pytest.mark.parametrize("words", ["init {full}/post", "ledger backup {full}/backup.db", "key rotate"])
def test_a_full_disk_is_said_so_and_means_later(at, tmp_path, words):
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run([*_full_disk(full), "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a small disk of its own (root, and a kernel that lets it)")
    settings = tmp_path / "post/pennyred.toml"
    if words == "key rotate":
        full = tmp_path / "post"
        settings = tmp_path / "settings.toml"
        text = (full / "pennyred.toml").read_text()
        settings.write_text(text.replace('"office.key"', '"post/office.key"').replace("///ledger", "///post/ledger"))
    done = subprocess.run(
        [
            *_full_disk(full),
            *(sys.executable, "-m", "pennyred", "--config", settings, *words.format(full=full).split()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "no space left on the disk; make room there and repeat" in done.stderr, done.stderr
    assert not PYTHONS_OWN.search(done.stderr), done.stderr
    assert done.returncode == 75


def test_a_mistake_of_ours_is_not_taken_for_a_refusal(run, monkeypatch):
    monkeypatch.setattr("pennyred.cli.sender.load_wallet", lambda _: {}["wallet"])
    said = run("balance", "--json", status=70)
    assert said.document["error"]["reason"] == "internal"
    assert "please report it" in said.document["error"]["message"]
    assert "Traceback" in said.err


@pytest.mark.usefixtures("account")
class TestBuying:
    def test_it_is_said_that_a_voucher_is_credited_whole(self, run, voucher):
        said = run("buy", 20, "--voucher", voucher).text
        assert said == "a voucher of 50 stamps is credited, not 20 of it: a voucher is credited whole; 50 available\n"

    def test_and_that_it_is_credited_once(self, run, voucher):
        assert run("buy", 50, "--voucher", voucher).text == "a voucher of 50 stamps is credited; 50 available\n"
        said = run("buy", 50, "--voucher", voucher).text
        assert said == "this account has had that voucher of 50 stamps before; nothing more is credited; 50 available\n"
        document = run("buy", 50, "--voucher", voucher, "--json").document
        assert document == {"bought": 50, "credited": 0, "available": 50}

    def test_what_is_no_voucher_is_said_with_what_one_looks_like(self, run):
        assert "look like PENNY-XXXXX" in plain(run("buy", 50, "--voucher", "x", status=1))
        said = run("buy", 50, "--voucher", "PENNY-AAAAA-AAAAA-AAAAA-AAAAA", status=1)
        assert "is it typed right, and of this office?" in plain(said)


ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
]


LISTS = ("account list", "ledger audit", "correspondents list", "refused list")


@pytest.mark.parametrize("encoding", ENCODINGS, ids=["latin-1", "ascii", "C"])
@pytest.mark.parametrize("words", ["permit list", *(pytest.param(one, marks=pytest.mark.long) for one in LISTS)])
def test_a_terminal_without_utf_8_shows_what_it_can(at, tmp_path, encoding, words):
    settings = tmp_path / "post/pennyred.toml"
    settings.write_text(settings.read_text().replace("# [gate.quarantine]", "[gate.quarantine]"))
    at("permit", "add", "bob@example.org", "--list", "чай.example.org")
    done = subprocess.run(
        [sys.executable, "-m", "pennyred", "--config", settings, *words.split()],
        env=os.environ | encoding,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert not PYTHONS_OWN.search(done.stderr.decode())


def test_every_document_of_an_error_is_one_document(run):
    said = run("balance", "--json", status=2)
    assert list(json.loads(said.out)) == ["error"]
    assert sorted(said.document["error"]) == ["message", "reason"]
