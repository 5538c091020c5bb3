"""Receipts: what an office has signed holds, and nothing else does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.replacing import replace

from pennyred.postage.errors import MalformedReceipt
from pennyred.postage.proofs.chain import BatchHead, Epoch, Totals, Use, place_of, split_place
from pennyred.postage.proofs.merkle import Tree, root_of
from pennyred.postage.proofs.receipt import format_receipt, holds, parse_receipt, seal, sign_head
from pennyred.postage.signing import SigningKey

KEY = SigningKey.from_seed(b"k" * 32)
OTHER_KEY = SigningKey.from_seed(b"o" * 32)
ISSUER = "post.example.org"


def use(number=0):
    return Use("a" * 16, 20_000, number.to_bytes(16), bytes(32), "mx", "example.org", 1, 1_790_000_000)


RESTORED = (Epoch(b"1" * 16, 3, 1_789_000_000), Epoch(b"2" * 16, 6, 1_789_500_000))


def receipt(number=0, count=5, epochs=()):
    uses = [use(one) for one in range(count)]
    details = [one.detail for one in uses]
    head = BatchHead(7, 1_790_000_000, Totals(100, 20, 1), count, root_of(details), b"p" * 32, epochs)
    signature = sign_head(KEY, ISSUER, "s1", head)
    return format_receipt(ISSUER, "s1", seal(uses[number], head, number, Tree(details)), signature)


@given(st.integers(1, 40), st.sampled_from([(), RESTORED[:1], RESTORED]), st.data())
def test_a_receipt_of_any_place_holds_under_the_office_s_key(count, epochs, data):
    number = data.draw(st.integers(0, count - 1))
    read = parse_receipt(receipt(number, count, epochs))
    assert holds(read, {"s1": KEY.public})
    assert (read.sealed.use, read.sealed.index, read.sealed.head.count) == (use(number), number, count)
    assert read.sealed.head.epochs == epochs
    assert format_receipt(read.issuer, read.selector, read.sealed, read.signature) == receipt(number, count, epochs)


@pytest.mark.parametrize("keys", [{}, {"s2": KEY.public}, {"s1": OTHER_KEY.public}])
def test_a_receipt_holds_under_no_other_key(keys):
    assert not holds(parse_receipt(receipt()), keys)


@pytest.mark.parametrize(
    "tag",
    ["i", "s", "c", "x", "n", "l", "r", "d", "p", "t", "cn", "ct", "cs", "cu", "cr", "cc", "ci", "cm", "cp", "ce", "b"],
)
def test_a_receipt_of_which_anything_is_altered_does_not_hold(tag):
    """By hand: leave `totals` out of the head's hash and `cs` fails here."""
    changes = {"i": b"evil.example.org", "s": b"s2", "c": b"b" * 16, "r": b"far", "d": b"example.net"}

    def altered(match):
        value = match[2]
        if tag in changes:
            return match[1] + changes[tag] + b";"
        if value.isdigit():
            return match[1] + str(int(value) + 1).encode() + b";"
        return match[1] + (b"B" if value[:1] != b"B" else b"C") + value[1:] + b";"

    good = receipt(2, epochs=RESTORED)
    text = re.sub(rb"((?:^|;)%s=)([^;]*);" % tag.encode(), altered, good)
    assert text != good
    try:
        read = parse_receipt(text)
    except MalformedReceipt:
        return
    assert not holds(read, {"s1": KEY.public, "s2": KEY.public})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"v=1;",
        receipt() * 2,
        receipt().replace(b"a=ed", b"a=rs"),
        receipt()[:-3],
        receipt().replace(b"v=1;", b"v=2;"),
        b"x" * 5000,
        receipt().replace(b";b=", b";ce=;b="),
        receipt().replace(b";b=", b";ce=AAAA;b="),
        receipt(epochs=RESTORED).replace(b";ce=", b";ci=0;ce="),
        receipt(epochs=RESTORED[::-1]),
        receipt(epochs=(RESTORED[0], RESTORED[0])),
        receipt(epochs=(Epoch(b"1" * 16, 7, 1),)),
        receipt(epochs=(Epoch(b"1" * 16, 3, 2**53),)),
        receipt(epochs=tuple(Epoch(b"1" * 16, number, 1) for number in range(33))),
    ],
)
def test_what_is_no_receipt_is_malformed(text):
    with pytest.raises(MalformedReceipt):
        parse_receipt(text)


def test_a_head_commits_to_the_one_before_it():
    first = BatchHead(1, 5, Totals(1), 0, root_of([]), bytes(32))
    assert replace(first, previous=b"x" * 32).hash != first.hash


def head(number, *epochs):
    return BatchHead(number, 5, Totals(number), 0, root_of([]), bytes(32), epochs)


def test_a_receipt_of_before_a_restore_is_not_one_of_after_it():
    """The tag cannot be taken away or put in: the signature is over another hash."""
    for text in (
        receipt(epochs=RESTORED).replace(re.search(rb"ce=[^;]*;", receipt(epochs=RESTORED))[0], b""),
        receipt().replace(b";b=", b";%s;b=" % re.search(rb"ce=[^;]*", receipt(epochs=RESTORED))[0]),
    ):
        assert not holds(parse_receipt(text), {"s1": KEY.public})
    assert head(7).hash != head(7, *RESTORED).hash != head(7, RESTORED[1]).hash


def test_which_links_a_ledger_has_after_restores():
    first, second, other = RESTORED[0], Epoch(b"2" * 16, 6, 2), Epoch(b"3" * 16, 6, 2)
    assert head(9).is_in_books_of(head(2))
    assert head(3).is_in_books_of(head(8, first))
    assert not head(4).is_in_books_of(head(8, first)), "lost with the disk"
    assert not head(8, first).is_in_books_of(head(9)), "of a time to come"
    assert head(6, first).is_in_books_of(head(8, first, second))
    assert not head(7, first).is_in_books_of(head(8, first, second))
    assert head(3).is_in_books_of(head(8, first, second))
    assert not head(4).is_in_books_of(head(8, first, second))
    assert not head(7, first, second).is_in_books_of(head(8, first, other)), "two restores of one backup"
    many = [Epoch(bytes([number]) * 16, number + 100, 1) for number in range(32)]
    assert not head(50).is_in_books_of(head(200, *many)), "which may have forgotten the first of them"


@given(st.integers(1, 2**40), st.integers(0, 2**20 - 1))
def test_a_place_is_split_as_it_was_made(number, index):
    assert split_place(place_of(number, index)) == (number, index)


def test_a_place_beyond_a_batch_is_refused():
    with pytest.raises(ValueError, match="details"):
        place_of(1, 2**20)
