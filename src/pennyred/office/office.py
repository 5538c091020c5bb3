"""The office: accounts, licences, vouchers, receivers. When a method returns, its result is stored in the ledger."""

import hashlib
from base64 import b32encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pennyred.days import DAY_SECONDS
from pennyred.office.checking import StampChecker
from pennyred.office.keys import OfficeKeys
from pennyred.office.ledger.callers import Receiver, ReceiverOutcome
from pennyred.office.ledger.protocol import Account, AccountState, Ledger, OpenOutcome, VoucherOutcome
from pennyred.office.probes import Probes
from pennyred.office.receipts import Receipts
from pennyred.office.redeeming import LedgerRedeemer
from pennyred.office.vouchers import CODE_RANDOM_BYTES, code_hash, make_code
from pennyred.postage.address import canonical_domain, canonical_sender
from pennyred.postage.domainproof import format_domain_proof, is_domain_proof, proof_name
from pennyred.postage.errors import PennyRedError
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_licence

LICENCE_DAYS = 90
LOCAL_RECEIVER = "local"
"""The receiver for the gate in the same process; it may redeem for any domain, as the gate is the office's own."""
VOUCHERS_MAX = 1000
"""How many vouchers may be made at once."""
FindTexts = Callable[[str], Awaitable[list[str]]]
"""Finds the TXT records at a DNS name, [] if there are none; raises `Unavailable`."""
ACCOUNT_ID_TRIES = 10
"""How many random account ids are tried. One is enough, as they have 80 random bits."""


class Refusal(StrEnum):
    """Why an office refuses a request; the names are for people and scripts."""

    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"
    UNKNOWN_VOUCHER = "unknown-voucher"
    VOUCHER_USED = "voucher-used"
    NAME_TAKEN = "name-taken"
    BAD_NAME = "bad-name"
    DOMAIN_NOT_PROVED = "domain-not-proved"
    TOO_MANY_DOMAINS = "too-many-domains"
    NO_MIRROR = "no-mirror"


