"""The JSON that gates and offices exchange about stamps (`/v1/redemptions/hold|settle|void`).

Bytes are in canonical base64; a stamp is its canonical text without the salt (`Stamp.for_office`). Answers come in the
order of the questions. The structs are the JSON. `read_*` turns them into the values of `postage.redemption` and raises
`Malformed` for what is not in its form; `write_*` does the reverse.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from pennyred.postage.address import canonical_domain
from pennyred.postage.encoding import INTEGER_MAX, decode_base64, encode_base64
from pennyred.postage.errors import Malformed
from pennyred.postage.ledger_rules import LEASE_SECONDS_MAX
from pennyred.postage.licence import ACCOUNT
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.redemption import (
    FirstUse,
    Hold,
    HoldAnswer,
    HoldOutcome,
    Settle,
    SettleOutcome,
    Void,
    VoidOutcome,
)
from pennyred.postage.stamp import Stamp, parse_stamp

ITEMS_MAX = 1000
"""How many items one request may have; a letter has at most as many recipients."""
BODY_BYTES_MAX = 4 * 2**20
"""The longest body of one request: room for a thousand stamps, even for very long ones."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=8192)]


class HoldItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One hold: reserve a stamp's price. Items of the same group are held together or not at all."""

    tx: Text
    group: Whole
    stamp: Text
    domain: Text
    letter: Text
    flaw: Text = ""
    """Why the gate does not take the stamp. Then it only asks whether the stamp paid this letter before; nothing is
    held anew. It is only for an office that names `flaw` among its `abilities`."""


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/redemptions/hold`."""

    holds: Annotated[list[HoldItem], msgspec.Meta(max_length=ITEMS_MAX)]
    lease_seconds: Annotated[int, msgspec.Meta(ge=1, le=LEASE_SECONDS_MAX)] = 1320
    """How long the delivery attempt may take; the default follows from a gate's default settings."""
    lasting: bool = True
    """Whether a crash of the office must not forget these holds. A gate that asks for less settles with the stamps,
    where nothing is found held. Both are only for an office that names `settle-stamp` among its `abilities`."""


class FirstUseView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a stamp was used for first, as evidence with `spent`; `at` is in seconds since 1970 UTC."""

    receiver: str
    domain: str
    letter: str
    at: int
    receipt: str = ""
    """The office's signed receipt for that use; `pennyred verify --receipt` checks it."""


class HoldResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one hold; `reason` comes with `invalid`, `first_use` with `spent`."""

    outcome: HoldOutcome
    reason: str = ""
    first_use: FirstUseView | None = None


class HoldResponse(msgspec.Struct, frozen=True):
    """The results of all holds, in the order of the request."""

    outcomes: list[HoldResult]


class SettleItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One settlement: take the price, because the mail server has said 250."""

    issuer: Text
    account: Text
    expiry_day: Whole
    serial: Text
    letter: Text
    stamp: Text = ""
    """The stamp of that key, as in a hold. It pays where no hold of it is found, as far as a hold would be given."""
    domain: Text = ""
    """With the stamp, and only with it: the recipient's domain, as in a hold."""


class SettleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/redemptions/settle`."""

    settles: Annotated[list[SettleItem], msgspec.Meta(max_length=ITEMS_MAX)]


class SettleResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one settlement, with the office's receipt if there is one."""

    outcome: SettleOutcome
    receipt: str = ""


class SettleResponse(msgspec.Struct, frozen=True):
    """The results of all settlements, in the order of the request."""

    outcomes: list[SettleResult]


class VoidItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One void: give the price back, because the letter was not delivered under this tx."""

    issuer: Text
    account: Text
    expiry_day: Whole
    serial: Text
    letter: Text
    tx: Text


class VoidRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/redemptions/void`."""

    voids: Annotated[list[VoidItem], msgspec.Meta(max_length=ITEMS_MAX)]


class VoidResult(msgspec.Struct, frozen=True):
    """The result of one void."""

    outcome: VoidOutcome


class VoidResponse(msgspec.Struct, frozen=True):
    """The results of all voids, in the order of the request."""

    outcomes: list[VoidResult]


def write_hold(hold: Hold) -> HoldItem:
    """The JSON struct of a hold; its stamp goes without the salt."""
    stamp = hold.stamp.for_office().decode("ascii")
    return HoldItem(_text(hold.tx), hold.group, stamp, hold.domain, _text(hold.letter), hold.flaw or "")


