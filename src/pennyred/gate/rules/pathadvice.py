"""What a sender can do about what a path does to stamped letters: the words for each finding of the mirror."""

from collections.abc import Sequence

from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Kind, Reason

_COUNTS = "Nothing to do: a stamp counts all the same."
_OF_REASONS = {
    Reason.NO_STAMP: "The letter came without the field X-Postage-Stamp: something on this path removes it. Stamp "
    "behind what removes it, or send by another path; on this one stamps do not work.",
    Reason.MALFORMED: "The stamp field came damaged: something on this path cuts or encodes long fields. Look at the "
    "header as received, and stamp behind what does that.",
    Reason.UNKNOWN_VERSION: "The stamp is of another version than this gate knows: bring your program up to date.",
    Reason.WRONG_RECIPIENT: "The path has changed the address that the letter is sent to, or the field holds a stamp "
    "for somebody else. Stamp for the address that arrives.",
    Reason.NOT_YET_VALID: "Your clock is ahead of the gate's by more than ten minutes: set it.",
    Reason.EXPIRED: "The letter was under way for longer than its stamp lasts.",
    Reason.BAD_LICENCE: "The office does not know the key of your licence: run `pennyred open` again.",
    Reason.BAD_SIGNATURE: "The stamp's own text was altered on the way: look at the header as received.",
    Reason.DNS_UNAVAILABLE: "The DNS did not answer, and the stamp hangs on a signature: a gate lets such a letter "
    "wait. Try again later.",
}
_OF_PARTS = {
    "reply-to": "The path adds or changes Reply-To. Set Reply-To yourself, as the path does, before you stamp.",
    "to": "The path rewrites To or Cc.",
    "date": "The path replaces Date.",
    "message-id": "The path replaces the Message-ID.",
}
_FROM = (
    "The path rewrites From, or the letter has not exactly one: then no stamp counts. Write From as the path leaves it "
    "(often only an address of your account may stand there), or stamp behind the rewriting."
)
_SUBJECT_TAG = "The path puts a short tag in front of the Subject."
_SUBJECT = "The path rewrites the Subject by more than one short tag in brackets."
_BODY = (
    "The path alters the text: a footer, links that are rewritten for tracking, or another encoding. Turn that off, or "
    "stamp behind it."
)
_UNPROVEN = (
    "Such a letter counts only where a DKIM signature of your domain holds over what arrives, and its h= names "
    "Subject and Reply-To, best also Message-ID: sign behind what alters it."
)
_PROVEN = "It counts here because a signature of your domain holds over what arrived. A strict gate refuses it."


def path_advice(
    reason: Reason, altered: Sequence[str], row: Row | None, *, has_same_core: bool
) -> list[tuple[str, str]]:
    """What to do about each finding: pairs of what it is about (a part, or the reason's name), and the text."""
    found = [(reason.value, _OF_REASONS[reason])] if reason in _OF_REASONS else []
    is_counting = row is Row.SAME_TEXT
    found += [(part, _of_part(part, has_same_core=has_same_core, is_counting=is_counting)) for part in altered]
    if row is not None and row.reason is not row.strict_reason and row.reason.kind is Kind.PAID:
        found.append((reason.value, _PROVEN))
    elif row in (Row.SUBJECT_UNPROVEN, Row.BODY_UNPROVEN):
        found.append((reason.value, _UNPROVEN))
    return found or [("", _COUNTS)]


def _of_part(part: str, *, has_same_core: bool, is_counting: bool) -> str:
    if part == "from":
        return _FROM
    if part == "body":
        return _BODY
    text = (_SUBJECT_TAG if has_same_core else _SUBJECT) if part == "subject" else _OF_PARTS[part]
    return f"{text} {_COUNTS}" if is_counting else text
