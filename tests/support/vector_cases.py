"""The small test vectors: recipients, canonical forms, hashes, licences, keys, signatures, passes, heads."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

from pennyred.gate.rules.passes import mint_pass
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.canonical import body_hash, plain_field
from pennyred.postage.digest import (
    body_digest,
    domain_hash,
    field_digests,
    letter_hash,
    recipient_hash,
    signed_parts,
)
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.keyrecord import format_key_record
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.proofs.chain import BatchHead, Epoch, Totals
from pennyred.postage.proofs.merkle import root_of
from pennyred.postage.reading.texts import body_text
from pennyred.postage.signing import CONTEXT_STAMP, SigningKey
from tests.support.at_once import bound_body, relaxed_body, texts_of
from tests.support.vector_letters import LETTERS
from tests.support.vector_stamps import IDENTITY, OFFICE, SEEDS, SENDER, licence

SALT = bytes(range(16))
Json = dict[str, Any]
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493

_RECIPIENTS = (
    ("plain", "bob@example.org", "as it is"),
    ("capitals", "Bob@EXAMPLE.Org", "ASCII lower case in both parts"),
    ("sharp s and dotted I", "STRAẞE.İ@example.org", "no other letter changes its case"),
    ("quoted", '"bob"@example.org', "quotes are spelling"),
    ("quoted pair", '"b\\ob\\"s"@example.org', "so are backslashes"),
    ("at sign", '"a@b"@example.org', "the last @ divides"),
    ("space", '"a b"@example.org', "may be quoted"),
    ("tag", "bob+tea@example.org", "a tag belongs to the name"),
    ("dots", "a..b.@example.org", "such mailboxes exist"),
    ("decomposed", "ju\u0308rgen@example.org", "normal form C"),
    ("Kelvin", "\u212a@example.org", "its normal form is K, then lower case"),
    ("H macron", "H\u0331@example.org", "normal form C after lower case too"),
    ("U-labels", "bob@Bücher.example", "A-labels"),
    ("full-width dot", "bob@bücher\u3002example", "UTS 46"),
    ("sharp s", "bob@straße.example", "non-transitional"),
    ("underscore", "bob@_mail.example.org", "such domains exist"),
    ("final dot", "bob@example.org.", "is dropped"),
    ("IPv4 literal", "bob@[192.0.2.1]", "as it is"),
    ("IPv6 literal", "bob@[IPv6:2001:DB8::1]", "lower case"),
    ("postmaster", "PostMaster", "stands alone"),
    ("postmaster with a domain", "postmaster@example.org", "like any other"),
    ("longest local part", "a" * 256 + "@example.org", "256 octets"),
    ("too long local part", "a" * 257 + "@example.org", "257 octets"),
    ("too long in octets", "é" * 129 + "@example.org", "258 octets in UTF-8"),
    ("longest label", "bob@" + "a" * 63 + ".example", "63 characters"),
    ("too long label", "bob@" + "a" * 64 + ".example", "64 characters"),
    ("too long domain", "bob@" + "a." * 126 + "aa", "254 characters"),
    ("null", "", "no mailbox"),
    ("no domain", "bob", "only postmaster may"),
    ("empty domain", "bob@", "no domain"),
    ("empty local part", "@example.org", "no mailbox"),
    ("empty quoted", '""@example.org', "no mailbox"),
    ("quoted postmaster alone", '"postmaster"', "quoted it needs a domain"),
    ("two at signs", "a@b@example.org", "must be quoted"),
    ("unquoted space", "a b@example.org", "must be quoted"),
    ("angle brackets", "<bob@example.org>", "belong to the path"),
    ("source route", "@a.example:bob@example.org", "belongs to the path"),
    ("unclosed quote", '"bob@example.org', "not a quoted string"),
    ("control character", '"a\x00b"@example.org', "in no mailbox"),
    ("newline", "bob@example.org\r\n", "in no mailbox"),
    ("empty label", "bob@example..org", "no domain"),
    ("hyphen first", "bob@-a.example", "no domain"),
    ("bad U-label", "bob@\u2665.example", "IDNA 2008 has no hearts"),
    ("empty literal", "bob@[]", "no literal"),
)

_FIELDS = (
    (b"Subject: Tea\r\n", "as it is"),
    (b"SUBJECT \t:\t Tea \t at  five \r\n", "white space and case"),
    (b"To: a,\r\n\tb,\r\n  c\r\n", "unfolded"),
    (b"Subject:\r\n", "empty"),
    (b"Subject: \r\n \r\n", "white space only"),
    (b"Subject: a:b: c\r\n", "the first colon divides"),
    (b"Subject: \xe2\x98\x95  \xff\r\n", "eight-bit octets stay"),
)

_BODIES = (
    (b"", "empty stays empty"),
    (b"\r\n", "only empty lines are nothing"),
    (b" \t\r\n\r\n \r\n", "so are lines of white space"),
    (b"a", "a CRLF is added"),
    (b"a\r\n\r\n\r\n", "empty lines at the end go"),
    (b"\r\n\r\na\r\n", "those before text stay"),
    (b" a  b\t\tc \t\r\n", "runs are one space, none before CRLF"),
    (b"a \r\n \r\n\t\r\nb\r\n", "lines of white space are empty lines"),
    (b"a \t", "white space at the very end, without CRLF, is one space"),
    (b"a\rb\nc\r\r\n", "bare CR and LF are octets"),
    (b"a\r\n\r", "a bare CR is text"),
    (b"a\n\r\n\n\r\n", "a bare LF is text"),
    (b"\x00\x0b\x0c\xff \r\n", "only space and tab are white space"),
)


def recipients() -> Iterator[Json]:
    for name, mailbox, because in _RECIPIENTS:
        try:
            recipient = canonical_recipient(mailbox)
        except MalformedAddress:
            yield {"name": name, "because": because, "mailbox": mailbox, "canonical": None, "domain": None}
        else:
            canonical, domain = recipient.canonical, recipient.domain
            yield {"name": name, "because": because, "mailbox": mailbox, "canonical": canonical, "domain": domain}


def canonical() -> Iterator[Json]:
    for raw, because in _FIELDS:
        (field,) = parse_header(raw).fields
        plain = plain_field(*field)
        yield {"name": because, "because": because, "field_b64": _b64(raw), "plain_b64": _b64(plain)}
    for body, because in _BODIES:
        yield {
            "name": because, "because": because, "body_b64": _b64(body),
            "relaxed_b64": _b64(relaxed_body(body)), "bound_b64": _b64(bound_body(body)),
        }  # fmt: skip


def hashes() -> Iterator[Json]:
    for name, letter in LETTERS.items():
        section, body = split_letter(letter)
        header = parse_header(section)
        recipient = canonical_recipient("bob@example.org")
        parts = signed_parts(header, body_hash(body))
        yield {
            "name": name,
            "because": "5.3 to 5.8; they exist for letters that cannot be stamped, too",
            "letter": f"letters/{name}.eml",
            "recipient": recipient.canonical,
            "salt_hex": SALT.hex(),
            "texts_b64": [_b64(text) for text in texts_of(header)],
            "body_text_b64": _b64(body_text(header)),
            "d_hex": field_digests(SALT, parts).hex(),
            "bh_hex": body_digest(SALT, parts).hex(),
            "header_hash_hex": parts.header_hash.hex(),
            "body_hash_hex": body_hash(body).hex(),
            "letter_hash_hex": letter_hash(parts, recipient).hex(),
        }
    for mailbox in ("bob@example.org", "postmaster", "jürgen@bücher.example"):
        recipient = canonical_recipient(mailbox)
        octets = bytes(range(16))
        yield {
            "name": mailbox,
            "because": "5.9 and 5.10",
            "salt_hex": octets.hex(),
            "serial_hex": octets.hex(),
            "recipient": recipient.canonical,
            "domain": recipient.domain,
            "recipient_hash_hex": recipient_hash(octets, recipient).hex(),
            "domain_hash_hex": domain_hash(octets, recipient.domain).hex(),
        }
    assert canonical_domain("example.org") == "example.org"


def licences() -> Iterator[Json]:
    good = licence()
    fields = {
        "issuer": good.issuer,
        "selector": good.selector,
        "account": good.account,
        "public_hex": good.public_key.hex(),
        "daily_cap": good.daily_cap,
        "valid_from": good.valid_from,
        "valid_until": good.valid_until,
        "signature_hex": good.signature.hex(),
    }
    text = good.encoded
    unknown = text.replace(b";b=", b";new=1;b=")
    yield {"name": "good", "because": "all tags", "licence": text.decode(), "fields": fields}
    yield {"name": "unknown tag", "because": "ignored, and signed", "licence": unknown.decode(), "fields": fields}
    for name, because, bad in (
        ("empty", "no tags", b""),
        ("white space", "canonical text only", text.replace(b";i=", b"; i=")),
        ("no last semicolon", "canonical text only", text[:-1]),
        ("version 2", "not known here", text.replace(b"v=1", b"v=2")),
        ("another algorithm", "not known here", text.replace(b"sha256", b"sha512")),
        ("order", "known tags first", text.replace(b";s=s1", b";new=1;s=s1")),
        ("duplicate", "a tag occurs twice", text.replace(b";cap=", b";cap=1;cap=")),
        ("capitals", "the issuer's canonical form", text.replace(b"i=post", b"i=Post")),
        ("selector", "one label", text.replace(b"s=s1", b"s=s1.x")),
        ("account", "its form", text.replace(b"c=a", b"c=A")),
        ("short key", "32 octets", text.replace(b"k=", b"k=AAAA")),
        ("backwards", "f < x", text.replace(b"x=1795864000", b"x=1794136000")),
        ("tag behind the signature", "b is last", text + b"new=1;"),
        ("too long", "1024 octets", text.replace(b";b=", b";new=" + b"x" * 1024 + b";b=")),
    ):
        assert bad != text
        yield {"name": name, "because": because, "licence": bad.decode(), "fields": None}


def keys() -> Iterator[Json]:
    good = format_key_record(OFFICE.public)
    p = encode_base64(OFFICE.public).decode()
    for name, because, record, public in (
        ("good", "as it is published", good, OFFICE.public),
        (
            "spaced",
            "white space and a last semicolon",
            f" v = pennyred1 ;k=ed25519;\tp={p[:20]} {p[20:]} ; ",
            OFFICE.public,
        ),
        ("unknown tag", "ignored", good + "; t=y", OFFICE.public),
        ("withdrawn", "an empty p", "v=pennyred1; k=ed25519; p=", None),
        ("no p", "no key", "v=pennyred1; k=ed25519", None),
        ("DKIM", "another kind of record", f"v=DKIM1; k=ed25519; p={p}", None),
        ("version not first", "v is first", f"k=ed25519; v=pennyred1; p={p}", None),
        ("another algorithm", "not known here", f"v=pennyred1; k=rsa; p={p}", None),
        ("31 octets", "32 are needed", "v=pennyred1; k=ed25519; p=" + _b64(bytes(31)), None),
        ("small order", "signs everything (7.2)", format_key_record(IDENTITY), None),
        ("second spelling", "y is not reduced (7.2)", format_key_record(b"\xee" + b"\xff" * 30 + b"\x7f"), None),
        ("not ASCII", "not a tag list", good + "é", None),
        ("empty", "no record", "", None),
    ):
        yield {"name": name, "because": because, "record": record, "public_hex": public.hex() if public else None}


def policies() -> Iterator[Json]:
    good = "v=POSTAGE1; w=require; p=2; i=post.example.org,post.example.net"
    asked = {"wanted": "require", "price": 2, "issuers": ["post.example.org", "post.example.net"]}
    for name, because, records, policy in (
        ("good", "as it is published", [good], asked),
        (
            "spaced",
            "white space and a last semicolon",
            [" v = POSTAGE1;w=require ;p=2;\ti=post.example.org, post.example.net;"],
            asked,
        ),
        ("unknown tag", "ignored", [good + "; z=1"], asked),
        ("upper case", "domains are canonical", [good.replace("example", "EXAMPLE")], asked),
        (
            "no price",
            "1 where it is not said",
            ["v=POSTAGE1; w=bulk; i=post.example.org"],
            {"wanted": "bulk", "price": 1, "issuers": ["post.example.org"]},
        ),
        ("none", "no stamp is wanted", ["v=POSTAGE1; w=none"], {"wanted": "none", "price": 1, "issuers": []}),
        (
            "no office",
            "none that can be read",
            ["v=POSTAGE1; w=require; i=a..b,-"],
            {"wanted": "require", "price": 1, "issuers": []},
        ),
        (
            "among others",
            "records of another kind are passed over",
            ["v=spf1 -all", "v=pennyred1; o=post.example.org; r=acme", good],
            asked,
        ),
        ("two", "nobody knows which one is meant", [good, good], None),
        ("no w", "it asks for nothing", ["v=POSTAGE1; p=2; i=post.example.org"], None),
        ("another w", "a wish that is not known here", [good.replace("require", "always")], None),
        ("w in upper case", "names are case-sensitive", [good.replace("require", "REQUIRE")], None),
        ("price 0", "1 at least", [good.replace("p=2", "p=0")], None),
        ("price too high", "1000000 at most", [good.replace("p=2", "p=1000001")], None),
        ("price with a nought", "an integer in one spelling", [good.replace("p=2", "p=02")], None),
        ("a tag twice", "not a tag list", [good + "; p=1"], None),
        ("version not first", "v is first", ["w=require; v=POSTAGE1; p=2"], None),
        ("another version", "not known here", [good.replace("POSTAGE1", "POSTAGE2")], None),
        ("version in lower case", "values are case-sensitive", [good.replace("POSTAGE1", "postage1")], None),
        ("too long", "1024 octets at most", [good + "; z=" + "a" * 1024], None),
        ("not ASCII", "not a tag list", [good + "é"], None),
        ("nothing there", "no record", [], None),
    ):
        yield {"name": name, "because": because, "records": records, "policy": policy}


def signatures() -> Iterator[Json]:
    message = b"one cent"
    good = SENDER.sign(CONTEXT_STAMP, message)
    scalar = int.from_bytes(good[32:], "little")
    large = good[:32] + (scalar + GROUP_ORDER).to_bytes(32, "little")
    null = IDENTITY + bytes(32)
    lazy = signature_with_null_r(SEEDS["sender"], CONTEXT_STAMP + message)
    order_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    for name, because, public, signature, holds in (
        ("good", "RFC 8032", SENDER.public, good, True),
        ("another key", "does not hold", OFFICE.public, good, False),
        ("S not reduced", "S is less than the group order", SENDER.public, large, False),
        ("short", "64 octets", SENDER.public, good[:-1], False),
        ("key of order 1", "signs everything", IDENTITY, null, False),
        ("key of order 1, x negative", "another spelling of it", IDENTITY[:31] + b"\x80", null, False),
        ("key of order 1, y not reduced", "a third one", b"\xee" + b"\xff" * 30 + b"\x7f", null, False),
        ("key of order 2", "signs every second message", b"\xec" + b"\xff" * 30 + b"\x7f", null, False),
        ("key of order 4", "signs every fourth message", bytes(32), null, False),
        ("key of order 8", "signs every eighth message", order_8, null, False),
        ("R of small order", "no honest signer makes it, though the equation holds", SENDER.public, lazy, False),
        ("no point", "y is of no point", b"\x02" + bytes(31), good, False),
    ):
        yield {
            "name": name,
            "because": because,
            "public_hex": public.hex(),
            "context": CONTEXT_STAMP[:-1].decode(),
            "message_hex": message.hex(),
            "signature_hex": signature.hex(),
            "holds": holds,
        }


def passes() -> Iterator[Json]:
    key, letter, day = bytes(range(32)), bytes(range(32, 64)), 20_775
    good = mint_pass(key, letter, day).partition(b":")[2].removesuffix(b"\r\n").decode()
    ended = _b64(hmac.digest(key, b"pennyred/1 pass\0" + day.to_bytes(8, "big") + letter, "sha256"))
    for name, because, changed in (
        ("good", "on the day it was given", {}),
        ("the day before", "clocks differ", {"day": day - 1}),
        ("two days before", "but not by so much", {"day": day - 2}),
        ("five days later", "a backup MX may keep a letter so long", {"day": day + 5}),
        ("six days later", "and no longer", {"day": day + 6}),
        ("another letter", "a pass names its letter", {"letter_hash_hex": bytes(32).hex()}),
        ("another key", "gates of one receiver share a key", {"key_hex": bytes(32).hex()}),
        ("another day", "the day is authenticated", {"value": good.replace(str(day), str(day + 1))}),
        ("leading zero", "not a canonical integer", {"value": good.replace("d=", "d=0")}),
        ("one line", "folding is spelling", {"value": good.replace("\r\n ", "")}),
        ("unknown tag", "is ignored", {"value": good + "; new=1"}),
        ("tags exchanged", "their order is free", {"value": ";".join(reversed(good.split(";")))}),
        ("another version", "is no pass here", {"value": good.replace("v=1", "v=2")}),
        ("no version", "is no pass", {"value": good.replace("v=1; ", "")}),
        ("duplicate tag", "not a tag list", {"value": good + "; v=1"}),
        ("cut", "the code has 32 octets", {"value": good.replace("=\r\n", "\r\n")[:-4]}),
        ("empty", "not a tag list of a pass", {"value": ""}),
        ("the context of old", "given for letters that nobody had paid for", {"value": f" v=1; d={day}; m={ended}"}),
    ):
        case: Json = {"value": good, "key_hex": key.hex(), "letter_hash_hex": letter.hex(), "day": day, **changed}
        # What holds is said here by name, not asked of the code under test.
        holds = name in {"good", "the day before", "five days later", "one line", "unknown tag", "tags exchanged"}
        yield {"name": name, "because": because, **case, "holds": holds}


_LOST = Epoch(bytes(range(16)), 2, 1_795_000_000)
_AGAIN = Epoch(bytes(range(16, 32)), 7, 1_795_100_000)
_HEADS = (
    ("first", "32 octets of zero stand before it", 1, 0, ()),
    ("details", "the root is over them", 2, 3, ()),
    ("no details", "the root is of nothing", 3, 0, ()),
    ("large numbers", "8 octets each", 2**53 - 1, 1, ()),
    ("after a restore", "another context, and the epoch at the end", 3, 0, (_LOST,)),
    ("the same number again", "two restores of one backup differ in the epoch's octets", 3, 0, (_AGAIN,)),
    ("restored twice", "all epochs, the oldest first", 8, 1, (_LOST, _AGAIN)),
)


def heads() -> Iterator[Json]:
    """Hashes of heads (STAMP.md 13.4, 13.8)."""
    previous = bytes(32)
    for name, because, number, count, epochs in _HEADS:
        details = [hashlib.sha256(b"\0%s %d" % (name.encode(), place)).digest() for place in range(count)]
        head = BatchHead(number, 1_795_000_000 + count, Totals(100, 7, 1), count, root_of(details), previous, epochs)
        yield {
            "name": name,
            "because": because,
            "number": number,
            "time": head.at,
            "sold": 100,
            "settled": 7,
            "refunded": 1,
            "details_hex": [detail.hex() for detail in details],
            "previous_hex": previous.hex(),
            "epochs": [{"id_hex": one.id.hex(), "follows": one.follows, "time": one.at} for one in epochs],
            "hash_hex": head.hash.hex(),
        }
        previous = head.hash


def signature_with_null_r(seed: bytes, message: bytes) -> bytes:
    """RFC 8032 section 5.1.6 with r = 0: whoever has the private key can make it, and one such gives the key away."""
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    secret = int.from_bytes(digest[:32], "little")
    public = SigningKey.from_seed(seed).public
    k = int.from_bytes(hashlib.sha512(IDENTITY + public + message).digest(), "little")
    return IDENTITY + (k * secret % GROUP_ORDER).to_bytes(32, "little")


def _b64(octets: bytes) -> str:
    return encode_base64(octets).decode()
