"""Who needs no stamp, by which rule, and under which names a source is counted."""

from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.exemptions import (
    OTHERS_FACTOR,
    UNKNOWN_FACTOR,
    WIDE_FACTOR,
    AllowanceClaim,
    Allowances,
    Exemptions,
    answer_claims,
    bounce_claims,
    bulk_claims,
    canonical_or_none,
    counted_sources,
    exempt_rule,
    reply_claims,
    window_claims,
)
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import parse_source, source_networks
from pennyred.postage.reasons import Reason

HOME = ip_network("192.0.2.0/24")
ELSEWHERE = ip_address("198.51.100.7")
AT_HOME = ip_address("192.0.2.7")
BOB = canonical_recipient("bob@example.org")
ANN = canonical_recipient("ann@sender.example")


@pytest.mark.parametrize(
    "mailbox", ["postmaster@example.org", "PostMaster@example.org", "abuse@x.example", "Postmaster"]
)
def test_postmaster_and_abuse_are_free_for_anybody(mailbox: str) -> None:
    assert exempt_rule(Exemptions(), canonical_recipient(mailbox), None, ELSEWHERE) is Reason.POSTMASTER


@pytest.mark.parametrize(
    "mailbox", ["postmasters@example.org", "abuse+x@example.org", "x@abuse.example", "bob@example.org"]
)
def test_others_are_not(mailbox: str) -> None:
    assert exempt_rule(Exemptions(), canonical_recipient(mailbox), None, ELSEWHERE) is None


def test_the_first_rule_that_holds_is_the_one_named() -> None:
    rules = Exemptions(networks=(HOME,), senders={ANN.canonical: (HOME,)}, recipients=frozenset({BOB.canonical}))
    postmaster = canonical_recipient("postmaster@example.org")
    assert exempt_rule(rules, postmaster, ANN, AT_HOME) is Reason.POSTMASTER
    assert exempt_rule(rules, BOB, ANN, AT_HOME) is Reason.NETWORK
    without_networks = Exemptions(senders=rules.senders, recipients=rules.recipients)
    assert exempt_rule(without_networks, BOB, ANN, AT_HOME) is Reason.SENDER
    assert exempt_rule(without_networks, BOB, ANN, ELSEWHERE) is Reason.RECIPIENT


@pytest.mark.parametrize("name", ["ann@sender.example", "sender.example"])
def test_a_sender_is_believed_only_from_a_network_of_its_own(name: str) -> None:
    rules = Exemptions(senders={name: (HOME,)})
    assert exempt_rule(rules, BOB, ANN, AT_HOME) is Reason.SENDER
    assert exempt_rule(rules, BOB, ANN, ELSEWHERE) is None
    assert exempt_rule(rules, BOB, canonical_recipient("ann@other.example"), AT_HOME) is None
    assert exempt_rule(rules, BOB, None, AT_HOME) is None


def test_a_sender_without_networks_is_never_believed() -> None:
    assert exempt_rule(Exemptions(senders={ANN.canonical: ()}), BOB, ANN, AT_HOME) is None


def test_a_recipient_may_be_named_by_its_domain_but_not_by_a_domain_above() -> None:
    rules = Exemptions(recipients=frozenset({"example.org"}))
    assert exempt_rule(rules, BOB, None, ELSEWHERE) is Reason.RECIPIENT
    assert exempt_rule(rules, canonical_recipient("bob@sub.example.org"), None, ELSEWHERE) is None


def test_networks_of_the_other_family_do_not_match() -> None:
    everything = Exemptions(networks=(ip_network("::/0"),))
    assert exempt_rule(everything, BOB, None, ELSEWHERE) is None
    assert exempt_rule(everything, BOB, None, ip_address("2001:db8::1")) is Reason.NETWORK


def test_a_source_is_counted_by_24_or_by_64_and_48() -> None:
    assert source_networks(ip_address("192.0.2.200")) == ("192.0.2.0/24",)
    assert source_networks(ip_address("2001:db8:1:2:3::4")) == ("2001:db8:1:2::/64", "2001:db8:1::/48")


def test_an_ipv4_address_in_ipv6_is_an_ipv4_address() -> None:
    assert source_networks(parse_source("::ffff:192.0.2.9")) == ("192.0.2.0/24",)
    assert parse_source("fe80::1%eth0") == ip_address("fe80::1")


@given(st.text(max_size=60))
def test_a_source_is_an_address_or_malformed(text: str) -> None:
    with suppress(MalformedAddress):
        assert source_networks(parse_source(text))


