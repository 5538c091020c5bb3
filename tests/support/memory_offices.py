"""Accounts, vouchers, receivers and tokens in dictionaries: the part of the memory ledger beside redemptions."""

from collections.abc import Sequence

from pennyred.office.ledger.callers import (
    ANSWER_LIFE_SECONDS,
    RECEIVER_DOMAINS_MAX,
    TOKEN_LIFE_SECONDS_MAX,
    KeptAnswer,
    Receiver,
    ReceiverOutcome,
    require_short,
)
from pennyred.office.ledger.protocol import (
    OFFICE_SALES,
    OFFICE_VOUCHERS,
    PAGE_MAX,
    Account,
    AccountOutcome,
    AccountState,
    CreditOutcome,
    Entry,
    EntryKind,
    OpenAnswer,
    OpenOutcome,
    VoucherAnswer,
    VoucherOutcome,
    is_internal,
    receiver_account,
    require_stamps,
)
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Revocations, fingerprint
from pennyred.postage.reasons import Reason
from tests.support.memory_journal import Journal
from tests.support.replacing import replace


class MemoryOffices:
    """See `Ledger`."""

    def __init__(self) -> None:
        self._journal = Journal()
        self._vouchers: dict[bytes, tuple[int, str | None]] = {}
        self._receivers: dict[str, tuple[Receiver, bytes]] = {}
        self._tokens: dict[str, int] = {}
        self._forget_at = 0
        self._revoked: list[bytes] = []
        self._answers: dict[bytes, tuple[KeptAnswer, int]] = {}
        self._is_closed = False

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """See `Ledger.open_account`."""
        existing = await self.account_by_key(public_key)
        if existing is not None:
            return OpenAnswer(OpenOutcome.EXISTS, existing)
        if account in self._journal.accounts:
            return OpenAnswer(OpenOutcome.ID_TAKEN, None)
        return OpenAnswer(OpenOutcome.OPENED, self._journal.open(account, address, public_key, daily_cap, at=now))

    async def close_account(self, account: str) -> AccountOutcome:
        """See `Ledger.close_account`."""
        self._revoke(account)
        return self._change(account, state=AccountState.CLOSED)

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """See `Ledger.replace_key`."""
        owner = await self.account_by_key(public_key)
        if owner is not None and owner.id != account:
            return AccountOutcome.KEY_IN_USE
        current = self._journal.accounts.get(account)
        if current is None or not current.public_key:
            return AccountOutcome.UNKNOWN_ACCOUNT
        if current.public_key != public_key:
            self._revoke(account)
        return self._change(account, public_key=public_key)

    async def account(self, account: str) -> Account | None:
        """See `Ledger.account`."""
        self._require_open()
        return self._journal.accounts.get(account)

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """See `Ledger.account_by_key`."""
        self._require_open()
        senders = (account for account in self._journal.accounts.values() if account.public_key)
        return next((account for account in senders if account.public_key == public_key), None)

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """See `Ledger.accounts`."""
        self._require_open()
        ids = sorted(account for account in self._journal.accounts if account > after)
        return [self._journal.accounts[account] for account in ids[: min(limit, PAGE_MAX)]]

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """See `Ledger.entries`."""
        self._require_open()
        entries = [entry for entry in self._journal.entries.get(account, []) if entry.id > after]
        return entries[: min(limit, PAGE_MAX)]

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """See `Ledger.credit`."""
        require_stamps(stamps)
        target, payer = await self.account(account), await self.account(source)
        if target is None or payer is None or is_internal(account):
            return CreditOutcome.UNKNOWN_ACCOUNT
        if target.state is AccountState.CLOSED:
            return CreditOutcome.ACCOUNT_CLOSED
        if not is_internal(source) and payer.available < stamps:
            return CreditOutcome.NO_FUNDS
        self._journal.credit(EntryKind.CREDIT, reason, payer=source, payee=account, stamps=stamps, at=now)
        return CreditOutcome.CREDITED

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """See `Ledger.create_vouchers`."""
        self._require_open()
        require_stamps(stamps)
        if len(set(hashes)) < len(hashes) or any(voucher in self._vouchers for voucher in hashes):
            raise ValueError("a voucher with this code exists")
        self._vouchers.update((voucher, (stamps, None)) for voucher in hashes)

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """See `Ledger.redeem_voucher`."""
        target = await self.account(account)
        if voucher_hash not in self._vouchers:
            return VoucherAnswer(VoucherOutcome.UNKNOWN_VOUCHER)
        stamps, owner = self._vouchers[voucher_hash]
        if owner is not None:
            is_own = owner == account
            return (
                VoucherAnswer(VoucherOutcome.REDEEMED, stamps) if is_own else VoucherAnswer(VoucherOutcome.ALREADY_USED)
            )
        if target is None:
            return VoucherAnswer(VoucherOutcome.UNKNOWN_ACCOUNT)
        if target.state is AccountState.CLOSED:
            return VoucherAnswer(VoucherOutcome.ACCOUNT_CLOSED)
        self._vouchers[voucher_hash] = (stamps, account)
        self._journal.credit(EntryKind.VOUCHER, "", payer=OFFICE_VOUCHERS, payee=account, stamps=stamps, at=now)
        return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """See `Ledger.add_receiver`."""
        self._require_open()
        if name in self._receivers:
            is_same = self._receivers[name][1] == token_hash
            return ReceiverOutcome.ADDED if is_same else ReceiverOutcome.NAME_TAKEN
        self._receivers[name] = (Receiver(name, tuple(domains)), token_hash)
        self._journal.open(receiver_account(name), "", b"", 0, at=now)
        return ReceiverOutcome.ADDED

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """See `Ledger.receiver_by_token`."""
        self._require_open()
        for receiver, its_hash in self._receivers.values():
            state = self._journal.accounts[receiver_account(receiver.name)].state
            if its_hash == token_hash and state is AccountState.OPEN:
                return receiver
        return None

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """See `Ledger.add_domain`."""
        self._require_open()
        if name not in self._receivers:
            return ReceiverOutcome.UNKNOWN_RECEIVER
        receiver, token_hash = self._receivers[name]
        if domain not in receiver.domains:
            if len(receiver.domains) >= RECEIVER_DOMAINS_MAX:
                return ReceiverOutcome.TOO_MANY
            self._receivers[name] = (Receiver(name, (*receiver.domains, domain)), token_hash)
        return ReceiverOutcome.ADDED

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """See `Ledger.keep_answer`."""
        self._require_open()
        require_short(kept)
        self._answers = {one: (kept, until) for one, (kept, until) in self._answers.items() if until > now}
        self._answers.setdefault(name, (kept, now + ANSWER_LIFE_SECONDS))

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """See `Ledger.kept_answer`."""
        self._require_open()
        kept, until = self._answers.get(name, (None, 0))
        return kept if until > now else None

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """See `Ledger.remember_jti`."""
        self._require_open()
        if not now < expires_at <= now + TOKEN_LIFE_SECONDS_MAX:
            return False
        self._tokens = {seen: until for seen, until in self._tokens.items() if until > self._forget_at}
        is_new = self._tokens.get(jti, 0) <= now
        if is_new:
            self._tokens[jti] = expires_at
        return is_new

    def _require_open(self) -> None:
        if self._is_closed:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "the ledger is closed")

    async def revocations(self, *, after: int = 0) -> Revocations:
        """See `Ledger.revocations`."""
        self._require_open()
        page = self._revoked[after : after + PAGE_MAX]
        return Revocations(tuple(page), after + len(page))

    def _revoke(self, account: str) -> None:
        current = self._journal.accounts.get(account)
        if current is not None and current.public_key:
            name = fingerprint(account, current.public_key)
            self._revoked += [] if name in self._revoked else [name]

    def _change(self, account: str, **fields: object) -> AccountOutcome:
        self._require_open()
        current = self._journal.accounts.get(account)
        if current is None or is_internal(account):
            return AccountOutcome.UNKNOWN_ACCOUNT
        self._journal.accounts[account] = replace(current, **fields)  # type: ignore[arg-type]
        return AccountOutcome.DONE
