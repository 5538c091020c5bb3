"""The JSON that office and sender exchange. Times are RFC 3339 UTC, stamps whole numbers, bytes base64."""

from typing import Annotated

import msgspec

from pennyred.postage.encoding import INTEGER_MAX

PROBLEM_TYPE = "application/problem+json"
"""The media type of RFC 9457."""
STAMPS_ASKED_MAX = 1_000_000_000
"""How many stamps one purchase may be for; the command line has the same limit."""
RECEIPTS_MAX = 200
"""How many receipts one request may ask for."""


class PublicKey(msgspec.Struct, frozen=True):
    """One of an office's public keys, in base64, with its selector."""

    selector: str
    key: str


INTRODUCTION_PATH = "/.well-known/pennyred"
FLAW = "flaw"
"""A value in `Issuer.abilities`: a hold may say what is wrong with its stamp (`postage.redemption.Hold.flaw`)."""
SETTLE_STAMP = "settle-stamp"
"""Another: a settlement may carry its stamp, and who holds may say that these holds need not last."""
ABILITIES = (FLAW, SETTLE_STAMP)
"""The abilities that an office of this release announces."""
REVOKED_MAX = 1000
"""How many revoked licences one page lists."""


class Issuer(msgspec.Struct, frozen=True):
    """The answer to `GET /.well-known/pennyred`: which office this is. The price is in stamps."""

    issuer: str
    keys: list[PublicKey]
    price: int
    abilities: list[str] = []
    """What gates may use that offices of earlier releases do not understand (`ABILITIES`)."""
    mirror: str = ""
    """The mailbox to which probes are sent (`POST /v1/probes`); empty if there is none."""


class OpenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/accounts`; the request is signed with the new account's key."""

    address: str
    key: str


class Opened(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/accounts`: the account, and its licence in canonical text."""

    account: str
    address: str
    licence: str


class AccountView(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/accounts/me`: what the account has, in stamps."""

    account: str
    address: str
    available: int
    held: int
    spent: int


class EntryView(msgspec.Struct, frozen=True):
    """One line of an account's statement; `stamps` is the change, `balance` what there was after it."""

    at: str
    kind: str
    stamps: int
    balance: int
    detail: str


class Entries(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/accounts/me/entries`: one page; `next` is null on the last one."""

    entries: list[EntryView]
    next: int | None = None


class LicenceView(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/accounts/me/licence`: a fresh licence in canonical text."""

    licence: str


class PurchaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/purchases`: the way to pay, a voucher's code, and how many stamps are expected."""

    method: str
    code: str
    stamps: Annotated[int, msgspec.Meta(ge=1, le=STAMPS_ASKED_MAX)]


class Purchase(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/purchases`: how many stamps were bought, and how many are available now."""

    bought: int
    available: int


class EpochView(msgspec.Struct, frozen=True):
    """A new beginning of the chain, after the ledger was restored: earlier heads after number `follows` are lost."""

    id: str
    follows: int
    at: int


class TotalsView(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/totals`: the newest head of the journal's chain; `at` is in seconds since 1970 UTC."""

    issuer: str
    sold: int
    settled: int
    refunded: int
    outstanding: int
    batch: int
    at: int
    hash: str
    selector: str
    signature: str
    epochs: list[EpochView] = []


class StampName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stamp of the account that asks; `expiry_day` is days since 1970-01-01, `serial` is base64."""

    expiry_day: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
    serial: Annotated[str, msgspec.Meta(max_length=100)]


class ReceiptsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/accounts/me/receipts`."""

    stamps: Annotated[list[StampName], msgspec.Meta(max_length=RECEIPTS_MAX)]


class ReceiptsView(msgspec.Struct, frozen=True):
    """The receipts in the order of the request; "" where a stamp was not settled, or its day is forgotten."""

    receipts: list[str]


class DomainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/receivers/me/domains`: a domain whose DNS names this receiver."""

    domain: Annotated[str, msgspec.Meta(max_length=300)]


class ReceiverView(msgspec.Struct, frozen=True):
    """A receiver, and the domains for which it may redeem stamps."""

    receiver: str
    domains: list[str]


class RevocationsView(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/revocations`: one page; pass `last` as `after` to get the next one."""

    revoked: list[str]
    last: int


class Problem(msgspec.Struct, frozen=True):
    """An error answer as in RFC 9457, with the reason's name; `instance` names the request."""

    type: str
    title: str
    status: int
    reason: str
    detail: str
    instance: str = ""
