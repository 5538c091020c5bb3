"""What is done and cannot be told: exit status 74, so that no script that goes by 75 does it twice."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pennyred.cli import main

SECRET = ("voucher create --stamps 5", "receiver add acme --domain acme.example")


@pytest.fixture
def told_to(tmp_path):
    """Run a command whose standard output is full, has no reader, or is closed; status and standard error."""

    def pennyred(where, *words):
        command = [sys.executable, "-m", "pennyred", "--config", str(tmp_path / "post/pennyred.toml"), *map(str, words)]
        if where == "closed":
            command = ["sh", "-c", '"$@" >&-', "sh", *command]
        reader, writer = os.pipe()
        os.close(reader)
        with Path("/dev/full").open("wb") as full:
            out = {"full": full, "nobody": writer, "closed": subprocess.DEVNULL}[where]
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(writer)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    return pennyred


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(("where", "why"), [("full", "no space left on the disk"), ("nobody", "nobody reads it")])
def test_a_credit_that_could_not_be_told_is_not_to_be_repeated(at, account, told_to, where, why, as_json):
    status, said = told_to(where, "account", "credit", account, 5, "--reason", "cash", *as_json)
    assert status == 74
    assert said.startswith(f"pennyred: done, but it could not be told on standard output: {why}; do not repeat it, ")
    assert at("account", "show", account, "--json").document["available"] == 5


@pytest.mark.usefixtures("at")
@pytest.mark.parametrize("words", [*SECRET, "key rotate", "ledger restored"])
def test_so_is_whatever_else_cannot_be_done_again_without_doing_more(at, told_to, words):
    at("account", "list")
    status, said = told_to("full", *words.split())
    assert status == 74
    assert "done, but it could not be told on standard output: no space left on the disk; " in said


@pytest.mark.parametrize("words", SECRET)
def test_nothing_is_made_that_is_shown_once_and_could_not_be_shown(at, told_to, words):
    at("account", "list")
    status, said = told_to("closed", *words.split())
    assert status == 2
    assert "standard output is closed, and the " in said
    assert at(*words.split(), "--json").document, "its name is free"


def texts(command, path=()):
    """Each text that a command takes, by the command's name and its own."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from texts(command.get_command(context, name), (*path, name))
        return
    for one in command.params:
        if one.type is click.STRING:
            yield " ".join((*path, one.name))


def test_every_text_is_looked_at_before_a_command_begins():
    """Octets of another charset come as lone surrogates, which no database, file of keys or office takes."""
    assert list(texts(main)) == ["receiver add name"], "which the office refuses by a rule of its own (bad-name)"


@pytest.mark.parametrize(
    "words",
    [
        "permit add bob@example.org --list {}",
        "permit add bob@example.org --domain shop.example --proof {}",
        "permit remove bob@example.org {}",
        "buy 5 --voucher {}",
        "init new --hostname {}",
        "ledger copy {} postgresql://db.example/x",
        "examples {}",
        "refused show {}",
    ],
)
def test_octets_of_another_charset_are_named(at, words):
    said = at(*words.format("gr\udcfcn").split(), status=2)
    assert "'gr\\udcfcn': expected at most" in said.err


def test_a_database_in_a_folder_with_a_name_in_another_charset_is_named(run, tmp_path):
    folder = tmp_path / "gr\udcfcn"
    folder.mkdir()
    said = run("init", folder, "--json", status=75)
    assert "it cannot be opened" in said.document["error"]["message"]
