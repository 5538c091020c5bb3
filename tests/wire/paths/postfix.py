"""Postfix with each of its settings that rewrite a letter; one instance for all, with a listener for each path."""

from contextlib import ExitStack
from typing import Self

from tests.support.real_postfix import Postfix, free_ports
from tests.wire.paths import letters
from tests.wire.paths.table import Path
from tests.wire.paths.world import World, hand_in

OWN = {"local_header_rewrite_clients": "permit_mynetworks"}
SEVEN_BIT = {"smtp_discard_ehlo_keywords": "8bitmime, smtputf8"}
"""As if the next server offered neither; to one that has the second alone, Postfix sends eight bits all the same."""
CANONICAL = "inline:{ann@host.sender.example=ann@sender.example, carl@host.sender.example=carl@sender.example}"

EXCEPT = "except X-Postage-Stamp from it"
WRITE_IT = "stamp behind it, or write the address that it puts there"

PATHS = (
    Path("as installed", "stamped"),
    Path("a letter in UTF-8", "stamped", letter=letters.EIGHT_BIT),
    Path("a letter in UTF-8, and the next server takes no 8-bit text", "stamped", letter=letters.EIGHT_BIT, settings=SEVEN_BIT),
    Path("a letter stamped with `--8bit`, and the next server takes no 8-bit text", "altered-body", "content-transfer-encoding, body", "`stamp` without `--8bit`",
         letters.EIGHT_BIT, ("--8bit",), SEVEN_BIT),
    Path("`Cc: root`, from the machine itself", "stamped", letter=letters.ROOT, settings=OWN),
    Path("`Cc: root` below a DKIM signature", "stamped-modified", "cc", letter=letters.SIGNED_ROOT, settings=OWN),
    Path("`undisclosed_recipients_header`, no To", "stamped", letter=letters.NO_TO,
         settings={"undisclosed_recipients_header": "To: undisclosed-recipients:;"}),
    Path("`undisclosed_recipients_header`, no To, below a DKIM signature", "stamped", "to", letter=letters.SIGNED_NO_TO,
         settings={"undisclosed_recipients_header": "To: undisclosed-recipients:;"}),
    Path("`always_add_missing_headers`", "stamped", settings={"always_add_missing_headers": "yes"}),
    Path("`canonical_maps` for who is in Cc", "stamped-modified", "cc", letter=letters.CC_AT_HOST, settings=OWN | {"canonical_maps": CANONICAL}),
    Path("`canonical_maps` for From", "altered-headers", "from", WRITE_IT, letters.AT_HOST, settings=OWN | {"canonical_maps": CANONICAL}),
    Path("`canonical_maps`, but not for headers (`local_header_rewrite_clients =`)", "stamped", letter=letters.AT_HOST,
         settings={"local_header_rewrite_clients": "", "canonical_maps": CANONICAL}),
    Path("`smtp_generic_maps` for From", "altered-headers", "from", WRITE_IT, letters.AT_HOST, settings={"smtp_generic_maps": CANONICAL}),
    Path("`masquerade_domains`", "altered-headers", "from", WRITE_IT, letters.AT_HOST, settings=OWN | {"masquerade_domains": "sender.example"}),
    Path("`masquerade_domains` for who is in Cc", "stamped-modified", "cc", letter=letters.CC_AT_HOST, settings=OWN | {"masquerade_domains": "sender.example"}),
    Path("`header_checks` REPLACE Message-ID", "stamped-modified", "message-id",
         settings={"header_checks": "regexp:{{/^Message-ID:.*/ REPLACE Message-ID: <2@sender.example>}}"}),
    Path("`smtp_header_checks` REPLACE Message-ID", "stamped-modified", "message-id",
         settings={"smtp_header_checks": "regexp:{{/^Message-ID:.*/ REPLACE Message-ID: <2@sender.example>}}"}),
    Path("`header_checks` put `[EXTERNAL]` before the Subject", "stamped-modified", "subject",
         settings={"header_checks": "regexp:{{/^Subject: (.*)/ REPLACE Subject: [EXTERNAL] $1}}"}),
    Path("`smtp_header_checks` put `***SPAM***` before it", "altered-headers", "subject", "the receiver names it in `subject_tags`",
         settings={"smtp_header_checks": "regexp:{{/^Subject: (.*)/ REPLACE Subject: ***SPAM*** $1}}"}),
    Path("`header_checks` REPLACE the Subject", "altered-headers", "subject", "stamp behind it",
         settings={"header_checks": "regexp:{{/^Subject: .*/ REPLACE Subject: Newsletter}}"}),
    Path("`header_checks` PREPEND a field", "stamped", settings={"header_checks": "regexp:{{/^Subject: / PREPEND X-Seen: yes}}"}),
    Path("`header_checks` with `/^X-/ IGNORE`", "no-stamp", "x-postage-stamp", EXCEPT,
         settings={"header_checks": "regexp:{{/^X-/ IGNORE}}"}),
    Path("`message_drop_headers` with the stamp's", "no-stamp", "x-postage-stamp", EXCEPT, settings={"message_drop_headers": "bcc, x-postage-stamp"}),
    Path("`header_size_limit = 600`", "malformed", "x-postage-stamp", "more of it: a stamp has less than 1,000 octets", settings={"header_size_limit": "600"}),
    Path("`smtp_line_length_limit = 78`, a long word", "altered-body", "body", "encode such a text (quoted-printable)", letters.LONG_WORD,
         settings={"smtp_line_length_limit": "78"}),
    Path("`body_checks` REPLACE a line", "altered-body", "body", "stamp behind it", settings={"body_checks": "regexp:{{/tea/ REPLACE Shall we have coffee?}}"}),
    Path("two To fields", "stamped", letter=letters.TWO_TO, settings=OWN),
    Path("300 people in To", "stamped", letter=letters.MANY, settings=OWN),
    Path("a Subject as encoded words", "stamped", letter=letters.ENCODED_SUBJECT),
    Path("two MIME parts", "stamped", letter=letters.TWO_PARTS, settings=OWN),
)  # fmt: skip


