"""What a grant asks for, and who can prove it."""

from ipaddress import ip_address, ip_network

import pytest

from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import Grant, holds, holds_by_network, parents, sender_grants, users_of
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.address import canonical_recipient
from pennyred.postage.reasons import Reason

HERE, ELSEWHERE = ip_address("192.0.2.7"), ip_address("198.51.100.7")
NETWORK = (ip_network("192.0.2.0/24"),)
ANN = canonical_recipient("ann@sender.example")
CLAIMS = Claims(author=ANN, sender=ANN, list_id="news.lists.example.net")


def proven(*domains: str, author: str = "") -> Authentication:
    return Authentication(domains=frozenset(domains), author_domain=author)


@pytest.mark.parametrize(
    ("grant", "found", "expected"),
    [
        (Grant(Reason.REPLY), proven(), True),
        (Grant(Reason.CORRESPONDENT, is_author_proven=True), proven(author="sender.example"), True),
        (Grant(Reason.CORRESPONDENT, is_author_proven=True), proven("sender.example"), False),
        (Grant(Reason.CORRESPONDENT, is_author_proven=True), proven(author="evil.example"), False),
        (Grant(Reason.LIST, domains=("sender.example",)), proven("sender.example"), True),
        (Grant(Reason.LIST, domains=("sender.example",)), proven("mail.sender.example"), True),
        (Grant(Reason.LIST, domains=("mail.sender.example",)), proven("sender.example"), False),
        (Grant(Reason.LIST, domains=("sender.example",)), proven("notsender.example"), False),
        (Grant(Reason.LIST, list_id="news.lists.example.net"), proven("example.net"), True),
        (Grant(Reason.LIST, list_id="news.lists.example.net"), proven("lists.example.net"), True),
        (Grant(Reason.LIST, list_id="news.lists.example.net"), proven("evil.example.net"), False),
        (Grant(Reason.LIST, list_id="x.lists.co.uk"), proven("evil.co.uk"), False),
        (Grant(Reason.LIST, list_id="news.lists.example.net"), proven("net"), False),
        (Grant(Reason.LIST, list_id="news.lists.example.net"), proven("ists.example.net"), False),
    ],
)
def test_a_grant_holds_where_what_it_asks_for_is_proven(grant, found, expected):
    assert holds(grant, CLAIMS, found, ELSEWHERE) is expected


def test_a_network_takes_the_place_of_a_proof():
    grant = Grant(Reason.LIST, is_author_proven=True, networks=NETWORK)
    assert holds_by_network(grant, HERE)
    assert holds(grant, CLAIMS, proven(), HERE)
    assert not holds(grant, CLAIMS, proven(), ELSEWHERE)
    assert not holds(grant, CLAIMS, proven(), ip_address("::ffff:c000:207")), "the address is IPv4's by then"


def test_nobody_is_the_author_of_a_letter_without_one():
    grant = Grant(Reason.CORRESPONDENT, is_author_proven=True)
    assert not holds(grant, Claims(), proven(), ELSEWHERE)


class TestSenders:
    def granted(self, rules, claims, found, source=ELSEWHERE) -> bool:
        return any(holds(grant, claims, found, source) for grant in sender_grants(Reason.SENDER, rules, claims))

    def test_an_address_counts_in_from_where_it_is_aligned_and_in_mail_from_where_its_domain_vouches(self):
        rules = {"ann@sender.example": ()}
        assert self.granted(rules, Claims(author=ANN), proven(author="sender.example"))
        assert not self.granted(rules, Claims(author=ANN), proven("sender.example"))
        by_spf = Authentication(domains=frozenset({"sender.example"}), sender_domain="sender.example")
        assert self.granted(rules, Claims(sender=ANN), by_spf)
        assert not self.granted(rules, Claims(sender=ANN), proven("sender.example")), "a signature says nothing of it"
        other = canonical_recipient("eve@sender.example")
        assert not self.granted(rules, Claims(author=other), proven("sender.example", author="sender.example"))

    def test_a_domain_counts_with_what_is_below_it_wherever_it_vouches(self):
        rules = {"sender.example": ()}
        below = canonical_recipient("bounce@mail.sender.example")
        assert self.granted(rules, Claims(sender=below), proven("mail.sender.example"))
        assert self.granted(rules, Claims(signers=("sender.example",)), proven("sender.example"))
        assert not self.granted(rules, Claims(author=ANN), proven("evil.example"))

    def test_a_network_speaks_for_who_claims_the_name_and_not_for_who_only_signs(self):
        rules = {"sender.example": NETWORK}
        assert self.granted(rules, Claims(sender=ANN), proven(), HERE)
        assert not self.granted(rules, Claims(signers=("sender.example",)), proven(), HERE)
        assert not self.granted(rules, Claims(sender=ANN), proven(), ELSEWHERE)


def test_the_names_above_a_domain_end_before_the_top():
    assert parents("a.b.example.org") == ("a.b.example.org", "b.example.org", "example.org")
    assert parents("org") == ("org",)
    assert len(parents(".".join("a" * 100))) == 8


@pytest.mark.parametrize(
    ("mailbox", "delimiter", "names"),
    [
        ("bob@example.org", "+", ("bob@example.org",)),
        ("bob+tag@example.org", "+", ("bob+tag@example.org", "bob@example.org")),
        ("bob+a+b@example.org", "+", ("bob+a+b@example.org", "bob@example.org")),
        ("bob-tag@example.org", "+", ("bob-tag@example.org",)),
        ("+tag@example.org", "+", ("+tag@example.org",)),
        ("bob+@example.org", "+", ("bob+@example.org",)),
        ("bob+tag@example.org", "", ("bob+tag@example.org",)),
    ],
)
def test_a_tagged_mailbox_is_its_owners(mailbox, delimiter, names):
    assert users_of(canonical_recipient(mailbox), delimiter) == names
