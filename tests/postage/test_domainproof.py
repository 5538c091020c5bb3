"""Who may redeem for a domain says its DNS (STAMP.md 7.5); what cannot be read proves nothing."""

import pytest

from pennyred.postage.domainproof import format_domain_proof, is_domain_proof, proof_name

ISSUER, RECEIVER = "post.example.org", "acme"
PROOF = "v=pennyred1; o=post.example.org; r=acme"


def test_what_is_told_to_be_published_is_what_is_looked_for():
    assert proof_name("acme.example") == "_postage.acme.example"
    assert format_domain_proof(ISSUER, RECEIVER) == PROOF
    assert is_domain_proof(PROOF, ISSUER, RECEIVER)


@pytest.mark.parametrize(
    "text", [PROOF.replace("; ", ";"), PROOF + ";", PROOF + "; x=1", PROOF.replace("post", "POST")]
)
def test_other_spellings_prove_it_as_well(text):
    assert is_domain_proof(text, ISSUER, RECEIVER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=spf1 -all",
        "o=post.example.org; v=pennyred1; r=acme",
        "v=pennyred2; o=post.example.org; r=acme",
        "v=pennyred1; o=post.example.org; r=acme2",
        "v=pennyred1; o=post.example.org; r=ACME",
        "v=pennyred1; o=post.example.com; r=acme",
        "v=pennyred1; o=post.example.org",
        "v=pennyred1; r=acme",
        PROOF + "; r=acme",
        PROOF + "; x=\xe9",
        PROOF + "; x=" + "a" * 1024,
    ],
)
def test_what_says_something_else_or_cannot_be_read_proves_nothing(text):
    assert not is_domain_proof(text, ISSUER, RECEIVER)
