"""The gate: each letter's stamp verified, held and settled in an SQLite ledger on disk (synchronous=FULL)."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from pennyred.sender.wallet import Wallet, load_wallet
from tests.bench.sink import wait_for_port
from tests.support.program import run_json
from tests.support.real_postfix import free_port

from .base import Contestant, end

WORKERS = 2
STAMPS = 10_000_000
_ADDRESS = "ann@sender.example"


class Gate(Contestant):
    """`pennyred serve` with its office and, in the same folder, the wallet of a sender."""

    name: ClassVar[str] = "gate"
    what: ClassVar[str] = f"the gate, {WORKERS} workers: stamps verified, held and settled durably"
    more_settings: ClassVar[str] = ""
    """TOML, for the [gate] table; whoever compares settings of the gate derives from this."""

    def start(self) -> None:
        self.port, office = free_port(), free_port()
        self.folder.mkdir()
        run_json("init", str(self.folder))
        self._settings = self.folder / "gate.toml"
        self._settings.write_text(
            f'[gate]\nlisten=["127.0.0.1:{self.port}"]\nupstream="smtp://127.0.0.1:{self.sink_port}"\n'
            f'upstream_identity="none"\nhostname="mx.example.org"\nstate="sqlite:///gate.db"\n'
            f"upstream_connections=1000\nupstream_connections_per_network=1000\nmax_connections=20000\nmax_connections_per_network=20000\n{self.more_settings}"
            f'[office]\ndomain="post.example.org"\nlisten="127.0.0.1:{office}"\ndaily_cap={STAMPS}\n'
        )
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pennyred", "--config", str(self._settings), "serve", "--workers", str(WORKERS)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for_port(self.port, self._process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {self.log.read_text()}") from error
        self._open_account(f"http://127.0.0.1:{office}")

    def _open_account(self, office: str) -> None:
        run_json("open", "--office", office, "--address", _ADDRESS, home=self._home)
        accounts = self._pennyred("account", "list")["accounts"]
        [account] = [one["account"] for one in accounts if one["address"] == _ADDRESS]
        self._pennyred("account", "credit", account, str(STAMPS), "--reason", "bench")

    def stop(self) -> None:
        if hasattr(self, "_process"):
            end(self._process)

    def processes(self) -> tuple[int, ...]:
        return (self._process.pid,)

    def wallet(self) -> Wallet:
        """The sender's key and licence."""
        return load_wallet(self._home)

    def settled(self) -> int:
        """Stamps settled so far; raises AssertionError where the books do not balance."""
        audit = self._pennyred("ledger", "audit")
        assert audit["balanced"], audit
        return int(audit["settled"])

    @property
    def _home(self) -> Path:
        return self.folder / "home"

    def _pennyred(self, *arguments: str) -> dict[str, object]:
        return run_json("--config", str(self._settings), *arguments)
