"""The command that judges the stamps of a letter: verify."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import RuleRefused, json_option, print_json, print_table, read_letter, run_async
from pennyred.cli.proving import proof_of
from pennyred.cli.receipts import Judged, Restored, judge_receipts, read_receipts, tell
from pennyred.config import BadSettings, GateSettings, find_settings, read_settings
from pennyred.office.keys import OfficeKeys
from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import Proof, alteration
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import letter_hash, recipient_hash, signed_parts
from pennyred.postage.errors import MalformedStamp, PennyRedError, Unavailable
from pennyred.postage.letter import STAMP_FIELD, HeaderSection, parse_header, split_letter
from pennyred.postage.lineends import file_with_crlf
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp, parse_stamp, split_field
from pennyred.postage.verification import LicenceCache, judge_parsed
from pennyred.sender.franking import distinct, recipients_of
from pennyred.sender.wallet import DamagedWallet, NoWallet, default_home, load_wallet

STAMPS_MAX = 1000
"""How many stamps of one letter are looked at."""
LOOKUPS_MAX = 20
"""How many keys are looked up in DNS: the author of the letter has chosen the names."""
_WORDS = {Reason.STAMPED: "full", Reason.STAMPED_MODIFIED: "modified"}


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found about one stamp; a row of the table."""

    recipient: str
    """The recipient it is made out to; empty if that is none of the known ones."""
    verdict: str
    """One of "full", "modified" and "invalid"."""
    reason: Reason
    altered: str
    """What was altered after stamping, with commas between: `from`, `to`, `subject` and the like, `body`."""
    serial: str
    """The serial in hexadecimal."""
    issuer: str


@click.command()
@click.option(
    "--to", "to", type=typed.address, multiple=True, metavar="ADDR", help="A recipient; may be given several times."
)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--receipt", type=click.Path(path_type=Path, exists=True), help="Receipts of an office, one a line.")
@json_option
@click.pass_context
def verify(context: click.Context, to: tuple[str, ...], file: Path | None, receipt: Path | None, as_json: bool) -> None:
    """Say of each stamp of a letter whether it holds. It says what each is and, if it does not hold for this
    letter, why.

    Recipients are those of --to, else of To and Cc; exit status 1 unless each of them has a stamp that holds. Whether a
    stamp was spent before, only its office knows. Its keys come from your account or settings, else from DNS.

    Where something was altered on the way, and all hangs on whether the author is proven, the DNS is asked for the keys
    of the letter's DKIM signatures, as a gate would do; of a gate's settings on this machine, its subject_tags,
    nameservers and arc_sealers count. Names before addresses are not signed: anybody may have written them.

    With --receipt it says whether an office has signed what its receipts say a stamp was used for; with FILE, whether
    for this letter. An office that takes one stamp for two letters has signed both, and so convicts itself; unless its
    ledger was restored from a backup in between, which it has to say in its receipts.

    Example:  pennyred verify stamped.eml
    """
    if receipt is not None:
        own = _Verifier(context, file_with_crlf(read_letter(file)), to) if file is not None else None
        tell(*run_async(_judge(context, receipt, own)), as_json=as_json)
        return
    letter = file_with_crlf(read_letter(file))
    addresses = distinct(to or recipients_of(letter).visible)
    if not addresses:
        raise click.UsageError("no recipients: the letter has no To or Cc, and there is no --to")
    found = run_async(_Verifier(context, letter, addresses).all())
    if not as_json:
        columns = ["recipient", "verdict", "reason", "altered", "serial", "issuer"]
        print_table("", columns, [[asdict(one)[column] for column in columns] for one in found])
        if any(one.reason.kind is Kind.PAID for one in found):
            click.echo("Signed are the addresses of From, not the name before them.")
    document: dict[str, Any] = {"stamps": [asdict(one) for one in found]}
    paid = {one.recipient for one in found if one.reason.kind is Kind.PAID}
    if missing := [address for address in addresses if address not in paid]:
        reason = next((one.reason for one in found if one.recipient in ("", *missing)), Reason.NO_STAMP)
        text = f"no stamp holds for {', '.join(missing)}"
        if reason.kind is Kind.LATER:
            later = Unavailable(reason, f"{text}: {reason.sentence}")
            later.document = document  # type: ignore[attr-defined]
            raise later
        raise RuleRefused(reason.value, text, document)
    if as_json:
        print_json(document)


