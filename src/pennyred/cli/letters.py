"""Commands that stamp a letter and send it: stamp, send."""

import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import (
    NotAll,
    RuleRefused,
    json_option,
    print_json,
    printable,
    read_letter,
    run_async,
    telling,
)
from pennyred.cli.paying import MAX_PRICE_OPTION, PRICE_OPTION, Paid, price_at, send_paid, words_of
from pennyred.days import DAY_SECONDS
from pennyred.gate.rules.claims import author_of
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import parse_licence
from pennyred.sender.franking import (
    BLIND,
    Recipients,
    apart,
    completed,
    distinct,
    make_copies,
    recipients_of,
    stamp_letter,
    without_blind,
)
from pennyred.sender.parsedletter import ParsedLetter, parse_letter
from pennyred.sender.submitting import Submission
from pennyred.sender.travel.preparing import make_safe
from pennyred.sender.travel.serverlimits import told_limits
from pennyred.sender.wallet import Wallet, default_home, keep_renewed, load_wallet

RENEWAL_SECONDS = 21 * DAY_SECONDS
"""A licence is renewed when it is valid for less than this, which is longer than any stamp lives."""
LETTER = click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
TO = click.option(
    "--to", "to", type=typed.address, multiple=True, metavar="ADDR", help="A recipient; may be given several times."
)


@click.command()
@TO
@click.option(
    "--8bit", "eight_bit", is_flag=True, help="All servers on the way offer 8BITMIME: leave 8-bit text as it is."
)
@click.option(
    "--one-field", "in_one_field", is_flag=True, help="All stamps in one field, for providers that count fields."
)
@PRICE_OPTION
@LETTER
@json_option
def stamp(
    to: tuple[str, ...], eight_bit: bool, in_one_field: bool, price: int, file: Path | None, as_json: bool
) -> None:
    """Stamp a letter, and print it. It is read from a file or standard input. Each recipient gets a stamp: those of
    --to, or of To and Cc.

    Only stamp fields are added, and what servers on the way would put there in their own way, such as a missing Date;
    nothing of it in a field that a signature covers. A letter with a Bcc field needs --to: each Bcc recipient gets a
    copy of its own, without that field, or the others could find out.

    Example:  pennyred stamp letter.eml > stamped.eml
    """
    wallet = licensed(own_wallet())
    letter = parse_letter(make_safe(read_letter(file), eight_bit=eight_bit, say=_say))
    if not to and any(letter.header.named(key) for key in BLIND):
        raise click.UsageError("the letter has a Bcc field: name the recipients of this copy with --to")
    recipients = distinct(to or recipients_of(letter).visible)
    if not recipients:
        raise click.UsageError("no recipients: the letter has no To or Cc, and there is no --to")
    _tell_of_repeats(to)
    letter = completed_by(without_blind(letter), wallet)
    stamped = stamped_by(letter, dict.fromkeys(recipients, price), wallet, in_one_field=in_one_field)
    _tell_of_limits(stamped)
    if as_json:
        print_json({"recipients": recipients, "letter": stamped.raw.decode("utf-8", "surrogateescape")})
    else:
        click.echo(stamped.raw, nl=False)


@click.command()
@click.option("--via", type=typed.plain, required=True, metavar="HOST[:PORT]", help="The server to hand the letter to.")
@click.option(
    "--from", "sender", type=typed.sender, metavar="ADDR", help="The envelope sender; else the account's address."
)
@TO
@MAX_PRICE_OPTION
@LETTER
@json_option
def send(via: str, sender: str | None, to: tuple[str, ...], max_price: int, file: Path | None, as_json: bool) -> None:
    """Stamp a letter and send it. One copy for each recipient domain, and one for each Bcc recipient alone.

    What the server says is printed as it was said. Exit status 1 if a copy was refused, 75 if it may go later. A
    letter that `pennyred stamp` has stamped may be sent again and again: its stamps are used, and pay once. An
    unstamped one is stamped anew each time; when some of its copies were taken, name the other recipients with --to.

    Each recipient is paid what the server asks in its greeting, or a recipient's own price where a refusal names one,
    up to --max-price.

    Example:  pennyred send --via mx.example.org --from ann@sender.example letter.eml
    """
    host, port = host_and_port(via)
    wallet = licensed(own_wallet())
    origin = wallet.address if sender is None else sender
    written = read_letter(file)
    with Submission(host, port) as submission:
        safe = make_safe(written, eight_bit=submission.takes_eight_bit, utf8=submission.takes_utf8, say=_say)
        letter = parse_letter(safe)
        recipients = _recipients(letter, to)
        _tell_of_repeats(to)
        letter = completed_by(letter, wallet)
        _tell_of_limits(letter)
        price = price_at(submission, wallet.issuer, max_price)
        paid = [
            send_paid(submission, origin, copy, price, max_price, lambda one, prices: stamped_by(one, prices, wallet))
            for copy in make_copies(letter, recipients.visible, recipients.bcc)
        ]
    with telling():
        if not as_json:
            for line in words_of(paid, price, host, max_price):
                click.echo(printable(line))
        _report_sent(paid, as_json=as_json)


