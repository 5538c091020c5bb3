"""All commands together: they teach, they refuse wrong usage in one way, they end quietly."""

import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from tests.support.stationery import LETTER

from pennyred.cli import main


def all_commands(group=main, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(all_commands())


def all_groups(group=main, path=()):
    yield group, path
    context = click.Context(group)
    for name in group.list_commands(context):
        if isinstance(command := group.get_command(context, name), click.Group):
            yield from all_groups(command, (*path, name))


@pytest.mark.parametrize("path", [path for _, path in all_groups()], ids=lambda path: " ".join(path) or "pennyred")
def test_a_list_of_commands_says_of_each_in_a_whole_sentence_what_it_does(path, monkeypatch):
    """On a terminal of 80 columns: what ends in dots must be looked up command by command."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output
    _, _, listed = shown.partition("Commands:\n")
    assert listed
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize(("typed", "meant"), [("hlep", "help"), ("stmp", "stamp"), ("acount", "account")])
def test_a_command_that_is_not_there_is_told_with_the_one_that_was_meant(run, typed, meant):
    told = run(typed, "--json", status=2).document["error"]["message"]
    assert told.startswith(f"No such command {typed!r}. Did you mean {meant!r}")
    assert run("entirely-else", status=2).err.count("Did you mean") == 0


def test_the_commands_are_those_of_one_machine():
    assert {" ".join(words) for words in COMMANDS} == {
        "demo",
        "init",
        "serve",
        "report",
        "check",
        "examples",
        "help",
        "dns",
        "refused list",
        "refused show",
        "refused release",
        "account list",
        "account show",
        "account credit",
        "account close",
        "account rekey",
        "voucher create",
        "receiver add",
        "ledger audit",
        "ledger migrate",
        "ledger copy",
        "ledger backup",
        "ledger restore",
        "ledger restored",
        "key rotate",
        "correspondents list",
        "correspondents add",
        "correspondents remove",
        "correspondents import",
        "permit add",
        "permit list",
        "permit remove",
        "permit address",
        "permit expect",
        "recipient set",
        "recipient list",
        "state copy",
        "receipts",
        "recipient remove",
        "open",
        "buy",
        "balance",
        "statement",
        "stamp",
        "send",
        "probe",
        "verify",
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_is_this_command(run, words):
    shown = " ".join(run(*words, "--help").text.split())

    example = shown.partition("Example: ")[2]
    assert example.startswith("pennyred ")
    assert " ".join(words) in example.partition("Options:")[0]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_example_stands_behind_the_first_sentence(run, words):
    paragraphs = re.split(r"\n *\n", run(*words, "--help").text)

    assert paragraphs[0].startswith("Usage: ")
    assert paragraphs[2].strip().startswith("Example: ")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_can_speak_json(run, words):
    assert "--json" in run(*words, "--help").text


def test_help_lists_every_command(run):
    shown = run("--help").text

    for words in COMMANDS:
        assert f"\n  {words[0]} " in shown


def test_the_version_is_told(run):
    assert run("--version").text.startswith("pennyred, version ")


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["account", "nonsense"],
        ["balance", "--nonsense"],
        ["buy"],
        ["buy", "0", "--voucher", "x"],
        ["buy", "ten", "--voucher", "x"],
        ["buy", "10"],
        ["buy", "10", "--pay", "card"],
        ["account", "credit", "abc", "5"],
        ["voucher", "create"],
        ["voucher", "create", "--stamps", "5", "--count", "1001"],
        ["receiver", "add", "acme"],
        ["open", "--office", "http://127.0.0.1"],
        ["send"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_as_text_and_as_a_document(run, words):
    said = run(*words, status=2)
    assert said.out == b""
    assert "Usage: " in said.err

    said = run(*words, "--json", status=2)
    assert said.document["error"]["reason"] == "usage"
    assert said.document["error"]["message"]


def test_without_settings_it_is_said_where_they_were_looked_for(run, monkeypatch):
    monkeypatch.setattr("pennyred.config.reading.PLACES", ())

    said = run("account", "list", "--json", status=2)

    assert said.document["error"]["reason"] == "settings"
    assert "no settings file" in said.document["error"]["message"]


def test_bad_settings_are_complained_of_all_at_once(run, tmp_path):
    (tmp_path / "pennyred.toml").write_text("[gate]\nprice = 0\nmoed = 1\n[office]\ndomain = 7\n")

    said = run("serve", status=2)

    lines = said.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("pennyred.toml: ") and ", expected " in line for line in lines)


def test_an_interrupt_ends_with_the_status_shells_know(run, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pennyred.cli.sender.load_wallet", interrupted)

    said = run("balance", status=130)

    assert said.out == b""
    assert "Traceback" not in said.err


def test_a_reader_that_leaves_is_no_reason_to_complain(account, home, tmp_path):
    """`pennyred ... | head -1`: help, a report and a letter."""
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    for arguments in (["--help"], ["balance", "--json"], ["stamp", str(letter)]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as gone:
            done = subprocess.run(
                [sys.executable, "-m", "pennyred", *arguments],
                stdout=gone,
                stderr=subprocess.PIPE,
                check=False,
                env=os.environ | {"PENNYRED_HOME": str(home)},
            )

        assert done.stderr == b"", arguments
        assert done.returncode == 1, arguments
