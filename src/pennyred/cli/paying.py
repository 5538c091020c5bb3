"""How many stamps to pay for each recipient: the server's price, a recipient's own price, and our limit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pennyred.cli.common import RuleRefused
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import PRICE_MAX
from pennyred.sender.franking import Copy
from pennyred.sender.parsedletter import ParsedLetter
from pennyred.sender.submitting import Sent, Submission

MAX_PRICE = 10
"""The most stamps paid for one recipient by default: a server may ask any price, and must not empty the account."""
MAX_PRICE_OPTION = click.option(
    "--max-price",
    type=click.IntRange(0, PRICE_MAX),
    default=MAX_PRICE,
    show_default=True,
    metavar="N",
    help="The most to pay for one recipient, in stamps, whatever the server asks; 0: send without stamps.",
)
PRICE_OPTION = click.option(
    "--price",
    type=click.IntRange(1, PRICE_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="What each stamp is worth, where the recipient asks more than 1.",
)
_CODE = r"(?: [245]\.\d{1,3}\.\d{1,3})?"
"""The enhanced status code at the beginning of each line of a reply."""
_UNDERPAID = re.compile(
    rf"Postage due:{_CODE} (.{{1,1100}}):{_CODE} [^:]* (\d{{1,7}}){_CODE} stamps?{_CODE} \({Reason.UNDERPAID}\)"
)

Stamp = Callable[[ParsedLetter, Mapping[str, int]], ParsedLetter]
"""Stamps a letter: takes it with the price of each recipient, in stamps, and returns the stamped letter."""


@dataclass(frozen=True, slots=True)
class Paid:
    """The server's answer to a copy, and the stamps that were put on the copy."""

    said: Sent
    prices: Mapping[str, int]
    """How many stamps were put on it for each recipient."""

    @property
    def document(self) -> dict[str, Any]:
        """The part of the --json document for this copy; it has `stamps`, by recipient, unless all are 1."""
        said, prices = self.said, dict(self.prices)
        told = {"recipients": list(said.recipients), "code": said.code, "reply": said.reply, "reason": said.reason}
        return told | ({"stamps": prices} if set(prices.values()) != {1} else {})


def price_at(submission: Submission, issuer: str, max_price: int) -> int:
    """How many stamps to pay for each recipient: what the server asks, 1 if it asks nothing, 0 if `max_price` is 0.

    Raises `RuleRefused` if it takes no stamps of this issuer, or asks too much; nothing is stamped then.
    """
    if max_price == 0:
        return 0
    asked = submission.postage
    if asked is None:
        return 1
    if asked.issuers and issuer not in asked.issuers:
        raise RuleRefused(
            Reason.ISSUER_NOT_ACCEPTED.value,
            f"{submission.host} takes stamps of {' or '.join(asked.issuers)}, and this account is at {issuer}: nothing"
            " was stamped or sent; open an account there in another folder (PENNYRED_HOME), or try --max-price 0, which"
            " sends without stamps to who takes that",
        )
    if asked.price > max_price:
        raise RuleRefused(
            "over-max-price",
            f"{submission.host} asks {asked.price} stamps for each recipient, more than --max-price {max_price}:"
            f" nothing was stamped or sent; to pay it, say --max-price {asked.price}",
        )
    return asked.price


def send_paid(submission: Submission, origin: str, copy: Copy, price: int, max_price: int, stamp: Stamp) -> Paid:
    """Send a copy. If a refusal names a recipient's own higher price, up to `max_price`, stamp anew and send again.

    It does so once for each recipient.
    """
    prices = dict.fromkeys(copy.recipients, price)
    raised: set[str] = set()
    while True:
        said = submission.send(origin, copy.recipients, stamp(copy.parsed, prices).raw)
        address, asked = asked_of(said)
        if not price or address in raised or not prices.get(address, max_price) < asked <= max_price:
            return Paid(said, prices)
        raised.add(address)
        prices[address] = asked


def asked_of(said: Sent) -> tuple[str, int]:
    """The recipient whose price a refusal names, and that price in stamps; "" and 0 if it names none."""
    match = _UNDERPAID.search(said.reply)
    if match is None:
        return "", 0
    named = _canonical(match[1])
    address = next((one for one in said.recipients if _canonical(one) == named), "")
    return address, int(match[2]) if address else 0


def words_of(paid: Sequence[Paid], price: int, host: str, max_price: int) -> list[str]:
    """The lines to print besides the server's answers: what was paid, where that is not 1, and what is asked."""
    lines = [f"{host} asks {price} stamps for each recipient"] if price > 1 else []
    for one in paid:
        lines += [f"{address}: paid {own} stamps" for address, own in one.prices.items() if own > price]
        if one.said.reason == Reason.RESENT:
            lines.append(f"{', '.join(one.said.recipients)}: had this text before; it was not charged again")
        address, asked = asked_of(one.said)
        if asked > max_price:
            lines.append(f"{address}: asks {asked} stamps, more than --max-price {max_price}")
    return lines


def _canonical(address: str) -> str:
    try:
        return canonical_recipient(address.strip("<>")).canonical
    except MalformedAddress:
        return address
