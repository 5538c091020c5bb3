"""A gate and an office started as programs, a mail server behind, a sender with a wallet: everything by commands."""

import smtplib
import time
from contextlib import closing
from dataclasses import dataclass
from os import urandom
from pathlib import Path

from program import Served, run_json
from real_postfix import free_port

from pennyred.services.franking import stamp_letter
from pennyred.services.wallet import Wallet, load_wallet

ANN = "ann@sender.example"
BOB = "bob@example.org"


@dataclass
class Town:
    """A settings file, what it names, and a sender."""

    folder: Path
    gate_port: int
    office_port: int
    upstream_port: int

    @classmethod
    def found(cls, folder: Path, upstream_port: int, gate: str = "", office: str = "") -> "Town":
        """Write the settings; `gate` and `office` are more lines of theirs."""
        town = cls(folder, free_port(), free_port(), upstream_port)
        run_json("init", str(folder))
        town.write(gate, office)
        return town

    def write(self, gate: str = "", office: str = "") -> None:
        """Settings with the least that is needed, and more lines, which may say where the mail server is."""
        upstream = "" if "upstream = " in gate else f'upstream = "smtp://127.0.0.1:{self.upstream_port}"\n'
        self.settings.write_text(
            f'[gate]\nlisten = ["127.0.0.1:{self.gate_port}"]\n{upstream}hostname = "mx.example.org"\n{gate}\n'
            f'[office]\ndomain = "post.example.org"\nlisten = "127.0.0.1:{self.office_port}"\n{office}\n'
        )

    @property
    def settings(self) -> Path:
        return self.folder / "pennyred.toml"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def serve(self, *arguments: str) -> Served:
        return Served(self.settings, arguments)

    def admin(self, *arguments: str) -> dict:
        """An administrator's command."""
        return run_json("--config", str(self.settings), *arguments)

    def fund(self, stamps: int) -> None:
        """An account with postage; the office must be running."""
        run_json("open", "--office", f"http://127.0.0.1:{self.office_port}", "--address", ANN, home=self.home)
        [voucher] = self.admin("voucher", "create", "--stamps", str(stamps))["vouchers"]
        run_json("buy", str(stamps), "--voucher", voucher["code"], home=self.home)

    def balance(self) -> tuple[int, int]:
        """Spent and held."""
        said = run_json("balance", home=self.home)
        return said["spent"], said["held"]

    def audit(self) -> dict:
        return self.admin("ledger", "audit")

    @property
    def wallet(self) -> Wallet:
        return load_wallet(self.home)

    def stamped(self, letter: bytes, *to: str) -> bytes:
        """The letter with a stamp for each recipient."""
        wallet = self.wallet
        return stamp_letter(letter, to, wallet.key, wallet.licence, now=int(time.time()), random_bytes=urandom)

    def send(self, letter: bytes, *to: str, sender: str = ANN) -> tuple[int, str]:
        """Hand a letter to the gate; the last answer, code and text."""
        with closing(smtplib.SMTP("127.0.0.1", self.gate_port, timeout=60)) as smtp:
            smtp.ehlo("client.example")
            for code, text in (smtp.mail(sender), *(smtp.rcpt(one) for one in to)):
                if code != 250:
                    return code, text.decode()
            try:
                code, text = smtp.data(letter)
            except smtplib.SMTPDataError as refused:
                return refused.smtp_code, str(refused.smtp_error, "utf-8")
            return code, text.decode()


def letter(subject: str = "Tea") -> bytes:
    """A new letter, not yet stamped."""
    return (
        f"From: Ann <{ANN}>\r\nTo: Bob <{BOB}>\r\nSubject: {subject}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{urandom(8).hex()}@sender.example>\r\n\r\nShall we have tea?\r\n"
    ).encode()
