"""examples: the files of config/, from wherever the program was installed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pennyred.cli import main
from pennyred.programs import examples

CONFIG = Path(__file__).parents[2] / "config"
NAMES = sorted(str(path.relative_to(CONFIG)) for path in CONFIG.rglob("*") if path.is_file())


def test_every_file_is_listed_with_what_it_says_of_itself(run):
    listed = run("examples", "--json").document["examples"]
    assert [one["name"] for one in listed] == NAMES
    assert [one["name"] for one in listed if not one["about"]] == []
    assert "postfix/gate-in-front.master.cf" in run("examples").text


@pytest.mark.parametrize("name", NAMES)
def test_each_is_printed_as_it_is(run, name):
    assert run("examples", name).out == (CONFIG / name).read_bytes()
    assert run("examples", f"config/{name}", "--json").document == {
        "name": f"config/{name}",
        "text": (CONFIG / name).read_text(),
    }


def test_one_is_written_to_a_file_and_never_over_another(run, tmp_path):
    file = tmp_path / "x"
    run("examples", "many/etcd", "--to", str(file))
    assert file.read_bytes() == (CONFIG / "many/etcd").read_bytes()
    file.write_text("mine")
    assert "is there already" in run("examples", "many/etcd", "--to", str(file), status=2).err
    assert file.read_text() == "mine"
    assert "needs the NAME" in run("examples", "--to", str(file), status=2).err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gate-in-front.master.cf", "did you mean postfix/gate-in-front.master.cf?"),
        ("postfix/gate-infront.master.cf", "did you mean postfix/gate-in-front.master.cf"),
        ("nonsense", "see  pennyred examples"),
        ("../pyproject.toml", "there is no example"),
        ("/etc/passwd", "there is no example"),
        ("haproxy", "did you mean haproxy/haproxy.cfg?"),
        ("postfix/", "did you mean postfix/gate-as-filter.master.cf or postfix/gate-in-front.master.cf or"),
        ("", "there is no example"),
    ],
)
def test_another_name_is_none_and_what_was_meant_is_said(run, name, hint):
    assert hint in run("examples", name, "--json", status=2).document["error"]["message"]


def test_of_an_installed_package_they_are_the_ones_inside(monkeypatch, tmp_path):
    package = tmp_path / "pennyred"
    (package / "examples/many").mkdir(parents=True)
    (package / "examples/many/x.toml").write_text("# Installed. And more ä.\n")
    monkeypatch.setattr("pennyred.__file__", str(package / "__init__.py"))
    assert examples.names() == ["many/x.toml"]
    assert examples.about("many/x.toml") == "Installed"
    printed = CliRunner(charset="latin-1").invoke(main, ["examples", "many/x.toml"]).stdout_bytes
    assert printed == "# Installed. And more ä.\n".encode(), "it may be on its way to a file"
