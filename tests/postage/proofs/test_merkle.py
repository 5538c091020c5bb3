"""Merkle trees: known roots of RFC 6962, and a path proves its leaf and no other."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.proofs import merkle

CONTENTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The roots of the first one, two, ... of these, as Certificate Transparency's own tests have them."""

leaves = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_those_of_certificate_transparency(count):
    assert merkle.root_of([merkle.leaf_hash(content) for content in CONTENTS[:count]]).hex() == ROOTS[count - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing():
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()


@given(leaves, st.data())
def test_the_path_of_a_leaf_leads_to_the_root(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert merkle.root_from(leaves[index], index, len(leaves), merkle.Tree(leaves).path(index)) == merkle.root_of(
        leaves
    )


@given(leaves, st.data())
def test_no_other_leaf_place_or_path_leads_there(leaves, data):
    count = len(leaves)
    index = data.draw(st.integers(0, count - 1))
    path, root = merkle.Tree(leaves).path(index), merkle.root_of(leaves)
    other = data.draw(st.binary(min_size=32, max_size=32).filter(lambda leaf: leaf != leaves[index]))
    assert merkle.root_from(other, index, count, path) != root
    elsewhere = data.draw(st.integers(-2, count + 2).filter(lambda place: place != index))
    if not 0 <= elsewhere < count or leaves[elsewhere] != leaves[index]:
        assert merkle.root_from(leaves[index], elsewhere, count, path) != root
    assert merkle.root_from(leaves[index], index, count, [*path, other]) is None
    if path:
        assert merkle.root_from(leaves[index], index, count, path[:-1]) is None


def test_a_leaf_that_is_not_there_has_no_path():
    with pytest.raises(IndexError):
        merkle.Tree([bytes(32)]).path(1)
