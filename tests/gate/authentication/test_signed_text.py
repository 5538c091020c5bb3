"""Who has signed the text of a letter, so that it may be altered and count: nobody whose signature leaves room for others."""

import pytest
from tests.support.authenticating import LETTER, authenticate, envelope
from tests.support.dkim_keys import key_name, rsa_key, seal, sign
from tests.support.dns_server import DnsServer

LISTS, FRONT = "lists.example", "mx.example.net"
COVERING = [b"from", b"to", b"subject", b"date", b"message-id"]
SAYS = "dkim=pass header.d=example.org; dmarc=pass header.from=example.org"
ADDED = [
    b"Reply-To: eve@thief.example\r\n",
    b"Reply-To : eve@thief.example\r\n",
    b"Mail-Reply-To: eve@thief.example\r\n",
    b"Mail-Followup-To: eve@thief.example\r\n",
    b"Subject: cheap pills\r\n",
    b"Cheap pills, come and see\r\n",
    b"Content-Disposition: attachment; filename=pills\r\n",
    b"Content-Disposition : inline; filename=pills\r\n",
    b"Content-Description: cheap pills\r\n",
    b"Content-Type: application/octet-stream;\r\n NAME=pills\r\n",
    b"Content-Base: https://pills.example/\r\n",
    b"Content-Location: https://pills.example/\r\n",
]
"""What a thief puts above a letter, and no signature that was there before breaks by it."""


@pytest.fixture(scope="module")
def server():
    zone = {key_name(domain, "s"): {"TXT": [rsa_key().txt]} for domain in ("example.org", LISTS, "thief.example")}
    zone["example.org"] = {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]}
    with DnsServer(zone) as server:
        yield server


def signed(letter=LETTER, names=COVERING, **more):
    return sign(letter, "example.org", "s", rsa_key(), include_headers=names, **more)


def found(server, letter, says="", **settings):
    """What is found out of a letter that comes from a machine which SPF allows."""
    if says:
        field = f"Authentication-Results: {FRONT}; {says}\r\n".encode()
        env = envelope(is_from_front=True)
        return authenticate(server, field + letter, env, trusted_fronts=[FRONT], **settings)
    return authenticate(server, letter, envelope(), **settings)


def test_a_signature_that_covers_what_readers_obey_proves_the_text(server):
    assert found(server, signed()).is_author_signed
    with_reply_to = LETTER.replace(b"To:", b"Reply-To: ann@example.org\r\nTo:", 1)
    assert found(server, signed(with_reply_to, [*COVERING, b"reply-to"])).is_author_signed
    assert not found(server, signed(with_reply_to)).is_author_signed
    named = LETTER.replace(b"To:", b"Content-Disposition: attachment; filename=tea\r\nTo:", 1)
    assert found(server, signed(named, [*COVERING, b"content-disposition"])).is_author_signed


@pytest.mark.parametrize(
    "said",
    [
        b"Content-Disposition: inline\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: multipart/mixed; boundary=names\r\n",
    ],
)
def test_what_only_tells_how_to_read_the_text_need_not_be_covered(server, said):
    """Many honest signatures leave it out."""
    assert found(server, said + signed()).is_author_signed


def test_spf_alone_proves_the_sender_and_not_his_text(server):
    alone = found(server, LETTER)
    assert (alone.author_domain, alone.is_author_signed) == ("example.org", False)
    told = found(server, LETTER, "spf=pass smtp.mailfrom=example.org; dmarc=pass header.from=example.org")
    assert (told.author_domain, told.is_author_signed) == ("example.org", False)


@pytest.mark.parametrize("added", ADDED)
def test_what_is_added_above_a_signature_is_not_the_authors(server, added):
    """The signature holds all the same, so the domain is proven: of its text, nothing is."""
    alone = found(server, added + signed())
    assert (alone.author_domain, alone.is_author_signed) == ("example.org", False)
    told = found(server, added + signed(), SAYS)
    assert (told.author_domain, told.is_author_signed) == ("example.org", False)


@pytest.mark.parametrize("added", ADDED)
def test_what_is_added_above_a_seal_is_not_the_forwarders(server, added):
    whole = seal(LETTER, LISTS, "s", rsa_key(), SAYS)
    assert found(server, whole, trusted_sealers=[LISTS]).is_author_signed
    assert not found(server, added + whole, trusted_sealers=[LISTS]).is_author_signed


