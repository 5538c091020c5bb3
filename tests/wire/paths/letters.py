"""The letters that are sent: as people and programs write them, before they are stamped."""

from tests.wire.paths.world import ANN, BOB, signed

DATE = "Date: Wed, 18 Nov 2026 10:00:00 +0000\r\n"
ID = "Message-ID: <1@sender.example>\r\n"
_FROM, _TO = f"From: Ann <{ANN}>\r\n", f"To: Bob <{BOB}>\r\n"
_TEXT = "\r\nShall we have tea?\r\n"
_MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


def written(*fields: str, text: str = _TEXT, subject: str = "Tea") -> bytes:
    """A letter with these fields; where none is given, the usual ones."""
    fields = fields or (_FROM, _TO)
    return "".join([*fields, DATE, ID, f"Subject: {subject}\r\n", text]).encode()


def elsewhere(field: str) -> bytes:
    """A letter with this field instead of From, or with this Cc."""
    return written(field, _TO) if field.startswith("From") else written(_FROM, _TO, field)


PLAIN = written()
ROOT = elsewhere("Cc: root\r\n")
SIGNED_ROOT = signed(ROOT)
"""Its signature covers Cc: `stamp` leaves what it covers alone."""
NO_TO = written(_FROM)
SIGNED_NO_TO = signed(NO_TO, include_headers=[b"from", b"to", b"cc", b"subject", b"date", b"message-id"])
"""As whoever signs To, though there is none, lets nobody add one."""
TO_FRIENDS = written(_FROM, f"To: {BOB},carl@friends.example\r\n")
SIGNED_TO_FRIENDS = signed(TO_FRIENDS)
UNQUOTED = elsewhere(f"From: Ann B. Smith <{ANN}>\r\n")
SIGNED_UNQUOTED = signed(UNQUOTED)
AT_HOST = elsewhere("From: Ann <ann@host.sender.example>\r\n")
CC_AT_HOST = elsewhere("Cc: Carl <carl@host.sender.example>\r\n")
TWO_TO = written(_FROM, _TO, "To: carl@friends.example\r\n")
SIGNED_TWO_TO = signed(TWO_TO)
EIGHT_BIT = written(
    _FROM, _TO, _MIME, text="\r\nGr\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{LATIN SMALL LETTER SHARP S}e\r\n"
)
UTF8_SUBJECT = written(_FROM, _TO, subject="Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n")
ENCODED_SUBJECT = written(subject="=?utf-8?Q?Gr=C3=BCner_Tee?= und Kaffee")
LONG_WORD = written(text=f"\r\n{'x' * 300}\r\n")
MANY = written(_FROM, "To: " + ",\r\n ".join([BOB, *(f"friend.{n}@friends.example" for n in range(300))]) + "\r\n")
HTML = written(
    _FROM, _TO, 'MIME-Version: 1.0\r\nContent-Type: text/html; charset="utf-8"\r\n',
    text='\r\n<html><body><p>Shall we have <a href="https://tea.example/">tea</a>?</p></body></html>\r\n',
)  # fmt: skip
TWO_PARTS = written(
    _FROM, _TO, 'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="b"\r\n',
    text="\r\n--b\r\nContent-Type: text/plain\r\n\r\nTea?\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Tea?</p>\r\n--b--\r\n",
)  # fmt: skip
REPLY_TO = elsewhere(f"Reply-To: Ann <{ANN}>\r\n")