def read_hold(item: HoldItem) -> Hold:
    """The hold in a JSON struct; raises `Malformed` (also `MalformedStamp`, `MalformedAddress`)."""
    stamp, domain = _read_stamp(item)
    letter, flaw = _bytes(item.letter, 32, "letter"), _read_flaw(item.flaw)
    return Hold(_bytes(item.tx, 16, "tx"), item.group, stamp, domain, letter, flaw)


def _read_stamp(item: HoldItem | SettleItem) -> tuple[Stamp, str]:
    """The stamp of an item, and its recipient's domain."""
    if canonical_domain(item.domain) != item.domain:
        raise Malformed("domain: not in canonical form")
    stamp = parse_stamp(_ascii(item.stamp))
    if stamp.salt is not None:
        raise Malformed("stamp: its salt stays with the letter")
    return stamp, item.domain


def _read_flaw(name: str) -> Reason | None:
    """The flaw with this name; MALFORMED for a name that is not known here, as gates may be newer than offices."""
    if not name:
        return None
    return next((reason for reason in Reason if reason == name and reason.kind is Kind.DUE), Reason.MALFORMED)


def write_settle(settle: Settle) -> SettleItem:
    """The JSON struct of a settlement; its stamp goes without the salt."""
    item = SettleItem(settle.issuer, settle.account, settle.expiry_day, _text(settle.serial), _text(settle.letter))
    if settle.stamp is None:
        return item
    return msgspec.structs.replace(item, stamp=settle.stamp.for_office().decode("ascii"), domain=settle.domain)


def read_settle(item: SettleItem) -> Settle:
    """The settlement in a JSON struct; raises `Malformed` (also `MalformedStamp`, `MalformedAddress`)."""
    _require_names(item)
    serial, letter = _bytes(item.serial, 16, "serial"), _bytes(item.letter, 32, "letter")
    settle = Settle(item.issuer, item.account, item.expiry_day, serial, letter)
    if not item.stamp and not item.domain:
        return settle
    stamp, domain = _read_stamp(item)
    if (stamp.licence.issuer, stamp.key) != (settle.issuer, settle.key):
        raise Malformed("stamp: another one than is to be settled")
    return Settle(settle.issuer, *settle.key, letter, stamp, domain)


def write_void(void: Void) -> VoidItem:
    """The JSON struct of a void."""
    serial, letter = _text(void.serial), _text(void.letter)
    return VoidItem(void.issuer, void.account, void.expiry_day, serial, letter, _text(void.tx))


def read_void(item: VoidItem) -> Void:
    """The void in a JSON struct; raises `Malformed`."""
    _require_names(item)
    serial, letter = _bytes(item.serial, 16, "serial"), _bytes(item.letter, 32, "letter")
    return Void(item.issuer, item.account, item.expiry_day, serial, letter, _bytes(item.tx, 16, "tx"))


def write_hold_answer(answer: HoldAnswer, receipt: str = "") -> HoldResult:
    """The JSON struct of an answer; `receipt` is the office's receipt for the first use."""
    use = answer.first_use
    view = None if use is None else FirstUseView(use.receiver, use.domain, _text(use.letter), use.at, receipt)
    return HoldResult(answer.outcome, answer.reason, view)


def read_hold_answer(result: HoldResult) -> HoldAnswer:
    """The answer in a JSON struct; raises `Malformed`."""
    view = result.first_use
    use = None
    if view is not None:
        use = FirstUse(view.receiver, view.domain, _bytes(view.letter, 32, "letter"), view.at)
    return HoldAnswer(result.outcome, use, result.reason)


def require_length(answers: Sequence[object], asked: Sequence[object]) -> None:
    """Raise `Malformed` unless there are as many answers as questions."""
    if len(answers) != len(asked):
        raise Malformed(f"{len(asked)} questions and {len(answers)} answers")


def _require_names(item: SettleItem | VoidItem) -> None:
    """Raise `Malformed` for names that no stamp can have: some databases fail on them, even in a search."""
    if not ACCOUNT.fullmatch(item.account):
        raise Malformed("account: expected 16 characters of a to z and 2 to 7")
    if canonical_domain(item.issuer) != item.issuer:
        raise Malformed("issuer: not in canonical form")


def _text(value: bytes) -> str:
    return encode_base64(value).decode("ascii")


def _bytes(text: str, length: int, name: str) -> bytes:
    try:
        return decode_base64(_ascii(text), length=length)
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from error


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed("not ASCII") from error
