"""The stamp cases of the test vectors: what each stamp is, what it meets, and what must be said of it, because."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.encoding import encode_base64
from pennyred.postage.letter import STAMP_FIELD, parse_header, split_letter
from pennyred.postage.licence import Licence
from pennyred.postage.minting import letter_parts, mint_licence, mint_stamp
from pennyred.postage.signing import CONTEXT_LICENCE, CONTEXT_STAMP, SigningKey
from pennyred.postage.taglist import Tag, format_tag_list
from tests.support.vector_letters import LETTERS

NOW = 1_795_000_000
DAY = 86_400
ISSUER = "post.example.org"
ACCOUNT = "abcdefghijklmn23"
SEEDS = {"office": b"\x01" * 32, "office, second key": b"\x03" * 32, "sender": b"\x02" * 32, "stranger": b"\x04" * 32}
OFFICE, SECOND, SENDER, STRANGER = (SigningKey.from_seed(seed) for seed in SEEDS.values())
ISSUERS = {ISSUER: {"s1": OFFICE.public, "s2": SECOND.public}}
IDENTITY = b"\x01" + bytes(31)
"""The point of order 1: under it the signature (identity, 0) holds for every message, where nobody looks."""

Tags = list[Tag]


def licence(key: SigningKey = OFFICE, **changes: Any) -> Licence:
    values = {
        "issuer": ISSUER,
        "selector": "s1",
        "account": ACCOUNT,
        "public_key": SENDER.public,
        "daily_cap": 1000,
        "valid_from": NOW - 10 * DAY,
        "valid_until": NOW + 10 * DAY,
    }
    return mint_licence(key, **values | changes)


def stamp_tags(
    by: Licence | None = None, *, letter: str = "plain", to: str = "bob@example.org", **changes: Any
) -> Tags:
    """The tags of a good stamp."""
    header, body = split_letter(LETTERS[letter])
    values = {"serial": bytes(range(16)), "salt": bytes(range(16, 32)), "now": NOW, "lifetime_seconds": 10 * DAY}
    recipient = canonical_recipient(to)
    parts = letter_parts(parse_header(header), body_hash(body))
    minted = mint_stamp(SENDER, by or licence(), parts, recipient, **values | changes)
    return list(minted.tags)


def resigned(tags: Tags, key: SigningKey = SENDER) -> Tags:
    """The tags with a signature for what they say now."""
    place = [name for name, _ in tags].index("b")
    signature = key.sign(CONTEXT_STAMP, format_tag_list(tags[:place]))
    return [*tags[:place], ("b", encode_base64(signature)), *tags[place + 1 :]]


def changed(tags: Tags, **values: bytes) -> Tags:
    return [(name, values.get(name, value)) for name, value in tags]


def without(tags: Tags, *names: str) -> Tags:
    return [tag for tag in tags if tag[0] not in names]


@dataclass(frozen=True)
class Case:
    """One line of `stamps.json`."""

    name: str
    because: str
    verdict: str
    tags: Tags = field(default_factory=stamp_tags)
    letter: str = "plain"
    recipients: tuple[str, ...] = ("bob@example.org",)
    now: int = NOW
    price: int = 1
    strict: bool = False
    proof: str = "no"
    subject_tags: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    write: Callable[[Tags], bytes] = format_tag_list

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "because": self.because,
            "letter": f"letters/{self.letter}.eml",
            "stamp": self.write(self.tags).decode("latin-1"),
            "recipients": list(self.recipients),
            "now": self.now,
            "price": self.price,
            "strict": self.strict,
            "proof": self.proof,
            "subject_tags": list(self.subject_tags),
            "verdict": self.verdict,
            "altered": list(self.altered),
        }


def folded(tags: Tags) -> bytes:
    """As in a letter."""
    from pennyred.postage.taglist import fold_field

    return fold_field(STAMP_FIELD, tags).partition(b":")[2].removesuffix(b"\r\n")


def cases() -> Iterator[Case]:
    yield from _paid()
    yield from _misspelt()
    yield from _not_accepted()
    yield from _altered()


def _paid() -> Iterator[Case]:
    good = stamp_tags()
    yield Case("good", "everything holds", "stamped")
    yield Case("folded", "folding is taken out (2.3.2)", "stamped", write=folded)
    yield Case(
        "much white space", "it does not count among a stamp's octets (3.2)", "stamped",
        write=lambda tags: format_tag_list(tags).replace(b";", b";" + b" " * 400),
    )  # fmt: skip
    yield Case(
        "spaced",
        "white space is taken out wherever it stands",
        "stamped",
        write=lambda tags: b"\t".join(bytes([octet]) for octet in format_tag_list(tags)),
    )
    yield Case(
        "no last semicolon", "it is optional (2.3.3)", "stamped", write=lambda t: format_tag_list(t).rstrip(b";")
    )
    extra = resigned([*good[:-2], ("new", b"x=y"), *good[-2:]])
    yield Case("unknown tag", "unknown tags are signed and ignored (3.5)", "stamped", extra)
    early = resigned([good[0], ("zz", b""), *good[1:]])
    yield Case("empty unknown tag", "its value may be empty and it may stand anywhere before b", "stamped", early)
    yield Case("relayed", "fields that are not signed may be added", "stamped", letter="relayed")
    yield Case("refolded", "relaxed form survives other folding", "stamped", letter="refolded")
    yield Case("body spaced anew", "relaxed form survives it", "stamped", letter="white-space-in-the-body", strict=True)
    yield Case(
        "alias", "an alias of the envelope recipient counts", "stamped", recipients=("b@example.org", "Bob@EXAMPLE.org")
    )
    yield Case("quoted", "the canonical recipient is the same", "stamped", recipients=('"b\\ob"@example.org',))
    yield Case("dearer", "a stamp may be worth more than the price", "stamped", stamp_tags(price=5), price=5)
    yield Case("first second", "t = now", "stamped", now=NOW)
    yield Case("clock behind", "ten minutes of skew are allowed", "stamped", now=NOW - 600)
    yield Case("last second", "now = x - 1", "stamped", now=NOW + 10 * DAY - 1)
    yield Case("fourteen days", "the longest life", "stamped", stamp_tags(lifetime_seconds=14 * DAY))
    second = stamp_tags(licence(SECOND, selector="s2"))
    yield Case("second office key", "an office may have several keys", "stamped", second)
    yield Case("licence's first second", "f = t", "stamped", stamp_tags(licence(valid_from=NOW)))
    lone = stamp_tags(to="postmaster")
    yield Case("postmaster", "stands without a domain", "stamped", lone, recipients=("Postmaster",))
    abroad = stamp_tags(letter="utf-8", to="jürgen@bücher.example")
    spelt = ("ju\u0308rgen@xn--bcher-kva.EXAMPLE",)
    yield Case("international", "NFC and A-labels", "stamped", abroad, letter="utf-8", recipients=spelt)
    bare = stamp_tags(letter="no-body")
    yield Case("no body", "the empty body has a hash too", "stamped", bare, letter="no-body", strict=True)
    odd = stamp_tags(letter="odd-lines")
    yield Case("odd lines", "lines that are no field belong to none", "stamped", odd, letter="odd-lines")
    twice = stamp_tags(letter="two-tos")
    yield Case("two To fields", "both are signed", "stamped", twice, letter="two-tos")
    yield Case("spelled anew", "names, order and encodings are not signed (5.4, 5.5)", "stamped", letter="spelled-anew")
    yield Case(
        "charset added",
        "of what has no parts, only type and subtype are signed (5.6)",
        "stamped",
        letter="charset-added",
    )


def _misspelt() -> Iterator[Case]:
    good = stamp_tags()

    def bad(name: str, because: str, tags: Tags, verdict: str = "malformed", **how: Any) -> Case:
        return Case(name, because, verdict, resigned(tags) if "b" in dict(tags) else tags, **how)

    yield bad("empty", "no version", [], write=lambda _: b"")
    yield bad("no list", "not a tag list", [], write=lambda _: b"hello")
    yield bad("duplicate tag", "a tag occurs twice", [*good[:8], ("p", b"1"), *good[8:]])
    for name in ("i", "n", "x", "rh", "dh", "d", "bh", "l"):
        yield bad(f"without {name}", "a tag is missing", without(good, name))
    yield bad("without b", "a tag is missing", without(good, "b"))
    yield bad("version not first", "v is first", [good[1], good[0], *good[2:]])
    yield bad("two tags exchanged", "known tags have one order", [*good[:5], good[6], good[5], *good[7:]])
    yield bad("tag behind the salt", "z is last", [*good, ("new", b"1")])
    yield bad("tag behind the signature", "only z follows b", [*good[:-1], ("new", b"1"), good[-1]])
    yield bad("salt before the signature", "z follows b", [*good[:-2], good[-1], good[-2]])
    yield bad("leading zero", "one spelling of an integer", changed(good, p=b"01"))
    yield bad("sign", "one spelling of an integer", changed(good, p=b"+1"))
    yield bad("integer too large", "beyond 2^53 - 1", changed(good, x=b"9007199254740992"))
    yield bad("base64 without padding", "one spelling", changed(good, n=dict(good)["n"].rstrip(b"=")))
    yield bad("base64 with stray bits", "unused bits are zero", changed(good, n=b"AAECAwQFBgcICQoLDA0ODx=="))
    yield bad("base64 of the URL kind", "another alphabet", changed(good, bh=b"_" * 43 + b"="))
    yield bad("short digests", "six of 16 octets", changed(good, d=encode_base64(bytes(80))))
    yield bad("short serial", "16 octets", changed(good, n=b"AAECAwQFBgcICQoLDA0O"))
    yield bad("no life", "x > t", changed(good, x=dict(good)["t"]))
    yield bad("long life", "fourteen days and a second", changed(good, x=b"%d" % (NOW + 14 * DAY + 1)))
    yield bad("price of zero", "at least one stamp", changed(good, p=b"0"))
    yield bad("price too high", "at most a million", changed(good, p=b"1000001"))
    yield bad("issuer in capitals", "canonical form only", changed(good, i=b"Post.example.org"))
    yield bad("issuer a literal", "a domain name", changed(good, i=b"[192.0.2.1]"))
    yield bad("account of another form", "16 characters of base32", changed(good, c=b"abcdefghijklmn18"))
    spaced = encode_base64(licence().short_form.replace(b";", b"; "))
    yield bad("licence not canonical", "it has one spelling", changed(good, l=spaced))
    whole = encode_base64(licence().encoded)
    yield bad("licence not shortened", "its first tags are the stamp's (6.5)", changed(good, l=whole))
    account = encode_base64(licence().short_form.replace(b";k=", b";c=%s;k=" % ACCOUNT.encode()))
    yield bad("licence that names its account", "the stamp does (6.5)", changed(good, l=account))
    yield bad("too long", "at most 4096 octets", [*good[:-2], ("new", b"x" * 4096), *good[-2:]])
    many = [(f"n{number}", b"") for number in range(40)]
    yield bad("too many tags", "at most 40", [*good[:-2], *many, *good[-2:]])
    yield bad("eight bits", "a value is ASCII", [*good[:-2], ("new", b"\xe9"), *good[-2:]])
    yield bad("version 1", "no longer known", changed(good, v=b"1"), "unknown-version")
    yield bad("version 3, otherwise empty", "nothing else is known of it", [("v", b"3")], "unknown-version")
    yield bad("version of another form", "an integer", changed(good, v=b"1.1"))
    yield bad("another algorithm", "not known here", changed(good, a=b"mldsa44-sha256"), "unknown-version")


def _not_accepted() -> Iterator[Case]:
    good = stamp_tags()
    other = stamp_tags(licence(issuer="office.example.net"))
    yield Case("another office", "its issuer is not accepted", "issuer-not-accepted", other)
    yield Case("too cheap", "worth one, needs two", "underpaid", price=2)
    yield Case("clock far behind", "t is 601 seconds ahead", "not-yet-valid", now=NOW - 601)
    yield Case("first second of expiry", "now = x", "expired", now=NOW + 10 * DAY)
    yield Case(
        "expired and altered",
        "expiry is said where it would count otherwise (8.2)",
        "expired",
        letter="footer",
        now=NOW + 11 * DAY,
        proof="yes",
        altered=("body",),
    )
    yield Case(
        "expired, altered, strict",
        "strictness comes first",
        "altered-body",
        letter="footer",
        now=NOW + 11 * DAY,
        strict=True,
        proof="yes",
        altered=("body",),
    )
    yield Case(
        "another recipient", "the recipient hash does not match", "wrong-recipient", recipients=("eve@example.org",)
    )
    yield Case("no recipient", "nobody to match", "wrong-recipient", recipients=())
    dh = encode_base64(bytes(32))
    yield Case("another domain hash", "dh must match too", "wrong-recipient", resigned(changed(good, dh=dh)))
    yield Case("another salt", "rh does not match", "wrong-recipient", changed(good, z=encode_base64(bytes(16))))
    yield Case("no salt", "a stamp for an office pays nobody at a gate", "wrong-recipient", without(good, "z"))
    stolen = changed(good, l=encode_base64(licence(account="bbbbbbbbbbbbbbbb").short_form))
    yield Case("another account's licence", "it is not signed for this one", "bad-licence", resigned(stolen))
    abroad = changed(good, l=encode_base64(licence(issuer="office.example.net").short_form))
    yield Case("another office's licence", "it is not signed for this one", "bad-licence", resigned(abroad))
    yield Case("unknown selector", "no such key of the issuer", "bad-licence", stamp_tags(licence(selector="s9")))
    yield Case("another selector's key", "s1 did not sign", "bad-licence", stamp_tags(licence(SECOND)))
    yield Case("forged licence", "not signed by the office", "bad-licence", stamp_tags(licence(STRANGER)))
    yield Case("licence over", "x = t", "bad-licence", stamp_tags(licence(valid_until=NOW)))
    yield Case("licence not begun", "f = t + 1", "bad-licence", stamp_tags(licence(valid_from=NOW + 1)))
    mixed = licence().encoded[:-91]
    mixed += b"b=%s;" % encode_base64(OFFICE.sign(CONTEXT_STAMP, mixed))
    short = mixed.replace(b"v=1;a=ed25519-sha256;i=%s;" % ISSUER.encode(), b"").replace(
        b"c=%s;" % ACCOUNT.encode(), b""
    )
    yield Case(
        "licence signed as a stamp", "contexts differ", "bad-licence", resigned(changed(good, l=encode_base64(short)))
    )
    assert (
        licence().encoded[:-91] + b"b=%s;" % encode_base64(OFFICE.sign(CONTEXT_LICENCE, licence().encoded[:-91]))
        == licence().encoded
    )


def _altered() -> Iterator[Case]:
    good = stamp_tags()
    for letter, because, verdict, altered, more in _ROWS:
        for proof in ("no", "yes", "without-id", "silent"):
            is_by_id = letter == "other-text-and-subject"
            told = "no" if is_by_id and proof == "without-id" else proof.replace("without-id", "yes")
            said = verdict if isinstance(verdict, str) else verdict[told]
            yield Case(f"{letter}, proven: {proof}", because, said, letter=letter, proof=proof, altered=altered, **more)
    second = stamp_tags(letter="two-tos")
    yield Case("To fields exchanged", "recipients are a set", "stamped", second, letter="two-tos-swapped")
    yield Case(
        "odd lines added", "they may be shown as text (5.6)", "altered-body", letter="odd-lines", altered=("body",)
    )
    quoting = stamp_tags(letter="quoting")
    yield Case("multipart refolded", "words count, not folds", "stamped", quoting, letter="quoting-refolded")
    yield Case(
        "another boundary", "it would show a part alone (5.6)", "altered-body", quoting, letter="quoted-alone",
        altered=("body",),
    )  # fmt: skip
    yield Case(
        "blanks in an empty line", "some readers see no end of a part's header there (5.7)", "altered-body", quoting,
        letter="quoted-below-blanks", altered=("body",),
    )  # fmt: skip
    zero = resigned(changed(good, d=encode_base64(bytes(96))))
    yield Case(
        "other digests", "computed from the letter, not believed", "altered-headers", zero,
        altered=("from", "reply-to", "to", "subject", "date", "message-id"),
    )  # fmt: skip
    yield Case("another key", "not the licence's key", "bad-signature", resigned(good, STRANGER))
    yield Case("price raised", "the price is signed", "bad-signature", changed(good, p=b"100"), price=100)
    yield Case("expiry raised", "the expiry is signed", "bad-signature", changed(good, x=b"%d" % (NOW + 11 * DAY)))
    late = [*good[:-2], ("new", b"1"), *good[-2:]]
    yield Case("unknown tag added", "unknown tags are signed", "bad-signature", late)
    null = stamp_tags(licence(public_key=IDENTITY))
    null = changed(null, b=encode_base64(IDENTITY + bytes(32)))
    yield Case("key of small order", "it would sign everything (7.2)", "bad-signature", null)
    yield Case(
        "footer, strict", "an altered body counts for nothing there", "altered-body", letter="footer", strict=True,
        proof="yes", altered=("body",),
    )  # fmt: skip
    yield Case(
        "other subject, strict", "nor does another subject", "altered-headers", letter="other-subject", strict=True,
        proof="yes", altered=("subject",),
    )  # fmt: skip
    yield Case(
        "other Message-ID, strict", "a thief gains nothing by it", "stamped-modified", letter="other-date-and-id",
        strict=True, altered=("date", "message-id"),
    )  # fmt: skip
    yield Case(
        "altered and expired", "the header comes first", "altered-headers", letter="other-subject",
        now=NOW + 11 * DAY, strict=True, altered=("subject",),
    )  # fmt: skip


_SUBJECT = {"no": "altered-headers", "yes": "stamped-modified", "silent": "dns-unavailable"}
_BODY = {"no": "altered-body", "yes": "stamped-modified", "silent": "dns-unavailable"}
_ROWS: tuple[tuple[str, str, str | dict[str, str], tuple[str, ...], dict[str, Any]], ...] = (
    ("second-from", "not exactly one From", "altered-headers", ("from",), {}),
    ("from-below", "not exactly one From", "altered-headers", ("from",), {}),
    ("no-from", "not exactly one From", "altered-headers", ("from",), {}),
    ("other-author", "the author is another", "altered-headers", ("from",), {}),
    ("second-author", "and so it is with one more", "altered-headers", ("from",), {}),
    ("other-date-and-id", "providers replace both", "stamped-modified", ("date", "message-id"), {}),
    ("added-cc", "the text is the same", "stamped-modified", ("to",), {}),
    ("no-date", "the text is the same", "stamped-modified", ("date",), {}),
    ("tagged-subject", "one short tag in brackets", "stamped-modified", ("subject",), {}),
    (
        "named-tag",
        "a tag that the gate knows",
        "stamped-modified",
        ("subject",),
        {"subject_tags": ("***EXTERNAL MAIL***",)},
    ),
    ("twice-tagged-subject", "two tags are room for an advertisement", _SUBJECT, ("subject",), {}),
    ("advertising-subject", "so is a long one", _SUBJECT, ("subject",), {}),
    ("other-subject", "only its author may change it", _SUBJECT, ("subject",), {}),
    ("added-reply-to", "whoever adds it would get the answers", _SUBJECT, ("reply-to",), {}),
    ("added-followup-to", "some programs obey it", _SUBJECT, ("reply-to",), {}),
    ("footer", "only its author may change the text", _BODY, ("body",), {}),
    ("other-text", "only its author may change the text", _BODY, ("body",), {}),
    ("other-text-and-id", "the subject is the same", _BODY, ("message-id", "body"), {}),
    ("other-text-and-subject", "the Message-ID is the same", _BODY, ("subject", "body"), {}),
    ("other-letter", "nothing binds it to the stamp", "altered-headers", ("subject", "message-id", "body"), {}),
    (
        "other-letter-of-the-same-subject",
        "an answer in the same thread is another letter",
        "altered-headers",
        ("to", "date", "message-id", "body"),
        {},
    ),
    ("stray-line", "some readers show it as text (5.6)", _BODY, ("body",), {}),
    ("stray-field", "and so with a blank before the colon", _BODY, ("body",), {}),
    ("html", "another reading is another text (5.6)", _BODY, ("body",), {}),
    ("base64", "another reading is another text (5.6)", _BODY, ("body",), {}),
    ("words-before-a-literal", "some readers take them for the address (5.4)", "altered-headers", ("from",), {}),
    ("file-name", "a file's name is text that is shown (5.6)", _BODY, ("body",), {}),
    ("type-with-a-name", "so is that of a type (5.6)", _BODY, ("body",), {}),
    ("shown-inline", "says nothing (5.6)", "stamped", (), {}),
    ("other-base-of-links", "all links lead elsewhere (5.6)", _BODY, ("body",), {}),
    ("had-before", "it is another letter, but the same text (5.8)", "stamped", (), {}),
)
"""Letter, because, verdict (by proof), what was altered, and what else is said of the gate."""
