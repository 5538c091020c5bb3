"""Every example in the papers does what it says, as it is written there."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

import pennyred
from pennyred.cli import main
from pennyred.config import OutgoingSettings, read_settings
from pennyred.programs import examples, papers
from tests.support.loopback_office import LoopbackOffice
from tests.support.program import init, run_json
from tests.support.readme import PAGES, PAPERS, PROGRAMS, block, blocks, shell

ROOT = Path(__file__).parents[1]
TESTS = [
    ROOT / "tests" / name
    for name in ("test_readme.py", "test_readme_walk.py", "test_developers.py", "wire/test_many_machines.py")
]


def test_every_block_has_a_name_that_a_test_uses():
    """Whoever adds an example adds what proves it."""
    tests = "".join(path.read_text() for path in TESTS)
    found = blocks()
    assert len(found) > 15
    assert [text for name, _, text in found if not name] == []
    assert [name for name, _, _ in found if f'"{name}"' not in tests and f"'{name}'" not in tests] == []
    assert len({name for name, _, _ in found}) == len(found)


def test_the_two_commands_of_the_first_page_are_what_ci_runs():
    ci = (ROOT / ".ci/run").read_text()
    for name in ("command-demo", "command-tests"):
        assert block(name).startswith("apt-get update && apt-get install -y python3-venv && ")
        assert f"readme {name}" in ci


def test_the_settings_of_a_gate_in_production_are_settings(tmp_path):
    settings = tmp_path / "pennyred.toml"
    settings.write_text(block("example: production", "toml"))
    gate = read_settings(settings).gate
    assert gate is not None
    assert len(gate.upstream) == 2


def test_the_settings_of_wanted_mail_are_settings(tmp_path):
    settings = tmp_path / "pennyred.toml"
    (tmp_path / "recipients.toml").write_text(block("example: recipients", "toml"))
    settings.write_text(
        f'[gate]\nrecipient_rules = "recipients.toml"\n[office]\ndomain = "post.example.org"\n'
        f"{block('example: outgoing', 'toml')}"
    )
    gate = read_settings(settings).gate
    assert gate is not None
    assert gate.recipient_rules["ceo@example.org"].price == 10
    assert gate.outgoing == OutgoingSettings()


def test_the_settings_of_an_office_elsewhere_are_settings(tmp_path):
    settings = tmp_path / "pennyred.toml"
    settings.write_text(block("example: issuer", "toml"))
    [issuer] = read_settings(settings).issuer
    assert (issuer.domain, issuer.address) == ("post.example.net", "https://post.example.net")
    assert issuer.token_file == tmp_path / "post.example.net.token"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (apt-get install curl)")
def test_a_receiver_is_told_what_to_publish_for_a_further_domain(tmp_path):
    init(tmp_path / "post")
    settings = str(tmp_path / "post/pennyred.toml")
    added = run_json("--config", settings, "receiver", "add", "mx", "--domain", "example.org")
    (tmp_path / "post.example.net.token").write_text(added["token"])
    with LoopbackOffice(tmp_path / "post") as office:
        done = shell(block("example: further domain").replace("https://post.example.net", office.url), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "domain-not-proved" in done.stdout
    assert "example.com" in done.stdout


def limits_section(table):
    """The limits of one table of the settings: the gate's, then those of the office's API."""
    gate, _, office = PAPERS.partition("\n## Limits\n")[2].partition("\n## ")[0].partition("Of the office's HTTP API")
    return {"gate": gate, "office": office}[table]


@pytest.mark.parametrize("table", ["gate", "office"])
def test_the_limits_in_the_table_have_the_defaults_of_the_settings_file(table):
    explained = tomllib.loads((ROOT / "config/pennyred.toml").read_text())[table]
    listed = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", limits_section(table), re.MULTILINE)
    assert len(listed) > 5
    assert [(name, tomllib.loads(f"value = {default}")["value"]) for name, default in listed] == [
        (name, explained[name]) for name, _ in listed
    ]


@pytest.mark.parametrize("table", ["gate", "office"])
def test_every_limit_is_in_the_table(table):
    section = limits_section(table)
    explained = tomllib.loads((ROOT / "config/pennyred.toml").read_text())[table]
    limits = {name for name in explained if name.startswith("max_") or name.endswith("_seconds")}
    assert [name for name in sorted(limits) if f"| `{name}` |" not in section] == []


README_LINES_MAX = 240
"""One page. Whatever more there is to say is said on the page of whom it concerns."""


def test_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


def places(page):
    """What can be linked on a page, as those who show Markdown name its headings."""
    return {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_places_that_are_linked_are_there(page):
    for link in re.findall(r"\]\(([^)\s:]+)\)", page.read_text()):
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not place or place in places(target), link


def named(page):
    """The files and folders that a page for engineers names, each a path from the checkout or src/pennyred."""
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text()).replace("\\_", "_")
    return {one.rstrip("./") for one in re.findall(r"(?<![\w/.:<-])(?:[a-z_*]+/)+[\w*.-]*", text) if "NAME" not in one}


@pytest.mark.parametrize(
    "page", ["src/pennyred/ARCHITECTURE.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md", "tests/README.md"]
)
def test_files_that_are_named_are_there(page):
    names = named(ROOT / page)
    assert names
    assert [one for one in sorted(names) if not [*ROOT.glob(one), *(ROOT / "src/pennyred").glob(one)]] == []


LINE_CHARACTERS_MAX = 140


def long_lines(text):
    """The lines of a page that a terminal cuts or breaks; those of tables and examples cannot be shorter."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in prose.splitlines() if len(line) > LINE_CHARACTERS_MAX and not line.startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_fits_a_terminal(page):
    """`pennyred help` prints pages as they are."""
    assert long_lines(page.read_text()) == []


