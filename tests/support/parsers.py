"""Every parser of the core, as one list for those who throw things at them: property tests and the fuzzer."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import msgspec

from pennyred.gate.authentication import dmarc
from pennyred.gate.authentication.arc import read_chain
from pennyred.gate.authentication.claims import read_claims as read_results
from pennyred.gate.authentication.dkim import read_signatures
from pennyred.gate.authentication.fronts import believe_fronts
from pennyred.gate.door.proxying import MalformedHeader
from pennyred.gate.door.proxying import parse_header as parse_proxy_header
from pennyred.gate.issuers.http import read_held, read_settled, read_voided
from pennyred.gate.maillogs.reading import MailLog
from pennyred.gate.quarantine.keptletter import Origin, format_head, parse_head
from pennyred.gate.rules.authres import claims_to_be_ours
from pennyred.gate.rules.claims import REPLIED_TO_MAX, is_automatic, read_claims
from pennyred.gate.rules.permitaddress import is_tag_for
from pennyred.gate.rules.recipients import Aliases, read_alias_map
from pennyred.gate.rules.reports import looks_automatic, read_report
from pennyred.gate.smtp.letter_end import LetterStream
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.xclient import proxy_header
from pennyred.http import redemptions
from pennyred.http.probes import Arrival, StampsSeen, probe_address, token_of
from pennyred.office.ledger.remote.asks import VERSION, Hello, Hold, SettleAll
from pennyred.office.ledger.remote.bookkeeping import ProveUses, TellPassed, read_ask
from pennyred.office.ledger.remote.frames import FrameReader, frame_of
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.canonical import plain_field
from pennyred.postage.digest import DIGEST_BYTES, FIELDS, field_digests, signed_parts
from pennyred.postage.domainproof import is_domain_proof
from pennyred.postage.encoding import decode_base64, decode_integer
from pennyred.postage.errors import (
    Malformed,
    MalformedAddress,
    MalformedKey,
    MalformedLetter,
    MalformedLicence,
    MalformedReceipt,
    MalformedStamp,
)
from pennyred.postage.keyrecord import parse_key_record
from pennyred.postage.letter import Field, HeaderSection, parse_header, split_letter
from pennyred.postage.licence import parse_licence
from pennyred.postage.lineends import with_crlf
from pennyred.postage.policyrecord import find_policy
from pennyred.postage.proofs.chain import BatchHead, Epoch, Totals, Use
from pennyred.postage.proofs.merkle import Tree, root_of
from pennyred.postage.proofs.receipt import format_receipt, parse_receipt, seal
from pennyred.postage.reading.addressfields import read_addresses
from pennyred.postage.reading.structured import tokens
from pennyred.postage.reading.texts import REPLY_NAMES, body_text
from pennyred.postage.redemption import Settle
from pennyred.postage.signing import SigningKey, verify
from pennyred.postage.stamp import parse_stamp
from pennyred.postage.taglist import parse_tag_list
from pennyred.sender.parsedletter import parse_letter
from pennyred.sender.probing import compared
from pennyred.sender.travel.addressforms import settled_field
from pennyred.sender.travel.fields import fit_field, is_fit
from pennyred.sender.travel.preparing import is_safe, make_safe
from pennyred.sender.travel.transfer import LINE_OCTETS_MAX
from tests.support import second_reader
from tests.support.at_once import pass_holds, relaxed_body, texts_of
from tests.support.ledgerworld import order, settle_of
from tests.support.stationery import LETTER, Stationery
from tests.support.vector_letters import LETTERS

_PROBE = parse_letter(Stationery().stamped(LETTER, "bob@example.org"))


def _settle() -> Settle:
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    return Settle(stamp.issuer, *stamp.key, bytes(32), stamp, "example.org")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def read_letter(octets: bytes) -> None:
    """Header and body of anything at all; what was taken apart must join to the same."""
    section, body = split_letter(octets)
    header = parse_header(section)
    assert header.raw == section
    parts = signed_parts(header, bytes(32), ["***SPAM***"])
    assert len(field_digests(bytes(16), parts)) == DIGEST_BYTES * len(FIELDS)
    read_a_second_time(header)
    relaxed_body(body)
    for field in header.fields:
        assert plain_field(*field).endswith(b"\r\n")
        claims_to_be_ours(Field(field.raw, b"authentication-results"), "mx.example.org")


def read_a_second_time(header: HeaderSection) -> None:
    """What stamps sign of a header, which another implementation must read alike."""
    fields = [(field.key, field.raw) for field in header.fields]
    author, reply_to, recipients, subject, *_ = texts_of(header)
    assert author == second_reader.addresses_text(fields, b"from")
    assert reply_to == second_reader.addresses_text(fields, *REPLY_NAMES)
    assert recipients == second_reader.addresses_text(fields, b"to", b"cc")
    assert subject == second_reader.subject_text(fields)
    assert body_text(header) == second_reader.body_text(fields)


def read_stamp(octets: bytes) -> None:
    """A stamp, which must read the same in each of its spellings."""
    stamp = parse_stamp(octets)
    assert parse_stamp(stamp.text) == stamp
    assert parse_stamp(stamp.field().partition(b":")[2].removesuffix(b"\r\n")) == stamp


def read_recipient(octets: bytes) -> None:
    """A mailbox, whose domain must be stable."""
    recipient = canonical_recipient(_text(octets))
    assert not recipient.domain or canonical_domain(recipient.domain) == recipient.domain


def read_candidates(octets: bytes) -> None:
    """A header with a stamp field, of which at most one recipient is offered anything."""
    header = parse_header(b"X-Postage-Stamp: " + octets + b"\r\n")
    found = find_candidates(header, [canonical_recipient("bob@example.org"), None, canonical_recipient("postmaster")])
    assert sum(bool(one.stamps) for one in found) <= 1 or header.raw.count(b"\n") > 1 or octets.count(b"v") > 1


def read_signature(octets: bytes) -> None:
    """A key and a signature."""
    verify(octets[:32], b"", b"", octets[32:96])


def read_proxy_header(octets: bytes) -> None:
    """What a front says; what was read does not depend on what comes after."""
    found = parse_proxy_header(octets)
    if found is not None:
        peer, end = found
        assert end <= len(octets)
        assert parse_proxy_header(octets[:end]) == found
        assert parse_proxy_header(octets[: end - 1]) is None
        if peer is not None:
            for address in (peer.address, peer.destination):
                ip_address(address)
            assert 0 <= peer.port < 65536 > peer.destination_port >= 0


def read_what_is_claimed(octets: bytes) -> None:
    """The fields that rules for wanted mail look at, each with anything in it."""
    value = octets.replace(b"\r", b"").replace(b"\n", b"\r\n ")
    names = (b"From", b"List-Id", b"References", b"In-Reply-To", b"DKIM-Signature", b"Auto-Submitted", b"Content-Type")
    header = parse_header(b"".join(b"%b:%b\r\n" % (name, value) for name in names))
    claims = read_claims(header, None)
    assert len(claims.replied_to) <= REPLIED_TO_MAX
    is_automatic(header)


def read_origin(octets: bytes) -> None:
    """Signatures, seals and results of a letter, as far as nobody is asked for keys."""
    value = octets.replace(b"\r", b"").replace(b"\n", b"\r\n ")
    names = (b"DKIM-Signature", b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results")
    header = parse_header(b"".join(b"%b:%b\r\n" % (name, value) for name in names))
    read_signatures(header)
    read_chain(header, frozenset({"lists.example"}))
    believe_fronts(
        parse_header(b"Authentication-Results:" + value + b"\r\n"),
        frozenset({"mx.example"}),
        "a.example",
        hides_lines=False,
    )


def read_others_results(octets: bytes) -> None:
    """What others have written into an `Authentication-Results`."""
    claims = read_results(octets)
    for one in claims.results if claims else ():
        for name, _ in one.properties:
            one.domain(name)


def read_tagged_address(octets: bytes) -> None:
    """A mailbox with a tag, which is nobody's."""
    assert not is_tag_for(b"k", canonical_recipient(_text(octets)), "+", 0)


