"""What a domain asks for, as it is published; more cases are in tests/vectors/policies.json."""

from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.policyrecord import (
    ISSUERS_MAX,
    RECORD_BYTES_MAX,
    PostagePolicy,
    Wanted,
    find_policy,
    format_policy,
    policy_name,
)
from pennyred.postage.stamp import PRICE_MAX

LABELS = st.from_regex(r"[a-z0-9]{1,60}", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


def test_it_stands_where_domain_proofs_stand():
    assert policy_name("example.org") == "_postage.example.org"


def test_it_is_one_short_line():
    policy = PostagePolicy(Wanted.REQUIRE, 1, ("post.example.org",))
    assert format_policy(policy) == "v=POSTAGE1; w=require; p=1; i=post.example.org"


@given(st.sampled_from(Wanted), st.integers(1, PRICE_MAX), st.lists(DOMAINS, max_size=40, unique=True))
def test_what_is_published_is_read_with_the_first_offices_at_least(wanted, price, issuers):
    text = format_policy(PostagePolicy(wanted, price, tuple(issuers)))

    found = find_policy(["other=1", text])

    assert len(text) <= RECORD_BYTES_MAX
    assert found is not None
    assert (found.wanted, found.price) == (wanted, price)
    assert found.issuers == tuple(issuers[: len(found.issuers)])
    assert len(found.issuers) == len(issuers) or len(found.issuers) == ISSUERS_MAX or len(text) > RECORD_BYTES_MAX - 260


@given(st.text(max_size=100))
def test_whatever_stands_behind_the_version_is_read_or_asks_for_nothing(text):
    found = find_policy(["v=POSTAGE1;" + text])
    assert found is None or 1 <= found.price <= PRICE_MAX