def _recipients(letter: ParsedLetter, to: Sequence[str]) -> Recipients:
    """The recipients of the letter; those that it does not name are treated as Bcc. Raises `UsageError` if none."""
    found = apart(recipients_of(letter).visible, to) if to else recipients_of(letter)
    if not found.visible and not found.bcc:
        raise click.UsageError("no recipients: the letter has no To, Cc or Bcc, and there is no --to")
    return found


def _tell_of_repeats(to: Sequence[str]) -> None:
    """Print a note for each recipient named twice: perhaps another one was meant."""
    for recipient, times in Counter(map(canonical_recipient, to)).items():
        if times > 1:
            text = f"{recipient.canonical} is named {times} times: one copy, one stamp"
            click.echo(printable(text), err=True)


def _report_sent(paid: Sequence[Paid], *, as_json: bool) -> None:
    said = [one.said for one in paid]
    copies = [one.document for one in paid]
    if not as_json:
        for one in said:
            click.echo(printable(f"{', '.join(one.recipients)}: {one.code} {one.reply}"))
    refused = [one for one in said if not one.is_accepted]
    if not refused:
        if as_json:
            print_json({"copies": copies})
        return
    document: dict[str, Any] = {"copies": copies}
    if all(one.is_temporary for one in refused):
        raise NotAll("not all copies were taken; try again later", document)
    first = next(one for one in refused if not one.is_temporary)
    raise RuleRefused(first.reason or "refused", f"refused for {', '.join(first.recipients)}", document)


def own_wallet() -> Wallet:
    """The wallet of whoever runs this; raises as `load_wallet` does."""
    return load_wallet(default_home(os.environ))


def completed_by(letter: ParsedLetter, wallet: Wallet) -> ParsedLetter:
    """The letter with the fields that every letter must have, in a spelling that no server changes."""
    author = author_of(letter.header)
    domain = (author.domain if author else "") or canonical_recipient(wallet.address).domain
    return completed(
        letter, now=int(time.time()), message_id=f"<{os.urandom(12).hex()}@{domain}>", domain=domain, say=_say
    )


def _tell_of_limits(letter: ParsedLetter) -> None:
    for text in told_limits(letter):
        _say(text)


def _say(text: str) -> None:
    """Print what was assumed or changed, on standard error: standard output is for the letter or the JSON."""
    click.echo(printable(f"pennyred: {text}"), err=True)


def stamped_by(
    letter: ParsedLetter, prices: Mapping[str, int], wallet: Wallet, *, in_one_field: bool = False
) -> ParsedLetter:
    """The letter with a stamp for each recipient, worth its price in `prices` (in stamps); none for price 0."""
    for price in sorted(set(prices.values()) - {0}):
        recipients = [address for address, own in prices.items() if own == price]
        letter = stamp_letter(
            letter,
            recipients,
            wallet.key,
            wallet.licence,
            now=int(time.time()),
            random_bytes=os.urandom,
            price=price,
            in_one_field=in_one_field,
        )
    return letter


def licensed(wallet: Wallet) -> Wallet:
    """The wallet with a licence that outlives its stamps, renewed if needed.

    If the office does not answer, the old licence is used while it is valid; else raises `Unavailable`.
    """
    now = int(time.time())
    # A licence that is not valid yet was made while the office's clock was ahead.
    if wallet.licence.valid_from <= now < wallet.licence.valid_until - RENEWAL_SECONDS:
        return wallet
    try:
        renewed = run_async(_renewed(wallet))
    except Unavailable:
        if not wallet.licence.valid_from <= now < wallet.licence.valid_until:
            raise
        return wallet
    keep_renewed(default_home(os.environ), renewed)
    return renewed


async def _renewed(wallet: Wallet) -> Wallet:
    from pennyred.cli.sender import client_of  # noqa: PLC0415 - an HTTP library is slow to load, and rarely needed

    async with client_of(wallet) as client:
        info = await client.info()
        licence = parse_licence(await client.renew_licence())
    return replace(wallet, licence=licence, office_keys=info.keys)


def host_and_port(via: str) -> tuple[str, int]:
    """Host and port from HOST, HOST:PORT, [::1] or [::1]:PORT; port 25 by default. Raises `UsageError`."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::([0-9]{1,5}))?", via)
    if not match or not 0 < int(match[2] or 25) < 65536:
        raise click.UsageError(f"--via {via!r}: expected HOST or HOST:PORT")
    return match[1].strip("[]"), int(match[2] or 25)
