"""The gate's Received field."""

import email.policy
import re
from email.parser import BytesHeaderParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.door.trace import date_of, protocol_name, received_field
from pennyred.gate.upstream.identity import ClientIdentity

DATE = "Mon, 23 Nov 2026 06:00:00 +0000"


def test_it_says_who_the_client_is_and_what_was_spoken():
    client = ClientIdentity("198.51.100.7", helo="client.example", name="mail.client.example")
    field = received_field(client, "mx.example.org", "ESMTPS", "1f00", b"bob@example.org", DATE)
    assert field == (
        b"Received: from client.example (mail.client.example [198.51.100.7])\r\n"
        b"\tby mx.example.org with ESMTPS id 1f00\r\n\tfor <bob@example.org>;\r\n\tMon, 23 Nov 2026 06:00:00 +0000\r\n"
    )


def test_each_second_has_its_own_date():
    assert [date_of(now) for now in (1795413600, 1795413600, 1795413601)] == [DATE, DATE, DATE.replace("00 +", "01 +")]


def test_recipients_are_nobodys_business_but_their_own():
    field = received_field(ClientIdentity("2001:db8::1", helo=""), "mx.example.org", "SMTP", "1", None, DATE)
    assert field.startswith(b"Received: from unknown ([IPv6:2001:db8::1])\r\n")
    assert b"for" not in field


@given(st.text(), st.text(), st.binary())
def test_no_name_makes_it_another_field(helo, name, recipient):
    client = ClientIdentity("198.51.100.7", helo=helo, name=name)
    field = received_field(client, "mx.example.org", "ESMTP", "1", recipient, DATE)
    assert len(field) < 1200
    assert re.fullmatch(rb"Received: (?:[ -~]|\r\n\t)+\r\n", field)
    parsed = BytesHeaderParser(policy=email.policy.compat32).parsebytes(field + b"\r\n")
    assert parsed.keys() == ["Received"]


@pytest.mark.parametrize(
    ("greeting", "is_tls", "is_utf8", "name"),
    [
        ("SMTP", False, False, "SMTP"),
        ("ESMTP", False, False, "ESMTP"),
        ("ESMTP", True, False, "ESMTPS"),
        ("ESMTP", True, True, "UTF8SMTPS"),
        ("ESMTP", False, True, "UTF8SMTP"),
    ],
)
def test_protocols_have_their_registered_names(greeting, is_tls, is_utf8, name):
    client = ClientIdentity("198.51.100.7", protocol=greeting)
    assert protocol_name(client, is_tls=is_tls, is_utf8=is_utf8) == name
