"""A gate and an office started as programs, a mail server behind, a sender with a wallet: everything by commands."""

import smtplib
import time
from contextlib import closing
from dataclasses import dataclass
from os import urandom
from pathlib import Path

from pennyred.sender.franking import stamp_letter
from pennyred.sender.wallet import Wallet, load_wallet
from tests.support.program import Served, init, run_json
from tests.support.real_postfix import free_port

ANN = "ann@sender.example"
BOB = "bob@example.org"


GATE_COMMANDS = ("permit", "correspondents", "refused", "report", "recipient", "check")


@dataclass
class ServedBesideOffice(Served):
    """A gate, and its office as another program; the gate's log."""

    office: Served | None = None

    def __enter__(self) -> "Served":
        self.office.__enter__()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.office.__exit__()


@dataclass
class Town:
    """A settings file, what it names, and a sender."""

    folder: Path
    gate_port: int
    office_port: int
    upstream_port: int
    is_divided: bool = False
    """Whether the office is a program of its own, reached by HTTP."""

    @classmethod
    def found(
        cls, folder: Path, upstream_port: int, gate: str = "", office: str = "", *, is_divided: bool = False
    ) -> "Town":
        """Write the settings; `gate` and `office` are more lines of theirs."""
        town = cls(folder, free_port(), free_port(), upstream_port, is_divided)
        init(folder)
        town.write(gate, office)
        if is_divided:
            domains = [f"--domain={name}" for name in ("example.org", "example.net", "example.com")]
            token = town.folder / "post.token"
            token.write_text(town.admin("receiver", "add", "mx", *domains)["token"])
            token.chmod(0o600)
        return town

    def write(self, gate: str = "", office: str = "") -> None:
        """Settings with the least that is needed, and more lines, which may say where the mail server is."""
        upstream = "" if "upstream = " in gate else f'upstream = "smtp://127.0.0.1:{self.upstream_port}"\n'
        gate = f'[gate]\nlisten = ["127.0.0.1:{self.gate_port}"]\n{upstream}hostname = "mx.example.org"\n{gate}\n'
        office = f'[office]\ndomain = "post.example.org"\nlisten = "127.0.0.1:{self.office_port}"\n{office}\n'
        if self.is_divided:
            self.office_settings.write_text(office)
            [key] = [record["text"].rpartition("p=")[2] for record in self.admin("dns")["records"]]
            office = (
                f'[[issuer]]\ndomain = "post.example.org"\nurl = "http://127.0.0.1:{self.office_port}"\n'
                f'token_file = "post.token"\nkeys = {{s1 = "{key}"}}\n'
            )
        self.settings.write_text(gate + office)

    @property
    def settings(self) -> Path:
        return self.folder / "pennyred.toml"

    @property
    def office_settings(self) -> Path:
        return self.folder / "office.toml" if self.is_divided else self.settings

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def serve(self, *arguments: str) -> Served:
        if self.is_divided:
            return ServedBesideOffice(self.settings, arguments, office=Served(self.office_settings, arguments))
        return Served(self.settings, arguments)

    def admin(self, *arguments: str) -> dict:
        """An administrator's command."""
        settings = self.settings if arguments[0] in GATE_COMMANDS else self.office_settings
        return run_json("--config", str(settings), *arguments)

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
