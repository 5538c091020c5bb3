"""Offices, senders and stamped letters for tests: fixed keys, fixed times, serials that count up."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash, body_hashes
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.licence import Licence
from pennyred.postage.minting import letter_parts, mint_licence, mint_stamp
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import Stamp

ISSUER = "post.example.org"
NOW = 1_795_000_000  # 2026-11-18
DAY = 86_400

LETTER = (
    b"From: Ann <ann@sender.example>\r\n"
    b"To: Bob <bob@example.org>\r\n"
    b"Subject: Tea\r\n"
    b"Date: Wed, 18 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@sender.example>\r\n"
    b"\r\n"
    b"Shall we have tea?\r\n"
)


@dataclass
class Stationery:
    """A post office's key, a sender's key and licence, and stamps as wanted."""

    office_key: SigningKey = field(default_factory=lambda: SigningKey.from_seed(b"\x01" * 32))
    sender_key: SigningKey = field(default_factory=lambda: SigningKey.from_seed(b"\x02" * 32))
    account: str = "aaaaaaaaaaaaaaaa"
    daily_cap: int = 1000
    issuer: str = ISSUER
    selector: str = "s1"
    """Under which the licences say the office's key stands."""
    serials: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def issuers(self) -> dict[str, dict[str, bytes]]:
        """What a gate that accepts this office is configured with."""
        return {self.issuer: {"s1": self.office_key.public}}

    def licence(self, *, now: int = NOW, issuer: str = "") -> Licence:
        """The sender's licence, good for thirty days around `now`."""
        return mint_licence(
            self.office_key,
            issuer=issuer or self.issuer,
            selector=self.selector,
            account=self.account,
            public_key=self.sender_key.public,
            daily_cap=self.daily_cap,
            valid_from=now - 15 * DAY,
            valid_until=now + 15 * DAY,
        )

    def stamp(
        self, letter: bytes, to: str, *, now: int = NOW, lifetime_seconds: int = 10 * DAY, price: int = 1
    ) -> Stamp:
        """A stamp for this letter and recipient, with the next serial."""
        number = next(self.serials)
        header, body = split_letter(letter)
        return mint_stamp(
            self.sender_key,
            self.licence(now=now),
            letter_parts(parse_header(header), body_hash(body)),
            canonical_recipient(to),
            serial=number.to_bytes(16, "big"),
            salt=(2**64 + number).to_bytes(16, "big"),
            now=now,
            lifetime_seconds=lifetime_seconds,
            price=price,
        )

    def stamped(self, letter: bytes, *to: str, now: int = NOW, lifetime_seconds: int = 10 * DAY) -> bytes:
        """The letter with one stamp for each recipient on top."""
        stamps = [self.stamp(letter, one, now=now, lifetime_seconds=lifetime_seconds) for one in to]
        return b"".join(stamp.field() for stamp in stamps) + letter


@dataclass
class ReceivedLetter:
    """A letter as the door hands it to the desk."""

    letter: bytes
    milliseconds: int = 1

    @property
    def header(self) -> HeaderSection:
        """The parsed header section."""
        return parse_header(split_letter(self.letter)[0])

    @property
    def body_hash(self) -> bytes:
        """Of the body, as stamps bind it."""
        return body_hash(split_letter(self.letter)[1])

    @property
    def relaxed_hash(self) -> bytes:
        """Of the body, as DKIM has it relaxed."""
        return body_hashes(split_letter(self.letter)[1])[1]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.letter)

    def body(self) -> Iterator[bytes]:
        """What follows the header section, the empty line first."""
        yield b"\r\n" + split_letter(self.letter)[1]
