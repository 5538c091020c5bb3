"""Every finding of the mirror comes with words that say what to do."""

import pytest

from pennyred.gate.rules.pathadvice import path_advice
from pennyred.postage.alteration import Row
from pennyred.postage.digest import FIELDS
from pennyred.postage.reasons import Reason


@pytest.mark.parametrize("part", [*FIELDS, "body"])
@pytest.mark.parametrize("has_same_core", [True, False])
def test_each_part_has_words_of_its_own(part, has_same_core):
    [(about, text)] = path_advice(Reason.ALTERED_HEADERS, [part], Row.OTHER_LETTER, has_same_core=has_same_core)
    assert about == part
    assert text.endswith(".")


@pytest.mark.parametrize(
    "reason",
    [
        Reason.NO_STAMP, Reason.MALFORMED, Reason.UNKNOWN_VERSION, Reason.WRONG_RECIPIENT, Reason.NOT_YET_VALID,
        Reason.EXPIRED, Reason.BAD_LICENCE, Reason.BAD_SIGNATURE, Reason.DNS_UNAVAILABLE,
    ],
)  # fmt: skip
def test_each_other_reason_too(reason):
    [(about, text)] = path_advice(reason, [], None, has_same_core=True)
    assert about == reason
    assert text.endswith(".")


def test_what_is_no_harm_is_said_to_be_none():
    assert "Nothing to do" in path_advice(Reason.STAMPED, [], Row.UNALTERED, has_same_core=True)[0][1]
    for part in ("date", "message-id", "to", "subject"):
        [(_, text)] = path_advice(Reason.STAMPED_MODIFIED, [part], Row.SAME_TEXT, has_same_core=True)
        assert "Nothing to do" in text


def test_what_hangs_on_a_signature_says_so():
    _, (_, proven) = path_advice(Reason.STAMPED_MODIFIED, ["body"], Row.BODY_PROVEN, has_same_core=True)
    assert "A strict gate refuses it" in proven
    _, (_, unproven) = path_advice(Reason.ALTERED_BODY, ["body"], Row.BODY_UNPROVEN, has_same_core=True)
    assert "DKIM" in unproven
