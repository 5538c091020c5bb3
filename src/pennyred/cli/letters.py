"""Letters: stamp, send, verify."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pennyred.cli.common import RuleRefused, json_option, print_json, print_table, read_letter, run_async
from pennyred.cli.sender import client_of, home
from pennyred.config import BadSettings, find_settings, read_settings
from pennyred.discovery import find_key
from pennyred.postage.address import canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import header_hash
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.postage.letter import STAMP_FIELD, parse_header, split_letter
from pennyred.postage.licence import parse_licence
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import parse_stamp
from pennyred.postage.travel import make_safe
from pennyred.postage.verdict import LicenceCache, Verdict, judge_parsed
from pennyred.services.franking import Recipients, completed, distinct, make_copies, recipients_of, stamp_letter
from pennyred.services.officekeys import OfficeKeys
from pennyred.services.wallet import NoWallet, Wallet, load_wallet, save_wallet
from pennyred.smtp.submit import Sent, Submission
from pennyred.web.client import OfficeRefused

RENEWAL_SECONDS = 21 * 86_400
"""A licence is renewed when less than this is left: longer than any stamp made with it lives."""
LETTER = click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
TO = click.option("--to", "to", multiple=True, metavar="ADDR", help="A recipient; may be given several times.")


@click.command()
@TO
@click.option(
    "--8bit", "eight_bit", is_flag=True, help="All servers on the way offer 8BITMIME: leave 8-bit text as it is."
)
@LETTER
@json_option
def stamp(to: tuple[str, ...], eight_bit: bool, file: Path | None, as_json: bool) -> None:
    """Letter in (a file or standard input), stamped letter out: a stamp for each recipient, from --to or To and Cc.

    Only stamp fields are added, and Date and Message-ID where they are missing. A letter with a Bcc field needs --to:
    each Bcc recipient gets a copy of its own, or the others could find out.

    Example:  pennyred stamp letter.eml > stamped.eml
    """
    wallet = _licensed(load_wallet(home()))
    letter = _prepared(read_letter(file), wallet, eight_bit=eight_bit)
    named = recipients_of(letter)
    if named.bcc and not to:
        raise click.UsageError("the letter has a Bcc field: name the recipients of this copy with --to")
    recipients = distinct(to or named.visible)
    if not recipients:
        raise click.UsageError("no recipients: the letter has no To or Cc, and there is no --to")
    stamped = _stamped(letter, recipients, wallet)
    if as_json:
        print_json({"recipients": recipients, "letter": stamped.decode("utf-8", "surrogateescape")})
    else:
        click.get_binary_stream("stdout").write(stamped)


@click.command()
@click.option("--via", required=True, metavar="HOST[:PORT]", help="The server to hand the letter to.")
@click.option("--from", "sender", metavar="ADDR", help="The envelope sender; else the account's address.")
@TO
@LETTER
@json_option
def send(via: str, sender: str | None, to: tuple[str, ...], file: Path | None, as_json: bool) -> None:
    """Stamp a letter and send it: one copy for each recipient domain, and one for each Bcc recipient alone.

    What the server says is printed as it was said. Exit status 1 if a copy was refused, 75 if it may go later; a copy
    that was delivered before is not charged again, so trying again is safe: it is the very same letter.

    Example:  pennyred send --via mx.example.org --from ann@sender.example letter.eml
    """
    wallet = _licensed(load_wallet(home()))
    host, port = _host_and_port(via)
    letter = read_letter(file)
    with Submission(host, port) as submission:
        letter = _prepared(letter, wallet, eight_bit=submission.takes_eight_bit)
        recipients = Recipients(tuple(distinct(to)), ()) if to else recipients_of(letter)
        copies = make_copies(letter, recipients.visible, recipients.bcc)
        if not copies:
            raise click.UsageError("no recipients: the letter has no To, Cc or Bcc, and there is no --to")
        said = []
        for copy in copies:
            stamped = _stamped(copy.letter, copy.recipients, wallet)
            said.append(submission.send(sender or wallet.address, copy.recipients, stamped))
    _report_sent(said, as_json=as_json)


def _report_sent(said: Sequence[Sent], *, as_json: bool) -> None:
    copies = [
        {"recipients": list(one.recipients), "code": one.code, "reply": one.reply, "reason": one.reason} for one in said
    ]
    if not as_json:
        for one in said:
            click.echo(f"{', '.join(one.recipients)}: {one.code} {one.reply}")
    refused = [one for one in said if not one.is_accepted]
    if not refused:
        if as_json:
            print_json({"copies": copies})
        return
    document: dict[str, Any] = {"copies": copies}
    if all(one.is_temporary for one in refused):
        later = Unavailable(Reason.UPSTREAM_UNAVAILABLE, "not all copies were taken; try again later")
        later.document = document  # type: ignore[attr-defined]
        raise later
    first = next(one for one in refused if not one.is_temporary)
    raise RuleRefused(first.reason or "refused", f"refused for {', '.join(first.recipients)}", document)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one stamp turned out to be."""

    recipient: str
    verdict: str
    reason: Reason
    serial: str
    issuer: str


