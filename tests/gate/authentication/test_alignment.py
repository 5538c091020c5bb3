"""Whose domain is whose: nothing below a public suffix belongs together but what one owner has there."""

import pytest
from tests.support.authenticating import LETTER, authenticate, envelope, results
from tests.support.dkim_keys import key_name, rsa_key, sign
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication.alignment import Registered

SPF = "v=spf1 ip4:192.0.2.7 -all"
SUFFIXES = ["co.uk", "github.io", "uk.com", "s3.amazonaws.com", "xn--55qx5d.cn", "any.ck", "any.kawasaki.jp"]
"""Registries', those of hosters and of resellers, in other letters, and of a rule for all names below one."""
RECORDS = ["v=DMARC1; p=none", "v=DMARC1; p=reject; psd=u", "v=DMARC1; psd=n", "v=DMARC1; psd=y", "v=DMARC1; adkim=s"]


def world(*domains, **records):
    """Where these domains send by SPF and DKIM; `records` are DMARC's, underscores for dots, two for hyphens."""
    zone = {domain: {"TXT": [SPF]} for domain in domains}
    zone |= {key_name(domain, "s"): {"TXT": [rsa_key().txt]} for domain in domains}
    zone |= {"_dmarc." + name.replace("__", "-").replace("_", "."): {"TXT": [text]} for name, text in records.items()}
    return DnsServer(zone)


def proven(server, author, sender, signer=""):
    """The author's domain, where mail from `sender`, signed by `signer`, proves it."""
    letter = LETTER.replace(b"ann@example.org", b"ann@" + author.encode())
    letter = sign(letter, signer, "s", rsa_key()) if signer else letter
    return authenticate(server, letter, envelope(b"x@" + sender.encode()))


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_who_have_names_below_one_suffix_are_never_taken_for_one(suffix, record):
    ann, eve = f"ann.{suffix}", f"eve.{suffix}"
    with world(ann, eve, suffix) as server:
        server.add(f"_dmarc.{suffix}", "TXT", record)
        found = proven(server, ann, eve, eve)
        assert (found.author_domain, found.domains, found.is_unsure) == ("", {eve}, False)
        assert proven(server, ann, suffix, suffix).author_domain == "", "nor for who gives them"
        assert proven(server, suffix, eve, eve).author_domain == "", "nor the other way round"
        assert proven(server, ann, ann, ann).author_domain == ann
        server.add(f"_dmarc.{ann}", "TXT", "v=DMARC1; p=none")
        server.add(f"_dmarc.{eve}", "TXT", "v=DMARC1; p=none")
        assert proven(server, ann, eve, eve).author_domain == ""


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_one_owner_has_below_a_suffix_belongs_together_where_he_says_so(suffix, record):
    owner = f"ann.{suffix}"
    with world(f"mail.{owner}", owner) as server:
        server.add(f"_dmarc.{suffix}", "TXT", record)
        server.add(f"_dmarc.{owner}", "TXT", "v=DMARC1; p=none")
        assert proven(server, owner, f"mail.{owner}").author_domain == owner
        assert proven(server, f"mail.{owner}", owner, owner).author_domain == f"mail.{owner}"


def test_a_suffix_above_the_suffix_joins_nobody_either():
    with world("ann.github.io", "eve.github.io", io="v=DMARC1; p=none") as server:
        assert proven(server, "ann.github.io", "eve.github.io").author_domain == ""
    with world("ann.co.uk", "eve.co.uk", uk="v=DMARC1", co_uk="v=DMARC1") as server:
        assert proven(server, "ann.co.uk", "eve.co.uk").author_domain == ""
    with world("ann.example", "eve.example", example="v=DMARC1; psd=n") as server:
        assert proven(server, "ann.example", "eve.example").author_domain == ""


def test_below_a_suffix_that_says_so_the_owner_needs_no_record_and_below_one_that_does_not_neither():
    for record in ("v=DMARC1; psd=y", "v=DMARC1; p=none"):
        with world("mail.ann.co.uk", co_uk=record) as server:
            assert proven(server, "ann.co.uk", "mail.ann.co.uk").author_domain == "ann.co.uk"


def test_an_owner_may_say_that_his_subdomains_are_others():
    with world("a.ann.co.uk", ann_co_uk="v=DMARC1", a_ann_co_uk="v=DMARC1; psd=n") as server:
        assert proven(server, "ann.co.uk", "a.ann.co.uk").author_domain == ""
    with world("x.a.ann.co.uk", a_ann_co_uk="v=DMARC1; psd=y") as server:
        assert proven(server, "y.a.ann.co.uk", "x.a.ann.co.uk").author_domain == ""


def test_of_two_domains_that_prove_something_one_may_be_the_authors():
    with world("mail.example.org", "eve.co.uk", example_org="v=DMARC1") as server:
        found = proven(server, "example.org", "eve.co.uk", "mail.example.org")
        assert (found.author_domain, results(found, "dmarc")) == ("example.org", ["pass"])


@pytest.mark.parametrize(
    ("domain", "registered", "owners"),
    [
        ("a.b.co.uk", "b.co.uk", "b.co.uk"),
        ("co.uk", "co.uk", "co.uk"),
        ("uk", "uk", "uk"),
        ("x.ann.github.io", "github.io", "ann.github.io"),
        ("github.io", "github.io", "github.io"),
        ("x.y.unheard-of", "y.unheard-of", "y.unheard-of"),
        ("x.a.ck", "x.a.ck", "x.a.ck"),
        ("www.ck", "www.ck", "www.ck"),
        ("", "", ""),
    ],
)
def test_names_that_are_given_away_are_counted_as_one_and_belong_to_many(domain, registered, owners):
    assert (Registered().of(domain), Registered().owners(domain)) == (registered, owners)


@pytest.mark.parametrize("record", ["v=DMARC1; p=none", "v=DMARC1; psd=n"])
def test_an_allowance_is_counted_under_what_was_paid_for_whatever_a_suffix_publishes(record):
    with world("ann.co.uk", "ann.github.io", co_uk=record, github_io=record) as server:
        assert proven(server, "ann.co.uk", "ann.co.uk").organisation == "ann.co.uk"
        assert proven(server, "ann.github.io", "ann.github.io").organisation == "github.io"