class Postfixes:
    """The instance; a context manager. What is for the gate goes there from each listener by a client of its own."""

    def __init__(self, world: World) -> None:
        self._gate_port = world.port
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._begin()
        except RuntimeError:  # somebody has taken one of so many ports just before
            self._begin()
        return self

    def _begin(self) -> None:
        self.ports = dict(zip(map(id, PATHS), free_ports(len(PATHS)), strict=True))
        services = "".join(
            self._service(number, path, self.ports[id(path)], self._gate_port) for number, path in enumerate(PATHS)
        )
        self._stack.enter_context(Postfix(services, _MAIN, domains=""))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def carry(self, letter: bytes, path: Path) -> None:
        """By the listener of this path."""
        code, said = hand_in(letter, self.ports[id(path)])
        assert code == 250, said

    @staticmethod
    def _service(number: int, path: Path, port: int, gate: int) -> str:
        """Each of the programs that a letter passes hears of the settings; those that are not for it do it no harm."""
        options = "".join(
            f"    -o {{ {name} = {value.replace('$', '$$')} }}\n" for name, value in path.settings.items()
        )
        own = f"    -o cleanup_service_name=cleanup{number}\n    -o content_filter=smtp{number}:[127.0.0.1]:{gate}\n"
        return (
            f"127.0.0.1:{port} inet n - n - - smtpd\n{own}{options}"
            f"cleanup{number} unix n - n - 0 cleanup\n{options}smtp{number} unix - - n - - smtp\n{options}"
        )


_MAIN = {
    "myorigin": "sender.example",
    "mynetworks": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "default_transport": "discard",
    "smtp_host_lookup": "native",
}

CARRIERS = ((Postfixes, PATHS),)
