"""A recipient has one canonical form, however it is spelled; the cases are in tests/vectors/recipients.json."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.address import Recipient, canonical_domain, canonical_recipient
from pennyred.postage.errors import MalformedAddress

LOCALS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


def quoted(local: str) -> str:
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(LOCALS, DOMAINS)
def test_the_canonical_form_of_a_canonical_form_is_itself(local: str, domain: str) -> None:
    once = canonical_recipient(f"{quoted(local)}@{domain}")
    assert canonical_recipient(f"{quoted(once.local)}@{once.domain}") == once
    assert unicodedata.is_normalized("NFC", once.local)


@given(LOCALS, DOMAINS)
def test_case_of_ascii_and_composition_of_letters_make_no_difference(local: str, domain: str) -> None:
    one = canonical_recipient(f"{quoted(local)}@{domain}")
    spelled = unicodedata.normalize("NFD", local)
    assert canonical_recipient(f"{quoted(spelled)}@{domain.upper()}") == one


@given(st.text("abcABC019.!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=40), DOMAINS)
def test_quotes_make_no_difference(local: str, domain: str) -> None:
    assert canonical_recipient(f"{local}@{domain}") == canonical_recipient(f"{quoted(local)}@{domain}")


@given(LOCALS, LOCALS, DOMAINS)
def test_different_mailboxes_have_different_forms(one: str, other: str, domain: str) -> None:
    first, second = (canonical_recipient(f"{quoted(local)}@{domain}") for local in (one, other))
    assert (first == second) == (first.canonical == second.canonical)


@given(st.text(max_size=60))
def test_a_domain_is_ascii_lower_case_and_stable_or_malformed(domain: str) -> None:
    try:
        canonical = canonical_domain(domain)
    except MalformedAddress:
        return
    assert canonical.isascii()
    assert canonical == canonical.lower() == canonical_domain(canonical)


def test_postmaster_needs_no_domain() -> None:
    assert canonical_recipient("PostMaster") == Recipient("postmaster", "")
    assert canonical_recipient("PostMaster").canonical == "postmaster"


@pytest.mark.parametrize(
    "mailbox", ["abuse", "postmaster@", "@", "a@b@c", "a" * 2000, "a\ud800@example.org", "a@\ud800.org"]
)
def test_no_mailbox_is_malformed(mailbox: str) -> None:
    with pytest.raises(MalformedAddress):
        canonical_recipient(mailbox)


def test_a_long_domain_of_strange_letters_costs_nothing_to_refuse() -> None:
    """The `idna` package took quadratic time for such once (CVE-2024-3651); the length is looked at first."""
    with pytest.raises(MalformedAddress):
        canonical_domain("\u0bd7\u0665\u30fb" * 300_000)
