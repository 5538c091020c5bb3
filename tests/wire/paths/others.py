"""Exim, OpenSMTPD, sendmail and Haraka on the way, each one instance for all of its paths."""

from tests.support.exim_at_work import EximAtWork
from tests.support.real_haraka import Haraka
from tests.support.real_opensmtpd import OpenSMTPD
from tests.support.real_sendmail import Sendmail
from tests.wire.paths import letters
from tests.wire.paths.table import Path
from tests.wire.paths.world import World, hand_in

EXIM = (
    Path("as a relay", "stamped"),
    Path("a letter in UTF-8, stamped with `--8bit`", "stamped", letter=letters.EIGHT_BIT, options=("--8bit",)),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
    Path("300 people in To", "stamped", letter=letters.MANY),
    Path("`control = submission`", "stamped", settings={"hello": "submission.example"}),
    Path("a rewrite rule for From (`Ffrs`)", "altered-headers", "from", "stamp behind it, or write the address that it puts there", letters.AT_HOST),
    Path("a rewrite rule for who is in Cc", "stamped-modified", "cc", letter=letters.CC_AT_HOST),
    Path("`recipient_unqualified_hosts`, `Cc: root`", "stamped", letter=letters.ROOT),
    Path("`Cc: root` below a DKIM signature", "stamped-modified", "cc", letter=letters.SIGNED_ROOT),
    Path("an ACL that puts a tag before the Subject", "stamped-modified", "subject", settings={"hello": "tagging.example"}),
    Path("an ACL that puts `Spam score 5.1:` before it", "altered-headers", "subject", "a short tag in brackets, or the receiver names it in `subject_tags`",
         settings={"hello": "scoring.example"}),
    Path("`headers_remove = Message-ID` and a new one", "stamped-modified", "message-id", settings={"hello": "numbering.example"}),
    Path("`headers_remove = X-*`", "no-stamp", "x-postage-stamp", "except X-Postage-Stamp from it", settings={"hello": "hiding.example"}),
)  # fmt: skip
OPENSMTPD = (
    Path("as a relay", "stamped"),
    Path("a letter in UTF-8, stamped with `--8bit`", "stamped", letter=letters.EIGHT_BIT, options=("--8bit",)),
    Path("`Cc: root`, from the machine itself", "stamped", letter=letters.ROOT),
    Path("`Cc: root` below a DKIM signature", "stamped-modified", "cc", letter=letters.SIGNED_ROOT),
    Path("nobody in To", "stamped", letter=letters.NO_TO),
    Path("`To: bob@example.net,carl@friends.example`", "stamped", letter=letters.TO_FRIENDS),
    Path("300 people in To", "stamped", letter=letters.MANY),
)  # fmt: skip
SENDMAIL = (
    Path("as a relay", "stamped"),
    Path("`From: Ann B. Smith <…>`", "stamped", letter=letters.UNQUOTED),
    Path("`From: Ann B. Smith <…>` below a DKIM signature (gets quotes)", "stamped", "from", letter=letters.SIGNED_UNQUOTED),
    Path("commas without blanks in To, below a DKIM signature", "stamped", "to", letter=letters.SIGNED_TO_FRIENDS),
    Path("`Cc: root`", "stamped", letter=letters.ROOT),
    Path("`Cc: root` below a DKIM signature", "stamped-modified", "cc", letter=letters.SIGNED_ROOT),
    Path("nobody in To", "stamped", letter=letters.NO_TO),
    Path("two To fields below a DKIM signature", "stamped", letter=letters.SIGNED_TWO_TO),
    Path("a Subject as encoded words", "stamped", letter=letters.ENCODED_SUBJECT),
    Path("a letter in UTF-8", "stamped", letter=letters.EIGHT_BIT),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
    Path("300 people in To", "stamped", letter=letters.MANY),
)  # fmt: skip
SENDMAIL_REWRITING = (
    Path("`MASQUERADE_AS`, From", "altered-headers", "from", "stamp behind it, or write the address that it puts there", letters.AT_HOST),
    Path("`confNO_RCPT_ACTION`, nobody in To", "stamped", letter=letters.NO_TO),
    Path("`confNO_RCPT_ACTION`, nobody in To, below a DKIM signature", "stamped", "to", letter=letters.SIGNED_NO_TO),
)  # fmt: skip
HARAKA = (
    Path("as a relay", "stamped"),
    Path("a letter in UTF-8, stamped with `--8bit`", "stamped", letter=letters.EIGHT_BIT, options=("--8bit",)),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS),
    Path("`Cc: root` below a DKIM signature", "stamped", letter=letters.SIGNED_ROOT),
    Path("300 people in To", "stamped", letter=letters.MANY),
)