def test_a_line_that_is_too_long_would_be_found():
    assert long_lines(f"short\n{'long ' * 30}\n| {'row ' * 40} |\n") == ["long " * 30]


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_begins_with_whom_it_is_for(page):
    """Whoever is not meant need not read on. README is for everybody, STAMP.md for a second implementation."""
    if page.name != "STAMP.md":
        assert page.read_text().split("\n\n")[1].startswith("This page is for ")


@pytest.mark.parametrize("topic", papers.topics())
def test_a_file_of_config_can_be_had_without_a_checkout(topic):
    """Who reads by `pennyred help` has no files to follow a link to: the command that prints it stands beside."""
    text = papers.read(topic)
    linked = re.findall(r"\]\((?:\.\./)*config/([^)\s#]+)\)", text)
    assert [name for name in linked if name in examples.names() and f"`pennyred examples {name}`" not in text] == []


def test_readme_leads_to_every_page():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        seen.add(page)
        links = {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)\s:#]+\.md)", page.read_text())}
        ahead += links - seen
    assert set(PAGES) <= seen


def commands_of_the_pages():
    """Every command that README, the papers and the files of config/ name, as words."""
    pages = [
        *PAGES,
        *(path for path in (ROOT / "config").rglob("*") if path.is_file() and path not in PAGES),
    ]
    for page in pages:
        text = page.read_text()
        inline = re.findall(r"`(?:\.venv/bin/)?pennyred ([^`]*)`", text)
        lines = (
            re.findall(r"^(?:.*\| )?(?:/opt/pennyred/bin/)?pennyred ([^#\n]*)", text, re.MULTILINE)
            if page.suffix == ".md"
            else []
        )
        for words in inline + lines:
            yield page.name, words.strip()


def flaw(words):
    """What is wrong with a command as a page has it; empty where nothing is."""
    command, context = main, click.Context(main)
    known = {"--help", *(name for one in main.params for name in one.opts)}
    for word in re.split(r"[\s\[\]]+", words):
        if word.startswith("--"):
            if word.rstrip(".,") not in known:
                return f"no option {word}"
        elif isinstance(command, click.Group) and word and not word.startswith(("/", "<")) and word.upper() != word:
            for name in word.split("\\|"):
                found = command.get_command(context, name)
                if found is None:
                    return "" if "--config" in words.split(word)[0].split()[-1:] else f"no command {name}"
            command = found
            known |= {name for one in command.params for name in one.opts}
    return ""


@pytest.mark.parametrize(("page", "words"), sorted(set(commands_of_the_pages())))
def test_every_command_that_a_page_names_is_there_with_its_options(page, words):
    assert flaw(words) == ""


def test_a_command_that_is_not_there_would_be_found():
    assert flaw("nonsense") == "no command nonsense"
    assert flaw("ledger nonsense") == "no command nonsense"
    assert flaw("report --nonsense") == "no option --nonsense"
    assert flaw("account list\\|nonsense") == "no command nonsense"


def test_the_tree_is_what_there_is():
    package = Path(pennyred.__file__).parent
    told = {line.split()[0].rstrip("/") for line in block("tree", "").splitlines() if line.startswith("  ")}
    # A folder that has moved leaves what Python has compiled behind.
    kept = {
        path for path in package.iterdir() if path.suffix == ".py" or list(path.glob("*.py")) + list(path.glob("*.md"))
    }
    there = {path.name for path in kept}
    assert there - told - {"__init__.py", "__main__.py"} == set()
    assert told - there == set()


def test_the_demos_command_needs_what_the_page_says(tmp_path):
    """Without a settings file or a home of its own, anywhere."""
    done = subprocess.run(
        ["bash", "-c", block("command-demo").rpartition("&& ")[2].replace(".venv/bin/pennyred", "pennyred")],
        cwd=tmp_path,
        env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
