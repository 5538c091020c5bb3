"""The JSON that office and sender exchange. Times are RFC 3339 UTC, stamps whole numbers, bytes base64."""

from typing import Annotated

import msgspec

from pennyred.postage.encoding import INTEGER_MAX

PROBLEM_TYPE = "application/problem+json"
"""The media type of RFC 9457."""
STAMPS_ASKED_MAX = 1_000_000_000
"""In one purchase; as the command line has it."""
RECEIPTS_MAX = 200
"""In one answer."""


class PublicKey(msgspec.Struct, frozen=True):
    """One of an office's keys."""

    selector: str
    key: str


INTRODUCTION_PATH = "/.well-known/pennyred"
FLAW = "flaw"
"""Of `Issuer.abilities`: a hold may say what is wrong with its stamp (`postage.redemption.Hold.flaw`)."""
ABILITIES = (FLAW,)
"""What an office of this release says of itself."""
REVOKED_MAX = 1000
"""Licences on one page of those that count no more."""


class Issuer(msgspec.Struct, frozen=True):
    """`GET /.well-known/pennyred`."""

    issuer: str
    keys: list[PublicKey]
    price: int
    abilities: list[str] = []
    """What gates may ask for that offices of earlier releases do not understand (`ABILITIES`)."""


class OpenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/accounts`; the request is signed with the new account's key."""

    address: str
    key: str


class Opened(msgspec.Struct, frozen=True):
    """The account and its licence (its canonical text)."""

    account: str
    address: str
    licence: str


class AccountView(msgspec.Struct, frozen=True):
    """`GET /v1/accounts/me`."""

    account: str
    address: str
    available: int
    held: int
    spent: int


class EntryView(msgspec.Struct, frozen=True):
    """One line of a statement."""

    at: str
    kind: str
    stamps: int
    balance: int
    detail: str


class Entries(msgspec.Struct, frozen=True):
    """`GET /v1/accounts/me/entries`: a page; `next` is null on the last one."""

    entries: list[EntryView]
    next: int | None = None


class LicenceView(msgspec.Struct, frozen=True):
    """`POST /v1/accounts/me/licence`."""

    licence: str


class PurchaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/purchases`."""

    method: str
    code: str
    stamps: Annotated[int, msgspec.Meta(ge=1, le=STAMPS_ASKED_MAX)]


class Purchase(msgspec.Struct, frozen=True):
    """What was bought and what there is now."""

    bought: int
    available: int


class EpochView(msgspec.Struct, frozen=True):
    """A new beginning of the chain, after the ledger was restored: links behind `follows` of before it are lost."""

    id: str
    follows: int
    at: int


class TotalsView(msgspec.Struct, frozen=True):
    """`GET /v1/totals`: the newest link of the journal's chain; `at` in seconds since 1970 UTC."""

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
    """One stamp of the account that asks."""

    expiry_day: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
    serial: Annotated[str, msgspec.Meta(max_length=100)]


class ReceiptsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/accounts/me/receipts`."""

    stamps: Annotated[list[StampName], msgspec.Meta(max_length=RECEIPTS_MAX)]


class ReceiptsView(msgspec.Struct, frozen=True):
    """In the order of the request; empty where a stamp was not settled, or its day is forgotten."""

    receipts: list[str]


class DomainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/receivers/me/domains`."""

    domain: Annotated[str, msgspec.Meta(max_length=300)]


class ReceiverView(msgspec.Struct, frozen=True):
    """A receiver and the domains it may redeem for."""

    receiver: str
    domains: list[str]


class RevocationsView(msgspec.Struct, frozen=True):
    """`GET /v1/revocations`: a page; `last` is what to ask `after` for those that come later."""

    revoked: list[str]
    last: int


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, with the reason's name; `instance` names the request."""

    type: str
    title: str
    status: int
    reason: str
    detail: str
    instance: str = ""