async def _judge(context: click.Context, file: Path, own: "_Verifier | None") -> tuple[list[Judged], list[Restored]]:
    finder = own or _Verifier(context, b"\r\n", ())
    return await judge_receipts(read_receipts(file), own.letter_hashes if own else (), finder.find)


class _Verifier:
    """Judges the stamps of one letter, and finds the keys for that."""

    def __init__(self, context: click.Context, letter: bytes, addresses: Sequence[str]) -> None:
        section, body = split_letter(letter)
        self._context = context
        self._letter = letter
        self._gate = _gate_here(context)
        self._header: HeaderSection = parse_header(section)
        self._parts = signed_parts(self._header, body_hash(body), self._gate.subject_tags if self._gate else ())
        self._proof: Proof | None = None
        addresses = addresses or distinct(recipients_of(letter).visible)
        self._addresses = {canonical_recipient(address): address for address in addresses}
        self._keys: dict[str, dict[str, bytes]] = {}
        self._lookups = 0

    async def all(self) -> list[_Found]:
        """Judge each stamp, from the top. Raises `Unavailable` if the DNS does not answer."""
        return [await self._look(one) for one in islice(self._stamps(), STAMPS_MAX)]

    def _stamps(self) -> Iterator[bytes]:
        """What may be a stamp, from the top."""
        for field in self._header.named(STAMP_FIELD.lower()):
            try:
                yield from split_field(field.value)
            except MalformedStamp:
                yield field.value

    @property
    def letter_hashes(self) -> list[bytes]:
        """The letter hash for each recipient."""
        return [letter_hash(self._parts, one) for one in self._addresses]

    async def _look(self, value: bytes) -> _Found:
        try:
            stamp = parse_stamp(value)
        except MalformedStamp as error:
            return _Found("", "invalid", error.reason, "", "", "")
        await self.find(stamp.issuer, stamp.licence.selector)
        recipients = list(self._addresses)
        found = alteration(stamp, self._parts)
        if found.hangs_on_proof and self._proof is None and self._addressee(stamp):
            self._proof = await proof_of(self._letter, self._gate)
        verdict = judge_parsed(
            stamp,
            found=found,
            proof=self._proof or Proof.NO,
            recipients=recipients,
            issuers=self._keys,
            now=int(time.time()),
            price=1,
            licences=LicenceCache(size_max=1),
        )
        word = _WORDS.get(verdict.reason, "invalid")
        altered, serial = ", ".join(verdict.altered), stamp.serial.hex()
        return _Found(self._addressee(stamp), word, verdict.reason, altered, serial, stamp.issuer)

    def _addressee(self, stamp: Stamp) -> str:
        salt = stamp.salt or b""
        names = (name for one, name in self._addresses.items() if recipient_hash(salt, one) == stamp.recipient_hash)
        return next(names, "")

    async def find(self, issuer: str, selector: str) -> dict[str, bytes]:
        """The issuer's keys; the selector's key is among them if it can be found. Raises `Unavailable`."""
        keys = self._keys.setdefault(issuer, {})
        if selector in keys:
            return keys
        keys.update(_from_wallet(issuer) or _from_settings(self._context, issuer))
        if selector not in keys and self._lookups < LOOKUPS_MAX:
            from pennyred.gate.issuers.discovery import find_key  # noqa: PLC0415 - a DNS library is slow to load, and rarely needed

            self._lookups += 1
            key = await find_key(issuer, selector)
            keys.update({selector: key} if key else {})
        return keys


def _gate_here(context: click.Context) -> GateSettings | None:
    """The settings of the gate on this machine; None where there are none that can be read."""
    try:
        return read_settings(find_settings(context.obj, os.environ)).gate
    except (BadSettings, OSError):
        return None


def _from_wallet(issuer: str) -> dict[str, bytes]:
    try:
        wallet = load_wallet(default_home(os.environ))
    except (NoWallet, DamagedWallet):
        return {}
    return dict(wallet.office_keys) if wallet.issuer == issuer else {}


def _from_settings(context: click.Context, issuer: str) -> dict[str, bytes]:
    """The keys of the office on this machine, if it is this issuer and its files can be read; else empty."""
    try:
        office = read_settings(find_settings(context.obj, os.environ)).office
        return dict(OfficeKeys(office.signing_key).public_keys) if office and office.domain == issuer else {}
    except (BadSettings, PennyRedError, OSError):
        return {}
