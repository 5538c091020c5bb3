"""What an office sees of letters: whom it is asked to pay, and nothing of who writes to whom about what.

All octets that go to it over HTTP are kept. An adversary has them, and a dictionary that holds the recipient, author,
subject, date and every other text that stamps sign, of each letter and of letters that were never sent. It does not
have what a letter alone has: its Message-ID and its body. (STAMP.md 3.7, 12.3.1.)
"""

import asyncio
import base64
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from tests.support.at_once import parts_of, texts_of
from tests.support.desk import DeskUnderTest, Fate, Lines, MailServer
from tests.support.redeeming_office import TOKEN, RedeemingOffice
from tests.support.stationery import NOW, Stationery

from pennyred.gate.issuers.asking import Asker
from pennyred.gate.issuers.http import HttpRedeemer
from pennyred.postage import digest
from pennyred.postage.address import canonical_recipient
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reading.texts import body_text
from pennyred.postage.stamp import parse_stamp
from pennyred.sender.franking import stamp_letter

LETTERS = 12
HANDFUL = 8
"""The fewest octets by which two values are told to have something in common."""
_WORD = re.compile(rb"[A-Za-z0-9+/=_.-]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")


@dataclass(frozen=True)
class Secret:
    """What is worth knowing of a letter; the adversary's dictionary has many."""

    author: str
    recipients: tuple[str, str]
    subject: str
    reply_to: str
    minute: int

    def letter(self, message_id: bytes = b"", body: bytes = b"") -> bytes:
        return (
            f"From: {self.author}\r\nTo: {', '.join(self.recipients)}\r\nSubject: {self.subject}\r\n"
            f"Date: Wed, 18 Nov 2026 10:{self.minute:02}:00 +0000\r\nReply-To: {self.reply_to}\r\n"
        ).encode() + b"Message-ID: <%s@sender.example>\r\n\r\n%s\r\n" % (message_id, body)

    def texts(self) -> Iterator[bytes]:
        """All that a digest of this letter could be made of, less what only the letter has."""
        header = parse_header(split_letter(self.letter())[0])
        yield from texts_of(header)
        yield from (one.encode() for one in self.recipients)
        yield from (one.value.strip() for one in header.fields)
        yield from (digest.signed_parts(header, bytes(32)).texts)
        yield body_text(header)
        for recipient in self.recipients:
            yield digest.letter_hash(parts_of(self.letter()), canonical_recipient(recipient))


def secret(number: int) -> Secret:
    return Secret(
        f"author{number}@sender.example",
        (f"alice{number}@example.org", f"bob{number}@example.org"),
        f"About matter {number}",
        f"answers{number}@sender.example",
        number,
    )


SENT, NEVER_SENT = [secret(number) for number in range(LETTERS)], [secret(number) for number in range(LETTERS, 40)]
CONTEXTS = [
    *digest.CONTEXTS_FIELDS, digest.CONTEXT_BODY, digest.CONTEXT_RECIPIENT, digest.CONTEXT_DOMAIN, digest.CONTEXT_LETTER,
    digest.CONTEXT_HEADER, b"",
]  # fmt: skip


@dataclass
class View:
    """What goes to an office over its sockets."""

    octets: list[bytes] = field(default_factory=list)
    """One for each letter that was delivered."""

    @asynccontextmanager
    async def between(self, port: int) -> Any:
        """Listens on a port of its own, hands on to the office's, and keeps what the gate says."""

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_kept: bool) -> None:
            while octets := await reader.read(65_536):
                if is_kept:
                    self.octets[-1] += octets
                writer.write(octets)
            writer.close()

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pump(reader, back, is_kept=True), pump(there, writer, is_kept=False))

        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


def values(view: bytes) -> set[bytes]:
    """All values in what was said, however they are packed: words, and what is base64, in base64, in base64."""
    found: set[bytes] = set()
    waiting = set(_WORD.findall(view)) | set(_BASE64.findall(view))
    while waiting:
        found |= waiting
        waiting = {octets for one in waiting for octets in _unpacked(one)} - found
    return found


