"""Debian's real OpenSMTPD in a tree of its own, with one of the files in config/opensmtpd."""

from pathlib import Path

from tests.support import chroots
from tests.support.chroots import Chroot
from tests.support.real_postfix import free_port

CONFIG = Path(__file__).parents[2] / "config/opensmtpd"
HOST = "127.0.0.2"
"""As the recipes have it: what comes in at 127.0.0.1 itself is to OpenSMTPD of its own house, and completed."""


class OpenSMTPD(Chroot):
    """One instance on `port`; `recipe` is a file of config/opensmtpd. Bob gets mail."""

    def __init__(self, recipe: str, host: str = HOST) -> None:
        super().__init__("opensmtpd")
        self.host = host
        self.recipe = recipe
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the gate reaches it."""
        return f"smtp://{self.host}:{self.port}"

    def begin(self) -> None:
        """As Debian's package would be set up, and the recipe copied to where it says."""
        self.add_user("bob")
        text = (CONFIG / self.recipe).read_text()
        assert "port 10025" in text
        self.write("/etc/smtpd.conf", text.replace("port 10025", f"port {self.port}"))
        self.write("/etc/mailname", "mx.example.org\n")
        self.write("/etc/aliases", "postmaster: bob\n")
        self.start("/usr/sbin/smtpd", "-d", port=self.port, host=self.host)

    def letters(self) -> list[bytes]:
        """Every letter that Bob has."""
        return self.maildir("/home/bob/Maildir")

    def wait_for_letters(self, count: int) -> list[bytes]:
        """Wait until Bob has so many."""
        return chroots.wait_for(count, self.letters)

    def forget(self) -> None:
        """Take Bob's letters away."""
        for file in self.root.glob("home/bob/Maildir/new/*"):
            file.unlink()
