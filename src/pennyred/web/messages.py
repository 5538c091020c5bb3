"""The JSON that office and sender exchange. Times are RFC 3339 UTC, stamps whole numbers, bytes base64."""

from typing import Annotated

import msgspec

STAMPS_ASKED_MAX = 1_000_000_000
"""In one purchase; as the command line has it."""


class PublicKey(msgspec.Struct, frozen=True):
    """One of an office's keys."""

    selector: str
    key: str


class Issuer(msgspec.Struct, frozen=True):
    """`GET /.well-known/pennyred`."""

    issuer: str
    keys: list[PublicKey]
    price: int


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


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, with the reason's name."""

    type: str
    title: str
    status: int
    reason: str
    detail: str