def test_one_more_name_than_there_are_fields_lets_nobody_add_one(server):
    oversigned = signed(names=[*COVERING, b"subject", b"reply-to"])
    assert found(server, oversigned).is_author_signed
    assert found(server, ADDED[0] + oversigned).author_domain == "example.org", "by SPF"
    assert not found(server, ADDED[0] + oversigned).is_author_signed


PARTS = LETTER.partition(b"\r\n\r\n")[0] + (
    b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
    b"No, do not do this:\r\n\r\n> Pay him.\r\n--b--\r\n"
)
BLANKS = PARTS.replace(b"plain\r\n\r\n", b"plain\r\n \r\n")


@pytest.mark.parametrize("says", ["", SAYS])
def test_a_relaxed_signature_does_not_prove_which_lines_are_empty(server, says):
    """Put blanks into the one below a part's header, and Dovecot shows the text from its second paragraph on."""
    assert found(server, signed(PARTS), says).is_author_signed
    altered = signed(PARTS).replace(b"plain\r\n\r\n", b"plain\r\n \r\n")
    assert (found(server, altered, says).author_domain, found(server, altered, says).is_author_signed) == (
        "example.org",
        False,
    )
    assert found(server, signed(BLANKS, canonicalize=(b"relaxed", b"simple")), says).is_author_signed
    one_text = LETTER + b" \r\nAnn\r\n"
    assert found(server, signed(one_text), says).is_author_signed, "where there are no parts, nothing is hidden"


def test_nor_does_a_seal(server):
    assert found(server, seal(PARTS, LISTS, "s", rsa_key(), SAYS), trusted_sealers=[LISTS]).is_author_signed
    assert not found(server, seal(BLANKS, LISTS, "s", rsa_key(), SAYS), trusted_sealers=[LISTS]).is_author_signed


def test_a_signature_that_leaves_the_subject_out_proves_no_text(server):
    bare = signed(names=[b"from", b"to"])
    assert (found(server, bare).author_domain, found(server, bare).is_author_signed) == ("example.org", False)
    assert not found(server, bare, SAYS).is_author_signed


@pytest.mark.parametrize("says", ["", SAYS])
def test_a_signature_without_message_id_proves_the_text_and_not_which_letter_it_is(server, says):
    """As OpenDKIM signs, where it is installed and nothing is set."""
    usual = signed(names=[b"from", b"to", b"date", b"subject", b"from"])
    assert (found(server, usual, says).is_author_signed, found(server, usual, says).is_id_signed) == (True, False)
    assert found(server, signed(), says).is_id_signed
    second = found(server, b"Message-ID: <9@thief.example>\r\n" + signed(), says)
    assert (second.is_author_signed, second.is_id_signed) == (True, False)


def test_of_several_signatures_each_must_cover_message_id_and_of_a_seal_it_is_enough(server):
    usual = signed(names=[b"from", b"to", b"date", b"subject", b"from"])
    assert not found(server, signed(usual)).is_id_signed
    whole = seal(usual, LISTS, "s", rsa_key(), SAYS)
    assert found(server, whole, trusted_sealers=[LISTS]).is_id_signed


def test_a_front_is_not_believed_of_a_signature_in_part(server):
    assert found(server, signed(), SAYS).is_author_signed
    assert not found(server, signed(length=True), SAYS).is_author_signed


def test_a_front_that_says_of_a_thiefs_signature_that_it_holds_has_proven_no_text_of_the_authors(server):
    letter = sign(LETTER, "thief.example", "s", rsa_key())
    says = "spf=pass smtp.mailfrom=example.org; dkim=pass header.d=thief.example; dmarc=pass header.from=example.org"
    assert not found(server, letter, says).is_author_signed


def test_a_thief_cannot_hide_the_authors_poor_signature_among_better_ones(server):
    """A front says that one of them holds, and not which."""
    poor = signed(names=[b"from", b"to"])
    fakes = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s%d; h=from:subject; bh=eA==; b=eA==\r\n" % n
        for n in range(6)
    )
    assert not found(server, fakes + poor, SAYS).is_author_signed
