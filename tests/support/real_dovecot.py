"""Debian's real Dovecot in a tree of its own, with Debian's own configuration and the file in config/dovecot."""

import shutil
from pathlib import Path

from tests.support import chroots
from tests.support.chroots import Chroot
from tests.support.real_postfix import free_port

CONFIG = Path(__file__).parents[2] / "config/dovecot"
USERS = """\
bob@example.org:::::::
carol@example.org:::::::userdb_quota_rule=*:bytes=20000
dora@example.org:::::::userdb_quota_rule=*:messages=1
"""
WHERE = """\
log_path = /var/log/dovecot.log
ssl = no
mail_location = maildir:~/Maildir
userdb {
  driver = passwd-file
  args = /etc/dovecot/users
  default_fields = uid=vmail gid=vmail home=/var/vmail/%n
}
protocol lmtp {
  mail_plugins = quota
}
plugin {
  quota = maildir:User quota
}
"""
"""What an administrator has decided before the gate came: where the users are and the letters go."""


class Dovecot(Chroot):
    """One instance, on `port` and on a unix socket; `way` is which of them the gate takes. Bob gets mail, Carol and Dora as much as they have room for."""

    def __init__(self, recipe: str, way: str, settings: str = "") -> None:
        super().__init__("dovecot")
        self.settings = settings
        self.recipe = recipe
        self.way = way
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the gate reaches it; the unix socket as seen from outside of the tree."""
        return f"lmtp://127.0.0.1:{self.port}" if self.way == "tcp" else f"lmtp+unix://{self.root}/run/dovecot/pennyred"

    def begin(self) -> None:
        """As Debian's packages set it up, and the recipe copied to where it says."""
        shutil.copytree(self.root / "usr/share/dovecot", self.root / "etc/dovecot", dirs_exist_ok=True)
        self.write("/usr/share/dovecot/protocols.d/lmtpd.protocol", "protocols = $protocols lmtp\n")
        for name in ("pem", "key"):
            self.write(f"/etc/dovecot/private/dovecot.{name}", "")  # read, though `ssl = no` makes no use of it
        text = (CONFIG / self.recipe).read_text()
        assert "port = 24\n" in text
        self.write("/etc/dovecot/conf.d/90-pennyred.conf", text.replace("port = 24\n", f"port = {self.port}\n"))
        self.write("/etc/dovecot/conf.d/99-test.conf", WHERE + self.settings)
        self.write("/etc/dovecot/users", USERS)
        self.add_user("pennyred")
        self.folder_of("vmail", "/var/vmail")
        self.start("/usr/sbin/dovecot", "-F", port=self.port)

    def give_room(self) -> None:
        """Carol's mailbox may be larger now."""
        self.write("/etc/dovecot/users", USERS.replace("bytes=20000", "bytes=1000000"))

    def letters(self, user: str = "bob") -> list[bytes]:
        """Every letter that this user has."""
        return self.maildir(f"/var/vmail/{user}/Maildir")

    def wait_for_letters(self, count: int) -> list[bytes]:
        """Wait until Bob has so many."""
        return chroots.wait_for(count, self.letters)

    def forget(self) -> None:
        """Take everybody's letters away."""
        for folder in self.root.glob("var/vmail/*"):
            shutil.rmtree(folder)

    def log(self) -> str:
        """What it has written down."""
        return (self.root / "var/log/dovecot.log").read_text(errors="replace")
