"""An office's keys: files that only it can read; the newest signs, all verify."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.office.keys import OfficeKeys, add_key, key_files
from pennyred.office.vouchers import ALPHABET, CODE_RANDOM_BYTES, code_hash, make_code
from pennyred.postage.errors import MalformedKey
from pennyred.postage.signing import SigningKey

SEEDS = [bytes([number]) * 32 for number in range(1, 12)]


@pytest.fixture
def first(tmp_path):
    return tmp_path / "office.key"


def test_keys_are_written_beside_each_other_and_nobody_else_can_read_them(first):
    written = [add_key(first, seed) for seed in SEEDS[:3]]

    assert [(selector, path.name) for selector, path in written] == [
        ("s1", "office.key"), ("s2", "office-s2.key"), ("s3", "office-s3.key"),
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for _, path in written} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_key_made_by_root_belongs_to_whom_the_first_one_belongs(first):
    """The service that is to read it is not root."""
    add_key(first, SEEDS[0])
    os.chown(first, 12345, 54321)

    _, second = add_key(first, SEEDS[1])

    assert (second.stat().st_uid, second.stat().st_gid) == (12345, 54321)


def test_the_newest_signs_and_all_verify(first):
    for seed in SEEDS:
        add_key(first, seed)
    keys = OfficeKeys(first)

    selector, newest = keys.newest

    assert (selector, newest.public) == ("s11", SigningKey.from_seed(SEEDS[10]).public)
    assert dict(keys.public_keys) == {f"s{n}": SigningKey.from_seed(seed).public for n, seed in enumerate(SEEDS, 1)}


def test_beyond_the_limit_the_newest_still_signs_and_rotation_goes_on(first, monkeypatch):
    monkeypatch.setattr("pennyred.office.keys.KEYS_MAX", 3)

    written = [add_key(first, seed)[0] for seed in SEEDS[:5]]

    assert written == ["s1", "s2", "s3", "s4", "s5"]
    assert OfficeKeys(first).newest[0] == "s5"
    assert list(OfficeKeys(first).public_keys) == ["s3", "s4", "s5"]


def test_a_key_is_taken_out_of_use_by_deleting_its_file(first):
    for seed in SEEDS[:3]:
        add_key(first, seed)
    first.unlink()

    assert list(OfficeKeys(first).public_keys) == ["s2", "s3"]
    assert add_key(first, SEEDS[3])[0] == "s4"


def test_reading_again_renews_what_everybody_already_holds(first):
    add_key(first, SEEDS[0])
    keys = OfficeKeys(first)
    held_by_a_gate = keys.public_keys
    add_key(first, SEEDS[1])
    keys.reload()

    assert list(held_by_a_gate) == ["s1", "s2"]


def test_a_file_that_is_no_key_is_named_and_the_keys_stay(first):
    add_key(first, SEEDS[0])
    keys = OfficeKeys(first)
    first.with_name("office-s2.key").write_text("no key")

    with pytest.raises(MalformedKey, match=r"office-s2\.key"):
        keys.reload()

    assert keys.newest[0] == "s1"


def test_an_office_without_a_key_says_how_to_get_one(first):
    with pytest.raises(MalformedKey, match="pennyred key rotate"):
        OfficeKeys(first)


def test_other_files_are_none_of_its_business(first):
    add_key(first, SEEDS[0])
    for name in ("office-s02.key", "office-s0.key", "office-s2.key.bak", "office-x.key", "officexs2.key"):
        first.with_name(name).write_text("no key")

    assert list(key_files(first)) == ["s1"]


def test_a_key_has_its_name_only_when_it_is_whole_on_the_disk(first, monkeypatch):
    """Killed before, nothing is there: with half a key in its folder no office would start again."""
    add_key(first, SEEDS[0])
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(list(key_files(first))))
    add_key(first, SEEDS[1])
    assert seen == [["s1"], ["s1", "s2"]], "first the key, then the name"
    assert list(OfficeKeys(first).public_keys) == ["s1", "s2"]


random = st.binary(min_size=CODE_RANDOM_BYTES, max_size=CODE_RANDOM_BYTES)


@given(random, random)
def test_a_voucher_code_is_the_same_however_people_type_it(one, other):
    code = make_code(one)

    assert code.startswith("PENNY-")
    assert set(code.removeprefix("PENNY-")) <= {*ALPHABET, "-"}
    assert code_hash(f" {code.lower().replace('-', ' ')} ") == code_hash(code) is not None
    assert (code_hash(make_code(other)) == code_hash(code)) == (make_code(other) == code)


@given(st.text(max_size=300))
def test_any_text_is_a_code_or_none(text):
    hashed = code_hash(text)

    assert hashed is None or len(hashed) == 32


def test_a_key_that_was_added_since_verifies_once_it_is_asked_for_and_signs_only_after_a_reload(first):
    add_key(first, SEEDS[0])
    keys = OfficeKeys(first)
    keys.look_for("s2")
    assert set(keys.public_keys) == {"s1"}
    add_key(first, SEEDS[1])
    keys.look_for("s1")
    assert set(keys.public_keys) == {"s1"}, "nobody has asked for another"

    keys.look_for("s2")

    assert keys.public_keys["s2"] == SigningKey.from_seed(SEEDS[1]).public
    assert keys.newest[0] == "s1"
    keys.reload()
    assert keys.newest[0] == "s2"


def test_names_that_somebody_invents_have_the_files_read_once(first, monkeypatch):
    add_key(first, SEEDS[0])
    keys = OfficeKeys(first)
    reads = []
    monkeypatch.setattr(keys, "read", lambda: reads.append(1) or {})
    for number in range(100):
        keys.look_for(f"x{number}")
    assert len(reads) == 1


def test_what_cannot_be_read_when_a_key_is_asked_for_changes_nothing(first):
    add_key(first, SEEDS[0])
    keys = OfficeKeys(first)
    written = first.with_name("office-s2.key")
    written.write_bytes(b"")
    keys.look_for("s2")
    assert set(keys.public_keys) == {"s1"}
    written.unlink()
    add_key(first, SEEDS[1])
    keys.look_for("s2")
    assert set(keys.public_keys) == {"s1", "s2"}