def read_mirror_address(octets: bytes) -> None:
    """A mailbox that may be the mirror's, with a token."""
    recipient = canonical_recipient(_text(octets))
    token = token_of(recipient, "mirror@post.example.org")
    if token:
        assert probe_address("mirror@post.example.org", token) == recipient.canonical


def read_arrival(octets: bytes) -> None:
    """What an office says that a path has made of a letter: header and hash, as whatever they may be."""
    told = {
        **dict.fromkeys(
            ("at", "source", "helo", "host", "verdict", "reason", "sentence", "row", "strict", "proven"), ""
        ),
        **{key: [] for key in ("altered", "proofs", "advice")},
        "size": len(octets),
        "stamp": StampsSeen(1, 1, ""),
        "header": octets.decode("latin-1"),
        "is_header_cut": False,
        "body_hash": "A" * 43 + "=" if len(octets) % 2 else _text(octets[:44]),
    }
    assert len(compared(_PROBE, Arrival(**told))) == len(FIELDS) + 2


def read_log(octets: bytes) -> None:
    """Lines of a mail log, and of an alias map."""
    text = octets.decode("utf-8", "replace")
    log = MailLog(frozenset({"example.org"}), date(2026, 11, 23))
    for line in text.splitlines():
        log.read(line)
    aliases = Aliases(read_alias_map(text, "example.org"), "+")
    aliases.circles()
    aliases.names_of(canonical_recipient("bob+tag@example.org"))


