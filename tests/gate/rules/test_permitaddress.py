"""A tagged address opens its own mailbox, for its own domain, until its own day, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.permitaddress import has_tag, is_tag_for, mint_tag
from pennyred.postage.address import Recipient, canonical_recipient

KEY, DAY = b"k" * 32, 20_700
BOB = canonical_recipient("bob@example.org")


def tagged(tag: str, owner: Recipient = BOB, delimiter: str = "+") -> Recipient:
    return canonical_recipient(f"{owner.local}{delimiter}{tag}@{owner.domain}")


@given(st.integers(0, 2**24 - 1), st.sampled_from(["", "shop.example"]), st.sampled_from("+-_=#"))
def test_it_is_good_until_its_last_day_and_no_longer(last_day, domain, delimiter):
    recipient = tagged(mint_tag(KEY, BOB, last_day, domain), delimiter=delimiter)
    assert has_tag(recipient, delimiter)
    assert is_tag_for(KEY, recipient, delimiter, last_day, domain)
    assert not is_tag_for(KEY, recipient, delimiter, last_day + 1, domain)


def test_no_character_of_it_can_be_changed():
    tag = mint_tag(KEY, BOB, DAY)
    for place in range(len(tag)):
        for other in "abcdefghijklmnopqrstuvwxyz234567":
            changed = tag[:place] + other + tag[place + 1 :]
            # The last character has bits that mean nothing; whatever it is, it means the same address.
            if changed != tag and place < len(tag) - 1:
                assert not is_tag_for(KEY, tagged(changed), "+", DAY), changed


def test_it_is_nobody_elses():
    tag = mint_tag(KEY, BOB, DAY)
    assert not is_tag_for(KEY, tagged(tag, canonical_recipient("eve@example.org")), "+", DAY)
    assert not is_tag_for(KEY, tagged(tag, canonical_recipient("bob@example.net")), "+", DAY)
    assert not is_tag_for(b"x" * 32, tagged(tag), "+", DAY)
    assert not is_tag_for(KEY, tagged(tag), "-", DAY)
    assert not is_tag_for(KEY, tagged(tag), "", DAY)


def test_one_for_a_domain_is_not_for_another_nor_for_anybody():
    bound, is_open = mint_tag(KEY, BOB, DAY, "shop.example"), mint_tag(KEY, BOB, DAY)
    assert not is_tag_for(KEY, tagged(bound), "+", DAY)
    assert not is_tag_for(KEY, tagged(bound), "+", DAY, "evil.example")
    assert not is_tag_for(KEY, tagged(is_open), "+", DAY, "shop.example")
    assert not is_tag_for(KEY, tagged(bound.replace("permit-d", "permit-a")), "+", DAY)


def test_it_survives_a_world_without_case():
    tag = mint_tag(KEY, BOB, DAY)
    assert tag == tag.lower()
    assert is_tag_for(KEY, canonical_recipient(f"Bob+{tag.upper()}@EXAMPLE.org"), "+", DAY)


@given(st.text(max_size=40))
def test_whatever_stands_there_nothing_breaks(text):
    assert not is_tag_for(KEY, Recipient(f"bob+permit-{text}", "example.org"), "+", 2**24)