@given(st.binary(max_size=60))
def test_an_envelope_mailbox_has_a_canonical_form_or_none(mailbox: bytes) -> None:
    found = canonical_or_none(mailbox)
    assert found is None or found.local


def test_a_bounce_counts_for_its_recipient_and_in_all_for_each_network_of_its_source() -> None:
    limits = Allowances(bounces_per_day=3, bounces_per_source_per_day=10)
    counted = {claim.key: claim.limit for claim in bounce_claims(limits, BOB, ["198.51.100.0/24"])}
    assert counted == {"bounce 198.51.100.0/24 bob@example.org": 3, "bounces 198.51.100.0/24": 10}


def test_who_owns_an_ipv6_32_has_no_more_than_a_few_networks_worth() -> None:
    limits = Allowances(per_source_per_day=7, bounces_per_day=3, bounces_per_source_per_day=10)
    networks = source_networks(parse_source("2001:db8:1:2::3"))
    counted = {claim.key: claim.limit for claim in bounce_claims(limits, BOB, networks)}
    assert counted == {
        "bounce 2001:db8:1:2::/64 bob@example.org": 3,
        "bounce 2001:db8:1::/48 bob@example.org": 3,
        "bounce 2001:db8::/32 bob@example.org": 3 * WIDE_FACTOR,
        "bounces 2001:db8:1:2::/64": 10,
        "bounces 2001:db8:1::/48": 10,
        "bounces 2001:db8::/32": 10 * WIDE_FACTOR,
    }
    assert bulk_claims(limits, "x", networks, 2)[-1] == AllowanceClaim("source 2001:db8::/32", 2, 7 * WIDE_FACTOR)
    assert [claim.key for claim in reply_claims(limits, networks)] == [
        "replies 2001:db8:1:2::/64",
        "replies 2001:db8:1::/48",
        "replies 2001:db8::/32",
    ]


@pytest.mark.parametrize(
    ("domain", "sending", "networks", "names"),
    [
        ("", "", ["net"], ("net",)),
        ("", "mailer.example", ["net"], ("net",)),
        ("a.example", "a.example", ["net"], ("domain a.example",)),
        ("a.example", "mailer.example", ["net"], ("domain a.example by mailer.example",)),
        ("a.example", "", ["n/64", "n/48"], ("domain a.example by n/64", "domain a.example by n/48")),
        ("a.example", "", [], ("domain a.example",)),
    ],
)
def test_a_domain_is_counted_by_itself_only_where_its_own_servers_send(domain, sending, networks, names) -> None:
    assert counted_sources(domain, sending, networks) == names


def test_all_who_send_what_a_domain_has_signed_have_a_limit_together() -> None:
    """Else a spammer's own domain would have as much again of each network he has."""
    limits = Allowances(per_source_per_day=7, replies_per_source_per_day=3)
    sources = counted_sources("a.example", "", ["2001:db8:1:2::/64", "2001:db8:1::/48"])
    others = "domain a.example by others"
    assert bulk_claims(limits, "x", sources, 2)[-1] == AllowanceClaim(f"source {others}", 2, 7 * OTHERS_FACTOR)
    assert [claim.key for claim in reply_claims(limits, sources)][2:] == [f"replies {others}"]
    assert reply_claims(limits, ["domain a.example"]) == [AllowanceClaim("replies domain a.example", 1, 3)]


def test_an_unknown_source_is_counted_by_the_recipient_and_with_all_others_that_nobody_knows() -> None:
    limits = Allowances(bounces_per_day=3, bounces_per_source_per_day=10)
    counted = {claim.key: claim.limit for claim in bounce_claims(limits, BOB, [])}
    assert counted == {"bounce unknown bob@example.org": 3, "bounces unknown": 10 * UNKNOWN_FACTOR}
    assert (
        reply_claims(limits, [])
        == answer_claims(limits, [])
        == window_claims(limits, b"w", 5, [], is_vouched=False)
        == []
    )


def test_bulk_counts_recipients_by_sender_and_by_source() -> None:
    claims = bulk_claims(Allowances(per_day=5, per_source_per_day=50), "ann@sender.example", ["net"], 4)
    assert [(claim.key, claim.count, claim.limit) for claim in claims] == [
        ("sender net ann@sender.example", 4, 5),
        ("source net", 4, 50),
    ]


def test_an_unknown_source_is_never_throttled_as_one() -> None:
    claims = bulk_claims(Allowances(), "ann@sender.example", [], 4)
    assert [claim.key for claim in claims] == ["sender unknown ann@sender.example"]