def read_kept_letter(octets: bytes) -> None:
    """The fields above a kept letter, which must say where it begins."""
    head = parse_head(octets, len(octets), owner=b"o@d.example")
    assert head.begins_at + head.size == len(octets)


def read_a_report(octets: bytes) -> None:
    """A letter from `<>`: whether it looks like one should, and what it names."""
    section, body = split_letter(octets)
    looks_automatic(parse_header(section))
    read_report(body)
    read_report(octets)


def read_office_answer(octets: bytes) -> None:
    """What an office elsewhere says to a gate, as whatever it may be."""
    for read in (read_held, read_settled, read_voided):
        with suppress(Malformed):
            read(octets)
    read_held(octets)


def read_gate_question(octets: bytes) -> None:
    """What a gate elsewhere asks of an office; what is read is written as it was."""
    try:
        asked = msgspec.json.decode(octets, type=redemptions.SettleRequest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("no question") from error
    for item in asked.settles:
        settle = redemptions.read_settle(item)
        written = redemptions.write_settle(settle)
        assert redemptions.read_settle(written) == settle
        assert settle.stamp is None or settle.stamp.salt is None
        assert written.domain == item.domain


def read_line_ends(octets: bytes) -> None:
    """A letter off the wire in two pieces, which are the letter in one."""
    wire = octets + b"\r\n.\r\n"
    whole, cut = LetterStream(), LetterStream()
    letter = whole.feed(wire)
    half = len(octets) // 2
    first = cut.feed(wire[:half])
    if not cut.is_complete:
        assert first + cut.feed(wire[half:]) == letter
    assert with_crlf(letter) == letter
    assert b"\0" not in letter


def read_letter_to_send(octets: bytes) -> None:
    """A letter made safe to travel, which is so once and for all, and says so."""
    for eight_bit in (False, True):
        safe = make_safe(octets, eight_bit=eight_bit)
        assert is_safe(safe, eight_bit=eight_bit)
        assert make_safe(safe, eight_bit=eight_bit) is safe


def read_field_to_send(octets: bytes) -> None:
    """A field of each grammar, fit to travel or refused; in one line of ASCII it means what it did."""
    value = octets.replace(b"\r", b" ").replace(b"\n", b" ")
    for name in (b"Subject", b"To", b"Content-Type", b"List-Help", b"References", b"Date", b"Received", b"X-Y"):
        with suppress(MalformedLetter):
            fit = fit_field(Field(name + b": " + value + b"\r\n", name.lower()))
            assert is_fit(fit, eight_bit=False, line_octets_max=LINE_OCTETS_MAX)
    assert b"".join(token.raw for token in tokens(value)) == value


def read_addresses_to_settle(octets: bytes) -> None:
    """An address field in the spelling that servers leave, which is settled once and for all."""
    field = Field(b"To: " + octets.replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n", b"to")
    with suppress(MalformedAddress):
        list(read_addresses(field))
    once = settled_field(field, "sender.example", lambda _: None)
    assert settled_field(Field(once, b"to"), "sender.example", lambda _: None) == once


PARSERS: dict[str, tuple[Callable[[bytes], object], type[Malformed]]] = {
    "stamp": (read_stamp, MalformedStamp),
    "licence": (parse_licence, MalformedLicence),
    "receipt": (parse_receipt, MalformedReceipt),
    "tag list": (parse_tag_list, Malformed),
    "base64": (decode_base64, Malformed),
    "integer": (decode_integer, Malformed),
    "recipient": (read_recipient, MalformedAddress),
    "domain": (lambda octets: canonical_domain(_text(octets)), MalformedAddress),
    "letter": (read_letter, MalformedLetter),
    "line ends": (read_line_ends, Malformed),
    "candidates": (read_candidates, MalformedLetter),
    "key record": (lambda octets: parse_key_record(_text(octets)), MalformedKey),
    "domain proof": (lambda octets: is_domain_proof(_text(octets), "o.example", "acme"), Malformed),
    "policy record": (lambda octets: find_policy([_text(octets)]), Malformed),
    "key file": (SigningKey.from_pem, MalformedKey),
    "pass": (lambda octets: pass_holds(b"k", [Field(b"X:" + octets, b"x")], bytes(32), 20_000), Malformed),
    "signature": (read_signature, Malformed),
    "PROXY header": (read_proxy_header, MalformedHeader),
    "kept letter": (read_kept_letter, Malformed),
    "asks": (lambda octets: [read_ask(body) for body in FrameReader().feed(octets)], Malformed),
    "claims": (read_what_is_claimed, MalformedLetter),
    "origin": (read_origin, MalformedLetter),
    "report": (read_a_report, MalformedLetter),
    "others' results": (read_others_results, Malformed),
    "DMARC record": (dmarc.parse_record, Malformed),
    "tagged address": (read_tagged_address, MalformedAddress),
    "mirror's address": (read_mirror_address, MalformedAddress),
    "arrival": (read_arrival, MalformedLetter),
    "mail log": (read_log, Malformed),
    "office's answer": (read_office_answer, Malformed),
    "gate's question": (read_gate_question, Malformed),
    "letter to send": (read_letter_to_send, MalformedLetter),
    "field to send": (read_field_to_send, MalformedLetter),
    "addresses to settle": (read_addresses_to_settle, MalformedAddress),
}
"""Name to the parser of octets, and the one exception it may raise."""

SEEDS: dict[str, list[bytes]] = {
    "recipient": [b'"Bob\\"s"@[IPv6:::1]', "jürgen@bücher.example".encode(), b"postmaster"],
    "domain": ["bücher。example".encode(), b"_x.example."],
    "letter": [
        *(split_letter(LETTERS[name])[0] for name in ("odd-addresses", "odd-subjects", "quoting", "spelled-anew")),
        b'From: "a@b.c" <a@b.c>\r\nTo: x:;\r\nContent-Type: multipart/x\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n',
        b"From: a\r\nTo: b,\r\n c\r\nnothing\r\n\r\n a  b \r\n\r\n",
        b'A-R: (a\\)(b)) "mx" 1; none\r\n',
    ],
    "line ends": [b"a\r\r\n\r\0\n.\r\r\n..x\n\r\r" + b"\r" * 1100 + b"\n"],
    "base64": [b"AAECAwQFBgcICQoLDA0ODw=="],
    "integer": [b"9007199254740991"],
    "key file": [SigningKey.from_seed(bytes(32)).to_pem()],
    "pass": [b" v=1; d=20000; m=" + b"A" * 43 + b"="],
    "signature": [bytes(96)],
    "mirror's address": [b"mirror+abcdefghijklmnopqrstuvwxyz@post.example.org", b'"MIRROR+x"@Post.Example.Org.'],
    "arrival": [
        _PROBE.header.raw,
        b"Subject: =?utf-8?b?A?=\r\n",
        b"From: x\r\nSubject: =?utf-8?q?=FC?= =?x?b?AA==?=\r\n",
        b"To: =?utf-8*de?q?a?=\r\nCc: =?\x80?q??=\r\n",
    ],
    "PROXY header": [
        b"PROXY TCP4 198.51.100.7 192.0.2.1 1234 25\r\nEHLO x\r\n",
        b"PROXY UNKNOWN\r\n",
        proxy_header(ClientIdentity("198.51.100.7", 1234, destination="192.0.2.1", destination_port=25)),
        proxy_header(ClientIdentity("2001:db8::7", 1234)),
        proxy_header(None),
    ],
    "claims": [b' "a" <ann@sender.example>', b" <a.b> <c@d>", b" v=1; d=sender.example; b=x"],
    "origin": [
        b" v=1; i=1; a=rsa-sha256; c=relaxed/relaxed; d=lists.example; s=s; h=from; bh=AAAA; b=AAAA; cv=none",
        b" mx.example; dmarc=pass header.from=a.example; spf=pass smtp.mailfrom=x@a.example",
    ],
    "report": [
        (
            b"From: MAILER-DAEMON@x.example\r\nAuto-Submitted: auto-replied\r\n\r\n"
            b"Final-Recipient: rfc822; a@x.example\r\nMessage-ID:\r\n <a=\r\nb@c>\r\n"
        )
    ],
    "others' results": [
        b' mx.example 1; spf=pass (ok) smtp.mailfrom="a b"@a.example;\r\n\tiprev=pass smtp.remote-ip=2001:db8::1; none',
        b" mx.example; dkim / 1 = pass reason=x header.d=a.example header.i=@a.example header.b=ab+/c==;",
    ],
    "DMARC record": [b"v=DMARC1; p=none; psd=y; adkim=s; aspf=r"],
    "tagged address": [b"bob+permit-aaaaaaaaaaaaaaaaaaaaaa@example.org"],
    "mail log": [
        (
            b"Nov 20 10:00:00 mx postfix/qmgr[7]: ABCDEF: from=<ann@example.org>, size=5\n"
            b"Nov 20 10:00:01 mx postfix/smtp[8]: ABCDEF: to=<b@x.example>, relay=x, status=sent (250"
        ),
        b'info@example.org  ann@example.org,\n  bob@example.org\nroot: ann\n@a.example @b.example\n"x y": root',
        (
            b"2026-11-20 10:00:00.123 +0000 [7] 1sxGhi-000abC-1X <= ann@example.org H=(x) [192.0.2.1] P=esmtp S=1\n"
            b'2026-11-20 10:00:01 1sxGhi-000abC-1X => a b@x.example <"a b"@x.example> F=<ann@example.org> R=r T=t C="ok"'
        ),
    ],
    "office's answer": [
        b'{"outcomes":[{"outcome":"held"},{"outcome":"invalid","reason":"expired"}]}',
        b'{"outcomes":[{"outcome":"spent","first_use":{"receiver":"a","domain":"b","at":1,"letter":"'
        + b"A" * 43
        + b'="}}]}',
        b'{"outcomes":[{"outcome":"settled","receipt":"x"}]}',
        b'{"outcomes":[{"outcome":"voided"}]}',
    ],
    "gate's question": [
        msgspec.json.encode(redemptions.SettleRequest([redemptions.write_settle(one)]))
        for one in (_settle(), _settle().without_stamp())
    ],
    "letter to send": [
        (
            b'From: J\xf6rg <a@b.example>\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\npre \xfc\r\n--b\r\n'
            b"Content-Type: text/plain; name*0*=utf-8''%C3; name*1=\xbc\r\n\r\n\xff\r\n--b\r\nnone\r\n--b--\r\nend\r\n"
        ),
        b"From x\r\nSubject: =?utf-8?q?\xfc?=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n>From y\r\nA: \xfc\r\n\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n= \r\n=\xfc==\r\n" + b"x" * 999 + b"\r\n",
    ],
    "field to send": [
        b'=?utf-8?q?a?= \xfc "b, \xfc" (c (\xfc)) <a@b.example>, <https://x.example/\xfc>; filename="\xfc"; x*=a\'\'%41',
        b"Team: a, b;" + b"x" * 1000,
    ],
    "addresses to settle": [
        b"Team: a@b.example,.c@d.example ; , B. (x)<root>,, =?utf-8?q?a.b?= <@x:a . b @c.example.>"
    ],
    "asks": [
        frame_of(Hello(0, VERSION)),
        frame_of(Hold(1, "mx", [order()], 1)) + frame_of(SettleAll(2, "mx", [settle_of(order())], 1)),
        frame_of(ProveUses(3, [order().key])) + frame_of(TellPassed(4, "x", 1, 0.5)),
    ],
    "kept letter": [
        format_head(Origin(b"a@b.example", "192.0.2.1", 1, helo="x;"), b"c@d.example", "bulk", 2, b"\r\n") + b"\r\n",
        format_head(Origin(b"", "::1", 1), b"c@d.example", "no-stamp", 4, b" x\r\n") + b" x\r\n",
        format_head(Origin(b"a@b.example", "::1", 1), None, "no-stamp", 2, b"\r\n") + b"\r\n",
    ],
}
"""Inputs that are accepted, to begin from; those of stamps come from the vectors."""


def _receipt(*epochs: Epoch) -> bytes:
    use = Use("a" * 16, 20_000, bytes(16), bytes(32), "mx", "example.org", 1, 1_790_000_000)
    details = [use.detail, bytes(32), bytes(32)]
    head = BatchHead(7, 1_790_000_000, Totals(9, 3, 0), 3, root_of(details), bytes(32), epochs)
    return format_receipt("post.example.org", "s1", seal(use, head, 0, Tree(details)), bytes(64))


def good_inputs(name: str) -> list[bytes]:
    """Inputs of a parser to begin from."""
    if name in SEEDS:
        return SEEDS[name]
    stamps, licences, records = _cases("stamps", "stamp"), _cases("licences", "licence"), _cases("keys", "record")
    return {
        "stamp": stamps,
        "licence": licences,
        "receipt": [
            _receipt(),
            _receipt(Epoch(b"1" * 16, 2, 3)),
            _receipt(Epoch(b"1" * 16, 2, 3), Epoch(b"2" * 16, 6, 9)),
        ],
        "key record": records,
        "policy record": [b"v=POSTAGE1; w=require; p=2; i=o.example,p.example"],
        "domain proof": [b"v=pennyred1; o=O.example; r=acme"],
        "tag list": stamps + licences + records,
        "candidates": stamps,
    }[name]


def _cases(file: str, key: str) -> list[bytes]:
    vectors = Path(__file__).parents[1] / "vectors" / f"{file}.json"
    return [
        case[key].encode("latin-1" if key == "stamp" else "utf-8")
        for case in json.loads(vectors.read_text("ascii"))["cases"]
    ]
