"""The office's desk: accounts, licences, postage, receivers. What it decides is in the ledger when it returns."""

import hashlib
from base64 import b32encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pennyred.office.checking import StampChecker
from pennyred.office.keys import OfficeKeys
from pennyred.office.ledger.callers import Receiver, ReceiverOutcome
from pennyred.office.ledger.protocol import Account, AccountState, Ledger, OpenOutcome, VoucherOutcome
from pennyred.office.receipts import Receipts
from pennyred.office.redeeming import LedgerRedeemer
from pennyred.office.vouchers import CODE_RANDOM_BYTES, code_hash, make_code
from pennyred.postage.address import canonical_domain, canonical_sender
from pennyred.postage.domainproof import format_domain_proof, is_domain_proof, proof_name
from pennyred.postage.errors import PennyRedError
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_licence

LICENCE_DAYS = 90
DAY_SECONDS = 86_400
LOCAL_RECEIVER = "local"
"""The receiver of a gate in the same process; it may redeem for any domain, as the gate is the office's own."""
VOUCHERS_MAX = 1000
"""At once."""
FindTexts = Callable[[str], Awaitable[list[str]]]
"""The TXT records at a name, none where there are none; raises `Unavailable`."""
ACCOUNT_ID_TRIES = 10
"""One is enough: ids have 80 random bits."""


class Refusal(StrEnum):
    """Why an office will not do what it was asked; names for people and scripts."""

    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"
    UNKNOWN_VOUCHER = "unknown-voucher"
    VOUCHER_USED = "voucher-used"
    NAME_TAKEN = "name-taken"
    BAD_NAME = "bad-name"
    DOMAIN_NOT_PROVED = "domain-not-proved"
    TOO_MANY_DOMAINS = "too-many-domains"


class Refused(PennyRedError):  # noqa: N818 - a refusal, with its name
    """The office refuses by a rule; `reason` is its name."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewReceiver:
    """A receiver and its token, which is never seen again."""

    name: str
    domains: tuple[str, ...]
    token: str


class Office:
    """One post office over one ledger."""

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

    def take_rules(self, *, price: int, daily_cap: int, find_texts: FindTexts) -> None:
        """Go by these from now on; accounts that are open keep their caps."""
        self.price, self._daily_cap, self._find_texts = price, daily_cap, find_texts

    def random_bytes(self, count: int) -> bytes:
        """The office's randomness."""
        return self._random_bytes(count)

    @property
    def now(self) -> int:
        """The office's clock."""
        return self._clock()

    async def open_account(self, address: str, public_key: bytes) -> tuple[Account, Licence]:
        """A sender's account for this key, new or the one it has; raises `MalformedAddress`, `Refused` if closed."""
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
        """A fresh licence for an open account; raises `Refused`."""
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
        """An account as it stands; raises `Refused` where there is none."""
        found = await self.ledger.account(account)
        if found is None:
            raise Refused(Refusal.UNKNOWN_ACCOUNT, f"no account {account[:80]!r} here")
        return found

    async def create_vouchers(self, stamps: int, count: int) -> list[str]:
        """So many new codes of so many stamps each; they cannot be seen again."""
        codes = [make_code(self._random_bytes(CODE_RANDOM_BYTES)) for _ in range(count)]
        hashes = [hashed for code in codes if (hashed := code_hash(code)) is not None]
        await self.ledger.create_vouchers(hashes, stamps, now=self.now)
        return codes

    async def redeem_voucher(self, account: str, code: str) -> int:
        """Credit a voucher's whole worth; repeating it credits nothing more. Raises `Refused`."""
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
        """Let somebody else's gates redeem for these domains; raises `Refused` and `MalformedAddress`."""
        if not (0 < len(name) <= 60 and name.isascii() and name.replace("-", "").replace(".", "").isalnum()):
            raise Refused(Refusal.BAD_NAME, "a receiver's name has letters, digits, dots and dashes, at most 60")
        canonical = tuple(dict.fromkeys(canonical_domain(domain) for domain in domains))
        token = self._random_bytes(32).hex()
        outcome = await self.ledger.add_receiver(name, canonical, token_hash(token), now=self.now)
        if outcome is ReceiverOutcome.NAME_TAKEN:
            raise Refused(Refusal.NAME_TAKEN, f"there is a receiver {name!r} already: use another name")
        return NewReceiver(name, canonical, token)

    async def prove_domain(self, receiver: Receiver, domain: str) -> tuple[str, ...]:
        """Let a receiver redeem for a domain whose DNS says so; the domains it has then.

        Raises `Refused`, `MalformedAddress`, and `Unavailable` where the DNS does not answer.
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
        """The receiver of the gate in this process; its token is known to nobody, as it needs none."""
        await self.ledger.add_receiver(LOCAL_RECEIVER, ("*",), self._random_bytes(32), now=self.now)

    def local_redeemer(self, domains: Sequence[str] = ()) -> LedgerRedeemer:
        """For the gate in this process, which has verified every stamp itself with these very keys.

        `domains` are what it serves; none: whatever its mail server accepts.
        """
        return LedgerRedeemer(
            self.ledger,
            LOCAL_RECEIVER,
            self.keys.public_keys,
            clock=self._clock,
            checker=None,
            domains=domains,
        )

    def look_for(self, issuer: str, selector: str) -> None:
        """See `OfficeKeys.look_for`; nothing where it is another office's."""
        if issuer == self.issuer:
            self.keys.look_for(selector)

    async def receiver(self, token: str) -> Receiver | None:
        """Who has this token. It is looked for by its hash, so that how long it takes says nothing of other tokens."""
        return await self.ledger.receiver_by_token(token_hash(token))

    def redeemer(self, receiver: Receiver) -> LedgerRedeemer:
        """For gates elsewhere: every stamp is verified here, and the ledger knows the receiver's domains."""
        return LedgerRedeemer(
            self.ledger,
            receiver.name,
            self.keys.public_keys,
            clock=self._clock,
            checker=self._checker,
            look_for=self.look_for,
        )

    def close(self) -> None:
        """End the threads that verify; the ledger is whose it was."""
        self._checker.close()


def token_hash(token: str) -> bytes:
    """What is stored of a receiver's token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()
