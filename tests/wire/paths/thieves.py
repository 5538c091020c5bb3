"""Thieves: each holds an unspent stamped letter of Ann's, octet for octet, and hands in something of his own.

The thief's name says what he does. Where a thief's letter counts, it is Ann's own text to the man it was for; he has won
nothing by it but what `reason` and `wins` say.
"""

from dataclasses import dataclass

from tests.wire.paths import letters
from tests.wire.paths.hop import add, below, change, drop, put, text, together
from tests.wire.paths.table import Alter
from tests.wire.paths.world import ANN, BOB, FRONT, SEEN, SHARED, THIEF, sealed, signed

EVE = "eve@thief.example"
PILLS = text("Cheap pills: https://pills.example/\r\n")
HEADERS, BODY = "altered-headers", "altered-body"


@dataclass(frozen=True)
class Thief:
    """What he does with the stamped letter, and what the gate says."""

    name: str
    reason: str
    does: Alter
    letter: bytes = letters.PLAIN
    source: str = "127.0.0.1"
    """Where he hands it in."""
    to: str = BOB
    wins: str = ""
    """What he has, where the stamp counts."""
    then: str = "resent"
    """Where the stamp counts: what Ann's own letter hears. `duplicate` only where Bob reads what she wrote, as she takes
    it for delivered then; `spent` where he has read something else.
    """


def signed_as_own(letter: bytes) -> bytes:
    return signed(letter, THIEF)


def raw(octets: str) -> Alter:
    """These on top, whatever they are."""
    return lambda letter: octets.encode() + letter


def seen(results: str) -> Alter:
    """As a front has written it."""
    return add(f"Authentication-Results: front.example; {results}")


def stray(line: str) -> Alter:
    """A line of the header section that is no field, above the others."""
    return lambda letter: letter.replace(b"\r\nFrom:", f"\r\n{line}\r\nFrom:".encode(), 1)


def blanks(letter: bytes) -> bytes:
    """One where a part's header ends."""
    return letter.replace(b"plain\r\n\r\n", b"plain\r\n \r\n", 1)