def _unpacked(value: bytes) -> Iterator[bytes]:
    for text in {value, *_BASE64.findall(value), *_WORD.findall(value)}:
        yield text
        if len(text) % 4 == 0 and _BASE64.fullmatch(text):
            yield base64.b64decode(text)


def windows(octets: Iterable[bytes], size: int) -> set[bytes]:
    return {one[at : at + size] for one in octets for at in range(len(one) - size + 1)}


def found_in(view: bytes, secrets: Iterable[Secret], *, salts: Iterable[bytes] = ()) -> set[Secret]:
    """Those of whom a digest stands in the view, by any context, under any value in the view as the salt, or none."""
    said = values(view)
    pieces = windows(said, digest.DIGEST_BYTES)
    keys = {b"", bytes(16), *salts, *(one for one in said if len(one) in (16, 32))}
    return {
        one
        for one in secrets
        for text, key, context in itertools.product(set(one.texts()), keys, CONTEXTS)
        if sha256(context + key + text).digest()[: digest.DIGEST_BYTES] in pieces
        or (text and text in said and len(text) > HANDFUL)
    }


async def seen(office: RedeemingOffice, letters: Iterable[tuple[bytes, tuple[str, ...]]], **how: Any) -> View:
    """The view of an office that redeems for these letters, each delivered to these mailboxes in one go."""
    view = View()
    async with office.on_the_web(), view.between(int(office.url.rpartition(":")[2])) as port:
        way = HttpRedeemer(Asker(f"http://127.0.0.1:{port}", TOKEN, Lines()))
        way.start()
        desk = DeskUnderTest(way, **how)
        for letter, to in letters:
            view.octets.append(b"")
            await desk.present(letter, *to, server=MailServer((), [Fate.ACCEPTED, Fate.REFUSED_PERMANENT]))
        await way.close()
    return view


def stamped(paper: Stationery, one: Secret) -> bytes:
    letter = one.letter(os.urandom(12).hex().encode(), os.urandom(12).hex().encode())
    return stamp_letter(letter, one.recipients, paper.sender_key, paper.licence(), now=NOW, random_bytes=os.urandom)


def salts_of(letters: Iterable[bytes]) -> list[bytes]:
    fields = [one for letter in letters for one in parse_header(split_letter(letter)[0]).named(b"x-postage-stamp")]
    return [parse_stamp(one.value).salt or b"" for one in fields]


def view_of(letters: list[tuple[bytes, tuple[str, ...]]], **how: Any) -> View:
    async def run() -> View:
        office = RedeemingOffice()
        await office.open()
        return await seen(office, letters, **how)

    return asyncio.run(run())


def altered(letter: bytes) -> bytes:
    """By a gateway, which a strict gate does not take: it asks back with a flaw."""
    return letter + b"-- \r\nfooter\r\n"


@pytest.mark.parametrize("alter", [bytes, altered], ids=["as sent", "altered"])
def test_a_dictionary_that_holds_everything_finds_nothing_in_what_an_office_sees(alter: Any) -> None:
    paper = Stationery()
    letters = [stamped(paper, one) for one in SENT]
    view = view_of([(alter(letter), one.recipients) for letter, one in zip(letters, SENT, strict=True)])
    every = b"\n".join(view.octets)

    assert every.count(b'"stamp"') >= 2 * LETTERS
    assert (b'"flaw"' in every) is (alter is altered)
    assert found_in(every, [*SENT, *NEVER_SENT]) == set()
    assert found_in(every, [*SENT, *NEVER_SENT], salts=salts_of(letters)) == set(SENT), "it would be found"


def test_an_office_cannot_tell_which_stamps_are_of_one_letter() -> None:
    """Where they come one by one, as to gates of different domains: what a letter's stamps share, all stamps share."""
    paper = Stationery()
    letters = [stamped(paper, one) for one in SENT]
    view = view_of([(letter, (to,)) for letter, one in zip(letters, SENT, strict=True) for to in one.recipients])

    shares = Counter(itertools.chain.from_iterable(windows(_octets(one), HANDFUL) for one in view.octets))

    assert set(shares.values()) == {1, len(view.octets)}


def _octets(view: bytes) -> set[bytes]:
    """The values that are not text: what stands in base64."""
    return {octets for one in values(view) for octets in _unpacked(one) if not octets.isascii()}
