"""Debian's real Exim in a tree of its own, with Debian's own configuration and one of the files in config/exim."""

from pathlib import Path

from tests.support import chroots
from tests.support.chroots import Chroot
from tests.support.real_postfix import free_port

CONFIG = Path(__file__).parents[2] / "config/exim"
DEBCONF = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='example.org'
dc_local_interfaces='127.0.0.1 ; ::1'
dc_relay_nets=''
dc_localdelivery='maildir_home'
dc_use_split_config='true'
"""
"""What Debian asks when the package is installed: a mail server for example.org, letters to Maildir."""


class Exim(Chroot):
    """One instance on `port`; `recipe` is a file of config/exim, `build` Debian's heavy or light one. Bob gets mail. `main`
    are more lines of Exim's main section.
    """

    def __init__(self, recipe: str, build: str = "heavy", main: str = "") -> None:
        super().__init__(f"exim-{build}")
        self.recipe = recipe
        self.main = main
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the gate reaches it."""
        return f"smtp://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """As Debian's packages would be set up for example.org, and the recipe copied to where it says."""
        self.add_user("bob")
        for folder in ("/var/spool/exim4", "/var/log/exim4", "/run/exim4"):
            self.folder_of("Debian-exim", folder, 0o750)
        text = (CONFIG / self.recipe).read_text()
        assert "127.0.0.1.10025" in text
        main = text.replace("127.0.0.1.10025", f"127.0.0.1.{self.port}")
        self.write("/etc/exim4/conf.d/main/000_pennyred", main)
        self.write("/etc/exim4/conf.d/main/001_test", f"MAIN_HARDCODE_PRIMARY_HOSTNAME = mx.example.org\n{self.main}")
        self.write("/etc/exim4/update-exim4.conf.conf", DEBCONF)
        self.write("/etc/mailname", "example.org\n")
        self.write("/etc/aliases", "postmaster: bob\n")
        self.run("update-exim4.conf")
        self.start("/usr/sbin/exim4", "-bdf", "-q30m", port=self.port)

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

    def log(self) -> str:
        """Exim's log of what came and went, and of what it refused."""
        files = sorted((self.root / "var/log/exim4").glob("*log"))
        return "".join(file.read_text(errors="replace") for file in files)