AUTHORS = (
    Thief("puts his own From", HEADERS, put("From", f"Ann <{EVE}>")),
    Thief("puts his own From with Ann's address as its name", HEADERS, put("From", f'"{ANN}" <{EVE}>')),
    Thief("the same as encoded words", HEADERS, put("From", f"=?utf-8?q?ann=40sender=2Eexample?= <{EVE}>")),
    Thief("the same as a comment", HEADERS, put("From", f"{EVE} ({ANN})")),
    Thief("puts his own From as encoded words, which hold Ann's whole mailbox", HEADERS, put("From", f"=?utf-8?q?Ann_=3C{ANN.replace('@', '=40')}=3E?= <{EVE}>")),
    Thief("puts himself before a literal, as encoded words, which Python's library reads as the address", HEADERS,
          put("From", f"=?utf-8?q?{EVE.replace('@', '=40')}?= [x] <{ANN}>")),
    Thief("adds a From above Ann's", HEADERS, add(f"From: {EVE}")),
    Thief("adds a From below Ann's", HEADERS, lambda letter: letter.replace(b"\r\n\r\n", f"\r\nFrom: {EVE}\r\n\r\n".encode(), 1)),
    Thief("adds another From of Ann's", HEADERS, add(f"From: Ann <{ANN}>")),
    Thief("puts himself beside Ann", HEADERS, put("From", f"{EVE}, Ann <{ANN}>")),
    Thief("puts himself into a group beside Ann", HEADERS, put("From", f"Friends: {EVE}, {ANN};")),
    Thief("leaves an empty group in From", HEADERS, put("From", "Ann:;")),
    Thief("leaves From empty", HEADERS, put("From", "")),
    Thief("takes From away", HEADERS, drop("from")),
    Thief("writes Ann's address as a route to himself", HEADERS, put("From", f"<@sender.example:{EVE}>")),
    Thief("writes Ann's address as a quoted local part", HEADERS, put("From", f'"{ANN}"@thief.example')),
    Thief("writes Ann's address with a longer domain", HEADERS, put("From", f"Ann <{ANN}.thief.example>")),
    Thief("hides Ann's From behind a blank before the colon, and adds his own", HEADERS,
          lambda letter: letter.replace(b"\r\nFrom:", f"\r\nFrom: {EVE}\r\nFrom :".encode(), 1)),
    Thief("gives Ann his own address as her name", HEADERS, put("From", f'"{EVE}" <{ANN}>')),
    Thief("writes Ann's domain with a letter of another script", HEADERS, put("From", "Ann <ann@xn--ender-v4e.example>")),
    Thief("puts his own From, which his own domain has signed", HEADERS, together(put("From", f"Ann <{EVE}>"), signed_as_own)),
    Thief("puts the stamp on a letter of his own", HEADERS,
          together(put("From", EVE), put("To", BOB), put("Subject", "Pills"), put("Message-ID", "<9@thief.example>"), PILLS)),
)  # fmt: skip
TEXTS = (
    Thief("keeps the fields and puts another text", BODY, PILLS),
    Thief("the same from a server that SPF allows for Ann's domain", BODY, PILLS, source=SHARED),
    Thief("the same, signed by his own domain", BODY, together(PILLS, signed_as_own)),
    Thief("keeps the Message-ID, and puts all other fields and the text", BODY,
          together(put("Subject", "Pills"), put("Date", "Thu, 19 Nov 2026 10:00:00 +0000"), put("To", BOB), PILLS)),
    Thief("keeps the Subject, and puts Message-ID and text", BODY, together(put("Message-ID", "<9@thief.example>"), PILLS)),
    Thief("keeps From alone", HEADERS, together(put("Message-ID", "<9@thief.example>"), put("Subject", "Pills"), PILLS)),
    Thief("writes above Ann's text", BODY, lambda letter: letter.replace(b"\r\n\r\n", b"\r\n\r\nCheap pills!\r\n", 1)),
    Thief("writes below Ann's text", BODY, below("Cheap pills!\n")),
    Thief("writes below a text that Ann's domain has signed in part (l=)", BODY, below("Cheap pills!\n"), signed(letters.PLAIN, length=True)),
    Thief("leaves the text out", BODY, text("")),
    Thief("puts another Subject", HEADERS, put("Subject", "Cheap pills")),
    Thief("puts another Subject, from a server that SPF allows", HEADERS, put("Subject", "Cheap pills"), source=SHARED),
    Thief("adds a Subject above Ann's", HEADERS, add("Subject: Cheap pills")),
    Thief("writes behind Ann's Subject", HEADERS, change("Subject", "{} and cheap pills".format)),
    Thief("puts a tag of 17 letters before it", HEADERS, change("Subject", "[cheap pills here.] {}".format)),
    Thief("puts two tags before it", HEADERS, change("Subject", "[cheap] [pills] {}".format)),
    Thief("puts a web address into the tag", HEADERS, change("Subject", "[pills.example] {}".format)),
    Thief("writes the tag as an encoded word", HEADERS, change("Subject", "=?utf-8?q?=5Bcheap_pills_at_once!=5D?= {}".format)),
    Thief("calls the Subject's language what he has to say", HEADERS, put("Subject", "=?utf-8*cheap-pills-at-pills-example?q?Tea?=")),
    Thief("puts stars for brackets", HEADERS, change("Subject", "***cheap pills*** {}".format)),
    Thief("calls the text HTML", BODY, add("MIME-Version: 1.0", "Content-Type: text/html")),
    Thief("calls HTML text", BODY, put("Content-Type", "text/plain"), letters.HTML),
    Thief("calls one text several parts", BODY, add("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="Shall"')),
    Thief("puts another boundary between the parts", BODY, put("Content-Type", 'multipart/alternative; boundary="c"'), letters.TWO_PARTS),
    Thief("puts a blank into the empty line below a part's header, so that Dovecot shows the text from its second paragraph on", BODY, blanks, letters.TWO_PARTS),
    Thief("the same, where Ann's domain has signed the letter", BODY, blanks, signed(letters.TWO_PARTS)),
    Thief("calls it base64", BODY, add("MIME-Version: 1.0", "Content-Transfer-Encoding: base64")),
    Thief("adds a second Content-Type above", BODY, add("Content-Type: text/plain"), letters.HTML),
    Thief("makes a file of the text, whose name is his own", BODY, add('Content-Disposition: attachment; filename="Cheap pills.txt"')),
    Thief("makes a file of it with a Content-Type alone", BODY, put("Content-Type", 'application/octet-stream; name="Cheap pills.txt"'), letters.HTML),
    Thief("gives the type a name", BODY, put("Content-Type", "text/html; NAME*=utf-8''Cheap%20pills"), letters.HTML),
    Thief("describes the text in his words", BODY, add("Content-Description: Cheap pills")),
    Thief("has all links lead to himself", BODY, add("Content-Base: https://pills.example/"), letters.HTML),
    Thief("has all links lead to himself, in another field", BODY, add("Content-Location: https://pills.example/"), letters.HTML),
    Thief("makes a file of a text that Ann's domain has signed", BODY, add('Content-Disposition: attachment; filename="Cheap pills.txt"'), signed(letters.PLAIN)),
    Thief("gives a name to the type that Ann's domain has left out of its signature", BODY, put("Content-Type", 'text/html; name="Cheap pills"'),
          signed(letters.HTML, include_headers=[b"from", b"to", b"subject", b"date", b"message-id"])),
    Thief("puts a line that is no field into the header", BODY, stray("Dear Bob, see https pills.example")),
    Thief("puts such a line with a colon in it", BODY, stray("Dear Bob, see https://pills.example/")),
    Thief("writes a field with a blank before the colon, at which mutt and Python's library end the header", BODY, add("Dear : Bob, see https://pills.example/")),
    Thief("writes such a field into a letter that Ann's domain has signed", BODY, add("Dear : Bob, see https://pills.example/"), signed(letters.PLAIN)),
    Thief("begins the header with such a line", BODY, lambda letter: b"Dear Bob, cheap pills\r\n" + letter),
    Thief("begins with a line of a mailbox", BODY, lambda letter: f"From {EVE} Wed Nov 18 10:00:00 2026\r\n".encode() + letter),
)  # fmt: skip
ANSWERS = (
    Thief("adds a Reply-To", HEADERS, add(f"Reply-To: {EVE}")),
    Thief("puts another Reply-To", HEADERS, put("Reply-To", EVE), letters.REPLY_TO),
    Thief("adds a second Reply-To", HEADERS, add(f"Reply-To: {EVE}"), letters.REPLY_TO),
    Thief("takes Reply-To away", HEADERS, drop("reply-to"), letters.REPLY_TO),
    Thief("writes Reply-To with a blank before the colon", BODY, add(f"Reply-To : {EVE}")),
    Thief("adds a Reply-To that is an empty group of his name", HEADERS, add(f'Reply-To: "{EVE}":;')),
    Thief("hides a Reply-To behind a NUL", HEADERS, raw(f"Reply-To\0: {EVE}\r\n")),
    Thief("hides a Reply-To behind a bare LF", HEADERS, raw(f"X-Seen: yes\nReply-To: {EVE}\r\n")),
    Thief("adds Mail-Followup-To", HEADERS, add(f"Mail-Followup-To: {EVE}")),
    Thief("adds Mail-Reply-To", HEADERS, add(f"Mail-Reply-To: {EVE}")),
    Thief("adds a Reply-To, from a server that SPF allows", HEADERS, add(f"Reply-To: {EVE}"), source=SHARED),
    Thief("adds a Reply-To to a letter that Ann's domain has signed", HEADERS, add(f"Reply-To: {EVE}"), signed(letters.PLAIN)),
    Thief("puts another Subject on a letter whose signature leaves it out", HEADERS, put("Subject", "Cheap pills"),
          signed(letters.PLAIN, include_headers=[b"from", b"to", b"date", b"message-id"])),
    Thief("puts a line that is no field into a letter that Ann's domain has signed", BODY, stray("Dear Bob, see https pills.example"), signed(letters.PLAIN)),
    Thief("adds a Subject above Ann's, which her domain has signed", HEADERS, add("Subject: Cheap pills"), signed(letters.PLAIN)),
    Thief("adds Mail-Followup-To to a letter that Ann's domain has signed", HEADERS, add(f"Mail-Followup-To: {EVE}"), signed(letters.PLAIN)),
    Thief("calls a text HTML that Ann's domain has signed", "stamped-modified", add("MIME-Version: 1.0", "Content-Type: text/html"), signed(letters.PLAIN), wins="Ann's own text, as HTML", then="spent"),
    Thief("adds a Reply-To and another text", BODY, together(add(f"Reply-To: {EVE}"), PILLS)),
)  # fmt: skip
PROOFS = (
    Thief("says in Authentication-Results that it was all proven", BODY,
          together(PILLS, add("Authentication-Results: mx.example.org; dkim=pass header.d=sender.example; dmarc=pass header.from=sender.example"))),
    Thief("seals it as a forwarder whom nobody has named", BODY, together(PILLS, lambda letter: sealed(letter, THIEF))),
    Thief("puts Ann's domain on a signature of his own", BODY, together(PILLS, signed_as_own, lambda letter: letter.replace(b"d=thief.example", b"d=sender.example", 1))),
    Thief("signs as his own domain, whose DNS is silent", BODY, together(PILLS, lambda letter: signed(letter, "silent.example"))),
    Thief("comes through a front that knows him by SPF alone", BODY, together(PILLS, seen("spf=pass smtp.mailfrom=sender.example; dmarc=pass header.from=sender.example")), source=FRONT),
    Thief("comes through a front with Ann's signature, which it says holds, and a Reply-To", HEADERS, together(add(f"Reply-To: {EVE}"), seen(SEEN)), signed(letters.PLAIN), FRONT),
    Thief("comes through a list that has sealed Ann's letter, and adds a Reply-To", HEADERS, together(sealed, add(f"Reply-To: {EVE}"))),
    Thief("puts Message-ID and stamp on another letter, which Ann's domain has signed without Message-ID", BODY,
          together(put("Subject", "Coffee"), text("Coffee?\r\n"), lambda letter: signed(letter, include_headers=[b"from", b"to", b"subject"]))),
    Thief("puts the stamp on Ann's answer to him under the same Subject, which quotes him, and which Ann's domain has signed", HEADERS,
          together(put("To", EVE), put("Date", "Mon, 16 Nov 2026 10:00:00 +0000"), put("Message-ID", "<7@sender.example>"),
                   text("No, Eve.\r\n> Cheap pills: https://pills.example/\r\n"), signed)),
    Thief("keeps Ann's signature below another text", BODY, PILLS, signed(letters.PLAIN)),
)  # fmt: skip
STAMPS = (
    Thief("sends it to Carl", "wrong-recipient", lambda letter: letter, to="carl@example.net"),
    Thief("sends it to Carl, and writes him into To", "wrong-recipient", put("To", "carl@example.net"), to="carl@example.net"),
    Thief("raises its price", "bad-signature", change("X-Postage-Stamp", lambda value: value.replace("p=1;", "p=2;", 1))),
    Thief("takes its salt away", "wrong-recipient", change("X-Postage-Stamp", lambda value: value.rpartition("; z=")[0])),
    Thief("puts the stamp of one letter onto another of Ann's", HEADERS, together(put("Subject", "Coffee"), put("Message-ID", "<2@sender.example>"), text("Coffee?\r\n"))),
)  # fmt: skip
HARMLESS = (
    Thief("puts an advertisement of 16 letters into a tag", "stamped-modified", change("Subject", "[cheap pills now] {}".format), wins="16 letters in front of Ann's Subject"),
    Thief("puts himself into Cc", "stamped-modified", add(f"Cc: {EVE}"), wins="what Bob answers to all"),
    Thief("hides a Reply-To behind a bare CR", "stamped", raw(f"X-Seen: yes\rReply-To: {EVE}\r\n"), wins="nothing: it comes to Bob as a blank", then="duplicate"),
    Thief("puts other people into To", "stamped-modified", put("To", "Carl <carl@friends.example>")),
    Thief("puts another Message-ID", "stamped-modified", put("Message-ID", "<9@thief.example>")),
    Thief("puts another Date", "stamped-modified", put("Date", "Thu, 19 Nov 2026 10:00:00 +0000")),
    Thief("gives Ann another name", "stamped", put("From", f'"Your bank" <{ANN}>'), wins="a name beside Ann's address"),
    Thief("adds List-Post", "stamped", add(f"List-Post: <mailto:{EVE}>"), wins="what Bob answers to “the list”, where his program offers that", then="duplicate"),
    Thief("adds Sender", "stamped", add(f"Sender: {EVE}"), wins="“on behalf of Ann”, where Bob's program says so", then="duplicate"),
    Thief("says that Bob has had it before, so that his server returns it", "stamped", add(f"Delivered-To: {BOB}"), wins="a letter that may come to nobody"),
    Thief("says that it has come round in circles", "stamped", add(*["Received: from a.example by b.example; Wed, 18 Nov 2026 10:00:00 +0000"] * 21), wins="a letter that may come to nobody"),
    Thief("says that the text is to be shown where it stands", "stamped", add("Content-Disposition: Inline"), then="duplicate"),
    Thief("gives the text another charset", "stamped", put("Content-Type", "text/plain; charset=utf-16"), letters.EIGHT_BIT, wins="a text that nobody can read"),
    Thief("puts a line of blanks into the header, and his text below it in a field", "stamped",
          lambda letter: letter.replace(b"\r\nFrom:", b"\r\n \r\nPills: cheap\r\nFrom:", 1), wins="a field that mail programs do not show", then="duplicate"),
    Thief("adds fields that nobody is bound by", "stamped", add("X-Mailer: pills", "Comments: cheap pills"), wins="fields that mail programs do not show", then="duplicate"),
)  # fmt: skip
THIEVES = (*AUTHORS, *TEXTS, *ANSWERS, *PROOFS, *STAMPS, *HARMLESS)