@click.command()
@TO
@LETTER
@json_option
@click.pass_context
def verify(context: click.Context, to: tuple[str, ...], file: Path | None, as_json: bool) -> None:
    """Say of each stamp what it is, whether it holds for this letter, and if not why. Whether it is spent, only its
    office knows. Exit status 1 unless every recipient has a stamp that holds.

    Example:  pennyred verify stamped.eml
    """
    letter = read_letter(file)
    recipients = distinct(to or recipients_of(letter).visible)
    found = run_async(_verified(context, letter, recipients))
    shown = [
        {
            "recipient": one.recipient,
            "verdict": one.verdict,
            "reason": one.reason.value,
            "serial": one.serial,
            "issuer": one.issuer,
        }
        for one in found
    ]
    if not as_json:
        columns = ["recipient", "verdict", "reason", "serial", "issuer"]
        print_table("", columns, [[one[column] for column in columns] for one in shown])
    paid = {one.recipient for one in found if one.reason.kind is Kind.PAID}
    if missing := [address for address in recipients if address not in paid]:
        reason = next((one.reason for one in found if one.recipient in ("", *missing)), Reason.NO_STAMP)
        raise RuleRefused(reason.value, f"no stamp holds for {', '.join(missing)}", {"stamps": shown})
    if as_json:
        print_json({"stamps": shown})


async def _verified(context: click.Context, letter: bytes, addresses: Sequence[str]) -> list[_Found]:
    section, body = split_letter(letter)
    header, digest = parse_header(section), body_hash(body)
    recipients = [canonical_recipient(address) for address in addresses]
    keys: dict[str, dict[str, bytes]] = {}
    found = []
    for field in header.named(STAMP_FIELD.lower())[:1000]:
        try:
            stamp = parse_stamp(field.value)
        except Malformed as error:
            reason = getattr(error, "reason", Reason.MALFORMED)
            found.append(_Found("", "invalid", reason, "", ""))
            continue
        if stamp.issuer not in keys:
            keys[stamp.issuer] = await _keys(context, stamp.issuer, stamp.licence.selector)
        made_out_to = next(
            (
                address
                for address, offered in zip(addresses, find_candidates(_only(field), recipients), strict=True)
                if offered.stamps
            ),
            "",
        )
        verdict = judge_parsed(
            stamp,
            header=header,
            header_hash=header_hash(header),
            body_hash=digest,
            recipients=recipients,
            issuers=keys,
            now=int(time.time()),
            price=1,
            licences=LicenceCache(),
        )
        found.append(_Found(made_out_to, _word(verdict), verdict.reason, stamp.serial.hex(), stamp.issuer))
    return found


def _only(field: Any) -> Any:
    return parse_header(field.raw)


def _word(verdict: Verdict) -> str:
    return {Reason.STAMPED: "full", Reason.STAMPED_MODIFIED: "modified"}.get(verdict.reason, "invalid")


async def _keys(context: click.Context, issuer: str, selector: str) -> dict[str, bytes]:
    """An office's keys: as the wallet knows them, else of the office in the settings, else from DNS."""
    try:
        wallet = load_wallet(home())
    except NoWallet:
        pass
    else:
        if wallet.issuer == issuer and selector in wallet.office_keys:
            return dict(wallet.office_keys)
    try:
        office = read_settings(find_settings(context.obj, os.environ)).office
        if office is not None and office.domain == issuer:
            return dict(OfficeKeys(office.signing_key).public_keys)
    except (BadSettings, PennyRedError, OSError):
        pass
    key = await find_key(issuer, selector)
    return {selector: key} if key else {}


def _prepared(letter: bytes, wallet: Wallet, *, eight_bit: bool) -> bytes:
    """Safe to travel, and with the fields every letter has."""
    domain = canonical_recipient(wallet.address).domain
    message_id = f"<{os.urandom(12).hex()}@{domain}>"
    return completed(make_safe(letter, eight_bit=eight_bit), now=int(time.time()), message_id=message_id)


def _stamped(letter: bytes, recipients: Sequence[str], wallet: Wallet) -> bytes:
    return stamp_letter(letter, recipients, wallet.key, wallet.licence, now=int(time.time()), random_bytes=os.urandom)


def _licensed(wallet: Wallet) -> Wallet:
    """The wallet with a licence that outlives its stamps; the old one serves where the office does not answer."""
    now = int(time.time())
    if wallet.licence.valid_until - now > RENEWAL_SECONDS:
        return wallet
    try:
        renewed = run_async(_renewed(wallet))
    except Unavailable:
        if wallet.licence.valid_until <= now:
            raise
        return wallet
    save_wallet(home(), renewed)
    return renewed


async def _renewed(wallet: Wallet) -> Wallet:
    async with client_of(wallet) as client:
        try:
            info = await client.info()
            licence = parse_licence(await client.renew_licence())
        except OfficeRefused as refused:
            raise RuleRefused(refused.reason, str(refused)) from refused
    return Wallet(wallet.office, wallet.issuer, wallet.account, wallet.address, wallet.key, licence, info.keys)


def _host_and_port(via: str) -> tuple[str, int]:
    host, colon, port = via.rpartition(":")
    if not colon or via.endswith("]"):
        return via.strip("[]"), 25
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--via {via}: expected HOST or HOST:PORT")
    return host.strip("[]"), int(port)
