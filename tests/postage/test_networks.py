"""Addresses and networks, as gate and office mean them."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.networks import is_loopback, parse_network, parse_source

addresses = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(addresses, addresses, st.integers(0, 32))
def test_a_network_of_mapped_addresses_holds_whom_the_plain_one_holds(inside, other, length):
    plain = ip_network((inside, length), strict=False)
    mapped = f"::ffff:{plain.network_address}/{96 + length}"
    for address in (inside, other):
        for text in (str(address), f"::ffff:{address}"):
            assert (parse_source(text) in parse_network(mapped)) is (address in plain)


@given(st.integers(0, 2**128 - 1).map(IPv6Address), st.integers(0, 95))
def test_any_wider_network_is_what_it_says(address, length):
    network = ip_network((address, length), strict=False)
    assert parse_network(str(network)) == network


@pytest.mark.parametrize("text", ["", "x", "10.0.0.1/8", "::ffff:10.0.0.1/104", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        parse_network(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_what_leads_to_this_machine_only(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "example.org", ""])
def test_what_may_lead_elsewhere(host):
    assert not is_loopback(host)