class Refused(PennyRedError):  # noqa: N818 - a refusal, with its name
    """The office refuses a request by a rule; `reason` is the rule's name."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewReceiver:
    """A new receiver and its token, which cannot be shown again."""

    name: str
    domains: tuple[str, ...]
    token: str


class Office:
    """One post office, which keeps its books in one ledger."""

    def __init__(
        self,
        issuer: str,
        ledger: Ledger,
        keys: OfficeKeys,
        *,
        price: int,
        daily_cap: int,
        clock: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        find_texts: FindTexts,
    ) -> None:
        self.issuer = issuer
        self.ledger = ledger
        self.keys = keys
        self.price = price
        self._daily_cap = daily_cap
        self._clock = clock
        self._random_bytes = random_bytes
        self._find_texts = find_texts
        self._checker = StampChecker(issuer)
        self.receipts = Receipts(issuer, ledger, keys)
        self.probes: Probes | None = None
        """The probes of its mirror; None: a gate has to be started first, or there is no mirror."""

    def take_rules(self, *, price: int, daily_cap: int, find_texts: FindTexts) -> None:
        """Use these rules from now on; existing accounts keep their daily caps. Price and cap are in stamps."""
        self.price, self._daily_cap, self._find_texts = price, daily_cap, find_texts

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, from the office's source of randomness."""
        return self._random_bytes(count)

    @property
    def now(self) -> int:
        """The time by the office's clock, seconds since 1970 UTC."""
        return self._clock()

    async def open_account(self, address: str, public_key: bytes) -> tuple[Account, Licence]:
        """Open an account for this key, or find the one it has; returns it with a fresh licence.

        Raises `MalformedAddress`, and `Refused` if the account is closed.
        """
        canonical = canonical_sender(address)
        for _ in range(ACCOUNT_ID_TRIES):
            name = b32encode(self._random_bytes(10)).decode().lower()
            answer = await self.ledger.open_account(
                name, canonical.canonical, public_key, self._daily_cap, now=self.now
            )
            if answer.outcome is not OpenOutcome.ID_TAKEN and answer.account is not None:
                return answer.account, self.licence(answer.account)
        raise RuntimeError("random account ids that are all taken: the randomness is none")

    def licence(self, account: Account) -> Licence:
        """Make a fresh licence for an account; raises `Refused` if the account is not open."""
        if account.state is not AccountState.OPEN:
            raise Refused(Refusal.ACCOUNT_CLOSED, "the account is closed")
        selector, key = self.keys.newest
        return mint_licence(
            key,
            issuer=self.issuer,
            selector=selector,
            account=account.id,
            public_key=account.public_key,
            daily_cap=account.daily_cap,
            valid_from=self.now - DAY_SECONDS,  # a gate's clock may be behind
            valid_until=self.now + LICENCE_DAYS * DAY_SECONDS,
        )

    async def account(self, account: str) -> Account:
        """The account with this id as it is now; raises `Refused` if there is none."""
        found = await self.ledger.account(account)
        if found is None:
            raise Refused(Refusal.UNKNOWN_ACCOUNT, f"no account {account[:80]!r} here")
        return found

    async def create_vouchers(self, stamps: int, count: int) -> list[str]:
        """Make `count` voucher codes, worth `stamps` each; the codes cannot be shown again."""
        codes = [make_code(self._random_bytes(CODE_RANDOM_BYTES)) for _ in range(count)]
        hashes = [hashed for code in codes if (hashed := code_hash(code)) is not None]
        await self.ledger.create_vouchers(hashes, stamps, now=self.now)
        return codes

    async def redeem_voucher(self, account: str, code: str) -> int:
        """Credit a voucher to an account; returns how many stamps it is worth, also if repeated. Raises `Refused`."""
        hashed = code_hash(code)
        if hashed is None:
            raise Refused(Refusal.UNKNOWN_VOUCHER, "not a voucher code: those look like PENNY-XXXXX-XXXXX-XXXXX-XXXXX")
        answer = await self.ledger.redeem_voucher(account, hashed, now=self.now)
        match answer.outcome:
            case VoucherOutcome.REDEEMED:
                return answer.stamps
            case VoucherOutcome.ALREADY_USED:
                raise Refused(Refusal.VOUCHER_USED, "the voucher has been used by another account; ask whoever sold it")
            case VoucherOutcome.UNKNOWN_VOUCHER:
                raise Refused(Refusal.UNKNOWN_VOUCHER, "no such voucher here: is it typed right, and of this office?")
            case VoucherOutcome.UNKNOWN_ACCOUNT:
                raise Refused(Refusal.UNKNOWN_ACCOUNT, "no such account")
            case VoucherOutcome.ACCOUNT_CLOSED:
                raise Refused(Refusal.ACCOUNT_CLOSED, "the account is closed")

    async def add_receiver(self, name: str, domains: Sequence[str]) -> NewReceiver:
        """Let somebody else's gates redeem stamps for these domains; raises `Refused` and `MalformedAddress`."""
        if not (0 < len(name) <= 60 and name.isascii() and name.replace("-", "").replace(".", "").isalnum()):
            raise Refused(Refusal.BAD_NAME, "a receiver's name has letters, digits, dots and dashes, at most 60")
        canonical = tuple(dict.fromkeys(canonical_domain(domain) for domain in domains))
        token = self._random_bytes(32).hex()
        outcome = await self.ledger.add_receiver(name, canonical, token_hash(token), now=self.now)
        if outcome is ReceiverOutcome.NAME_TAKEN:
            raise Refused(Refusal.NAME_TAKEN, f"there is a receiver {name!r} already: use another name")
        return NewReceiver(name, canonical, token)

    async def prove_domain(self, receiver: Receiver, domain: str) -> tuple[str, ...]:
        """Let a receiver redeem for a domain, if the domain's DNS allows it; returns all its domains.

        Raises `Refused`, `MalformedAddress`, and `Unavailable` if the DNS does not answer.
        """
        canonical = canonical_domain(domain)
        if canonical in receiver.domains or "*" in receiver.domains:
            return receiver.domains
        name = proof_name(canonical)
        if not any(is_domain_proof(text, self.issuer, receiver.name) for text in await self._find_texts(name)):
            record = format_domain_proof(self.issuer, receiver.name)
            raise Refused(Refusal.DOMAIN_NOT_PROVED, f'publish this first: {name}. IN TXT "{record}"')
        if await self.ledger.add_domain(receiver.name, canonical) is ReceiverOutcome.TOO_MANY:
            raise Refused(Refusal.TOO_MANY_DOMAINS, f"{receiver.name} has as many domains as a receiver can have")
        return (*receiver.domains, canonical)

    async def ensure_local_receiver(self) -> None:
        """Add the receiver of the gate in this process, if it is missing. Nobody knows its token, as it needs none."""
        await self.ledger.add_receiver(LOCAL_RECEIVER, ("*",), self._random_bytes(32), now=self.now)

    def local_redeemer(self, domains: Sequence[str] = ()) -> LedgerRedeemer:
        """A redeemer for the gate in this process. Stamps it holds are not verified: that gate has, with the same keys.

        `domains` are those that the gate serves; without any, those that its mail server accepts.
        """
        return LedgerRedeemer(
            self.ledger,
            LOCAL_RECEIVER,
            self.keys.public_keys,
            clock=self._clock,
            checker=self._checker,
            is_gate_trusted=True,
            domains=domains,
            look_for=self.look_for,
            are_holds_lasting=False,
        )

    def look_for(self, issuer: str, selector: str) -> None:
        """Look for a new key of this office, see `OfficeKeys.look_for`; does nothing for another issuer."""
        if issuer == self.issuer:
            self.keys.look_for(selector)

    async def receiver(self, token: str) -> Receiver | None:
        """The receiver with this token, or None. The search is by hash, so its time tells nothing of other tokens."""
        return await self.ledger.receiver_by_token(token_hash(token))

    def redeemer(self, receiver: Receiver, *, are_holds_lasting: bool = True) -> LedgerRedeemer:
        """A redeemer for a receiver elsewhere: every stamp is verified here, and the ledger knows its domains.

        Without `are_holds_lasting` its gate settles with the stamps, see `Redemptions.hold`.
        """
        return LedgerRedeemer(
            self.ledger,
            receiver.name,
            self.keys.public_keys,
            clock=self._clock,
            checker=self._checker,
            look_for=self.look_for,
            are_holds_lasting=are_holds_lasting,
        )

    def close(self) -> None:
        """End the threads that verify. The ledger stays open: it is closed by whoever opened it."""
        self._checker.close()


def token_hash(token: str) -> bytes:
    """The hash of a receiver's token as it is stored, 32 bytes: a token has 256 random bits and needs no slow hash."""
    return hashlib.sha256(token.encode()).digest()
