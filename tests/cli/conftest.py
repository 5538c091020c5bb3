"""Commands as a person gives them, without a process for each: their exit status, what they print, and where to."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.support.loopback_office import LoopbackOffice

from pennyred.cli import main


@dataclass
class Said:
    """What a command said, and with which status it left."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def document(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `pennyred ARGUMENTS` as a sender with an own home, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENNYRED_CONFIG", raising=False)
    monkeypatch.setenv("PENNYRED_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")

    def pennyred(*arguments: object, stdin: bytes = b"", status: int | None = 0) -> Said:
        result = CliRunner().invoke(main, [str(one) for one in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        said = Said(result.exit_code, result.stdout_bytes, result.stderr)
        assert status is None or said.status == status, (said.status, said.text, said.err)
        return said

    return pennyred


@pytest.fixture
def at(run: Run, tmp_path: Path) -> Run:
    """Run a command with the settings that `pennyred init` has written."""
    run("init", tmp_path / "post")

    def with_settings(*arguments: object, **options: Any) -> Said:
        return run("--config", tmp_path / "post" / "pennyred.toml", *arguments, **options)

    return with_settings


@pytest.fixture
def office(at: Run, tmp_path: Path) -> Iterator[LoopbackOffice]:
    """The office of these settings, on a free port."""
    with LoopbackOffice(tmp_path / "post") as running:
        yield running


@pytest.fixture
def account(run: Run, office: LoopbackOffice) -> str:
    """Ann's account there."""
    opened = run("open", "--office", office.url, "--address", "ann@sender.example", "--json")
    return str(opened.document["account"])


@pytest.fixture
def voucher(at: Run) -> str:
    """A code worth 50 stamps."""
    return str(at("voucher", "create", "--stamps", 50, "--json").document["vouchers"][0]["code"])