_EXIM_MAIN = """\
sender_unqualified_hosts = 127.0.0.1
recipient_unqualified_hosts = 127.0.0.1
qualify_domain = sender.example
begin rewrite
*@host.sender.example $1@sender.example FTfcrs
"""
_EXIM_AT_RCPT = """\
  warn condition = ${if eq{$sender_helo_name}{submission.example}}
       control = submission/sender_retain
"""
_EXIM_REMOTE = """\
headers_remove = ${if eq{$sender_helo_name}{tagging.example}{Subject}}${if eq{$sender_helo_name}{scoring.example}{Subject}}\\
                 ${if eq{$sender_helo_name}{numbering.example}{Message-ID}}${if eq{$sender_helo_name}{hiding.example}{X-*}}
  headers_add = ${if eq{$sender_helo_name}{tagging.example}{Subject: [EXTERNAL] $h_subject:}}\\
                ${if eq{$sender_helo_name}{scoring.example}{Subject: Spam score 5.1: $h_subject:}}\\
                ${if eq{$sender_helo_name}{numbering.example}{Message-ID: <E$message_exim_id@relay.example>}}
"""


class Exims(EximAtWork):
    """Heavy Exim; what it does with a letter depends on what its client calls itself."""

    def __init__(self, world: World) -> None:
        super().__init__(world.port, main=_EXIM_MAIN, at_rcpt=_EXIM_AT_RCPT, remote=_EXIM_REMOTE)

    def carry(self, letter: bytes, path: Path) -> None:
        """Hand it in; Exim answers before it has delivered."""
        code, said = hand_in(letter, self.port, hello=path.settings.get("hello", "client.example"))
        assert code == 250, said


class RelayingOpenSMTPD(OpenSMTPD):
    """A machine's own, which hands on whatever programs of this machine give it."""

    def __init__(self, world: World) -> None:
        super().__init__("", "127.0.0.1")
        self._next = world.port

    def begin(self) -> None:
        """As its manual has a relay."""
        lines = (
            f"listen on 127.0.0.1 port {self.port} hostname relay.sender.example",
            f'action "out" relay host smtp://127.0.0.1:{self._next}',
            'match from any for any action "out"',
        )
        self.write("/etc/smtpd.conf", "".join(f"{line}\n" for line in lines))
        self.write("/etc/mailname", "sender.example\n")
        self.write("/etc/aliases", "")
        self.start("/usr/sbin/smtpd", "-d", port=self.port, host=self.host)

    def carry(self, letter: bytes, path: Path) -> None:
        """From loopback, as a program of its own house."""
        del path
        code, said = hand_in(letter, self.port)
        assert code == 250, said


class Sendmails(Sendmail):
    """One that relays."""

    macros = ""

    def __init__(self, world: World) -> None:
        super().__init__(world.port, self.macros)

    def carry(self, letter: bytes, path: Path) -> None:
        """Delivered before it has answered; what the gate refuses, goes back to Ann as a report."""
        del path
        code, said = hand_in(letter, self.port)
        assert code == 250, said


class RewritingSendmails(Sendmails):
    """One that hides its hosts, and names those whom nobody names."""

    macros = """\
MASQUERADE_AS(`sender.example')dnl
MASQUERADE_DOMAIN(`host.sender.example')dnl
FEATURE(`masquerade_envelope')dnl
define(`confNO_RCPT_ACTION', `add-to-undisclosed')dnl
"""


class Harakas(Haraka):
    """One that forwards while its client waits."""

    def __init__(self, world: World) -> None:
        super().__init__(world.port)

    def carry(self, letter: bytes, path: Path) -> None:
        """What the gate says is what the client hears."""
        del path
        hand_in(letter, self.port)


CARRIERS = (
    (Exims, EXIM),
    (RelayingOpenSMTPD, OPENSMTPD),
    (Sendmails, SENDMAIL),
    (RewritingSendmails, SENDMAIL_REWRITING),
    (Harakas, HARAKA),
)
