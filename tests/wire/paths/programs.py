"""The small programs by which a machine without a mail server sends, and altermime, which puts footers below letters.

All are in one tree (`.ci/mail-servers`), each called by its own name.
"""

import os
import subprocess
from collections.abc import Callable

from tests.support.chroots import Chroot
from tests.wire.paths import letters
from tests.wire.paths.table import Path
from tests.wire.paths.world import ANN, BOB, World, hand_in, signed

BEHIND = "stamp behind it"
MSMTP = (
    Path("as installed", "stamped"),
    Path("a letter in UTF-8", "stamped", letter=letters.EIGHT_BIT),
    Path("300 people in To", "stamped", letter=letters.MANY),
    Path("`--undisclosed-recipients=on`", "stamped-modified", "to", settings={"undisclosed-recipients": "on"}),
    Path("`--set-from-header=on`", "stamped", "from", settings={"set-from-header": "on"}),
    Path("`--set-from-header=on`, another From", "altered-headers", "from", "write the address that it puts there", letters.AT_HOST,
         settings={"set-from-header": "on"}),
)  # fmt: skip
SSMTP = (
    Path("`FromLineOverride=YES`", "stamped", settings={"FromLineOverride": "YES"}),
    Path("without it", "stamped"),
    Path("`rewriteDomain`", "stamped", settings={"rewriteDomain": "other.example"}),
    Path("300 people in To (it drops two thirds of them)", "stamped-modified", "to", letter=letters.MANY),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
)
ESMTP = (
    Path("as installed", "stamped"),
    Path("two To fields", "stamped", letter=letters.TWO_TO),
    Path("two To fields below a DKIM signature (it loses one)", "stamped-modified", "to", letter=letters.SIGNED_TWO_TO),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
)
NULLMAILER = (
    Path("as installed", "stamped"),
    Path("nobody in To", "stamped", "to", letter=letters.NO_TO),
    Path("nobody in To, below a DKIM signature", "stamped", "cc", letter=letters.SIGNED_NO_TO),
    Path("commas without blanks in To, below a DKIM signature", "stamped", "to", letter=letters.SIGNED_TO_FRIENDS),
    Path("`Cc: root` below a DKIM signature", "stamped-modified", "cc", letter=letters.SIGNED_ROOT),
)
DMA = (
    Path("as installed", "stamped"),
    Path("nobody in To", "stamped", letter=letters.NO_TO),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
)
ALTERMIME = (
    Path("a footer below text", "altered-body", "body", BEHIND),
    Path("a footer below HTML", "altered-body", "body", BEHIND, letters.HTML, settings={"htmltoo": ""}),
    Path("a footer in each of two parts", "altered-body", "body", BEHIND, letters.TWO_PARTS, settings={"htmltoo": ""}),
    Path("a footer, then signed as the sender's domain", "stamped-modified", "body", settings={"signed": "yes"}),
    Path(
        "a tag before the Subject",
        "stamped-modified",
        "subject",
        settings={"alter-header": "Subject", "alter-with": "[EXTERNAL] ", "alter-mode": "prefix"},
    ),
    Path("another field", "stamped", settings={"xheader": "X-Seen: yes"}),
)


class Clients(Chroot):
    """The tree with settings for one of the programs, which hands on to the gate."""

    def __init__(self, world: World) -> None:
        super().__init__("clients")
        self.gate_port = world.port

    def begin(self) -> None:
        """Nothing runs until there is a letter."""


class Msmtp(Clients):
    """Told all on its command line."""

    def carry(self, letter: bytes, path: Path) -> None:
        """As a program of this machine calls it."""
        options = [f"--{name}={value}" for name, value in path.settings.items()]
        where = "--host=127.0.0.1", f"--port={self.gate_port}"
        _run_unless_refused(lambda: self.run("msmtp", *where, f"--from={ANN}", *options, "--", BOB, stdin=letter))


class Ssmtp(Clients):
    """Its settings are read at each letter."""

    def carry(self, letter: bytes, path: Path) -> None:
        """As cron calls it."""
        settings = {"mailhub": f"127.0.0.1:{self.gate_port}", "hostname": "host.sender.example"} | path.settings
        self.write("/etc/ssmtp/ssmtp.conf", "".join(f"{name}={value}\n" for name, value in settings.items()))
        _run_unless_refused(lambda: self.run("ssmtp", f"-f{ANN}", BOB, stdin=letter))


class Esmtp(Clients):
    """Its settings are in root's home."""

    def carry(self, letter: bytes, path: Path) -> None:
        """As a mail program calls it."""
        del path
        self.write("/etc/esmtprc", f"hostname = 127.0.0.1:{self.gate_port}\nstarttls = disabled\n")
        _run_unless_refused(lambda: self.run("esmtp", "-f", ANN, BOB, stdin=letter))


class Nullmailer(Clients):
    """It has a queue, and a daemon that empties it."""

    def begin(self) -> None:
        """Where it sends to, and its daemon."""
        self.write("/etc/mailname", "sender.example\n")
        self.write("/etc/nullmailer/remotes", f"127.0.0.1 smtp --port={self.gate_port}\n")
        for name in ("queue", "tmp", "failed"):
            self.folder_of("mail", f"/var/spool/nullmailer/{name}")
        os.mkfifo(self.root / "var/spool/nullmailer/trigger")
        os.chown(self.root / "var/spool/nullmailer/trigger", *self.ids("mail"))
        self.process = subprocess.Popen(
            ["chroot", self.root, "nullmailer-send"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def carry(self, letter: bytes, path: Path) -> None:
        """As `sendmail` calls it."""
        del path
        self.run("nullmailer-inject", "-a", f"-f{ANN}", BOB, stdin=letter)


class Dma(Clients):
    """DragonFly's mail agent."""

    def begin(self) -> None:
        """Where it sends to."""
        self.write("/etc/mailname", "sender.example\n")
        self.write("/etc/dma/dma.conf", f"SMARTHOST 127.0.0.1\nPORT {self.gate_port}\nMAILNAME sender.example\n")
        self.folder_of("mail", "/var/spool/dma", 0o2775)

    def carry(self, letter: bytes, path: Path) -> None:
        """As cron calls it."""
        del path
        self.run("dma", "-f", ANN, BOB, stdin=letter)


class Altermime(Clients):
    """As a filter of a mail server calls it, which then hands on."""

    def carry(self, letter: bytes, path: Path) -> None:
        """Alter it, sign it if that is to be, and give it to the gate."""
        settings = dict(path.settings)
        is_signed = settings.pop("signed", "")
        options = [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]
        if not {"alter-header", "xheader"} & set(settings):
            self.write("/tmp/footer", "Our terms apply.\n")
            options += ["--disclaimer=/tmp/footer"]
        file = self.write("/tmp/letter", "")
        file.write_bytes(letter)
        self.run("altermime", "--input=/tmp/letter", *options)
        altered = file.read_bytes()
        hand_in(signed(altered) if is_signed else altered, self.gate_port)


def _run_unless_refused(run: Callable[[], object]) -> None:
    """Those without a queue leave with an error where the gate refuses."""
    try:
        run()
    except RuntimeError as error:
        if "Postage due" not in str(error):
            raise


CARRIERS = (
    (Msmtp, MSMTP),
    (Ssmtp, SSMTP),
    (Esmtp, ESMTP),
    (Nullmailer, NULLMAILER),
    (Dma, DMA),
    (Altermime, ALTERMIME),
)
