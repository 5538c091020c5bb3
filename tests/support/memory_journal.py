"""The books of the ledger in dictionaries: accounts, their entries, and the audit of both."""

from collections.abc import Iterable, Mapping, Sequence

from pennyred.office.ledger.chaining import ChainAudit, Moved, joined, next_head
from pennyred.office.ledger.daily import daily_entry
from pennyred.office.ledger.protocol import (
    OFFICE_SALES,
    OFFICE_VOUCHERS,
    Account,
    AccountState,
    Audit,
    Entry,
    EntryKind,
    is_internal,
    receiver_account,
)
from pennyred.postage.proofs.chain import BatchHead, Epoch, Totals, credit_detail
from tests.support.replacing import replace

_PAYMENTS = (EntryKind.SETTLE, EntryKind.SWEEP)
_DAILY = (*_PAYMENTS, EntryKind.REFUND)


class Journal:
    """Accounts by id, and the postings of each."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.batches: list[tuple[BatchHead, list[bytes]]] = []
        for office in (OFFICE_SALES, OFFICE_VOUCHERS):
            self.open(office, "", b"", 0, at=0)

    def open(self, account: str, address: str, public_key: bytes, daily_cap: int, *, at: int) -> Account:
        """Add an account."""
        opened = Account(account, address, public_key, daily_cap, AccountState.OPEN, at, 0, 0, 0)
        self.accounts[account] = opened
        return opened

    def hold(self, account: str, stamps: int) -> None:
        """Change what an account holds."""
        current = self.accounts[account]
        self.accounts[account] = replace(current, held=current.held + stamps)

    def pay(self, kind: EntryKind, paid: Mapping[str, int], earned: Mapping[str, int], *, now: int) -> None:
        """Move what was settled (or, negative, refunded): from senders' accounts, to receivers by name."""
        _, at = daily_entry(kind, now=now)
        for sender, stamps in paid.items():
            self._post(sender, kind, "", -stamps, at=at)
            current = self.accounts[sender]
            self.accounts[sender] = replace(current, spent=current.spent + stamps)
        for name, stamps in earned.items():
            self._post(receiver_account(name), kind, "", stamps, at=at)

    def _post(self, account: str, kind: EntryKind, detail: str, amount: int, *, at: int) -> None:
        """Change a balance and say so in the account's entries; payments of one day are one entry."""
        current = self.accounts[account]
        balance = current.balance + amount
        self.accounts[account] = replace(current, balance=balance)
        entries = self.entries.setdefault(account, [])
        if entries and (entries[-1].kind, entries[-1].at) == (kind, at) and kind in _DAILY:
            entries[-1] = replace(entries[-1], stamps=entries[-1].stamps + amount, balance=balance)
        else:
            entries.append(Entry(len(entries) + 1, at, kind, amount, balance, detail))

    def credit(self, kind: EntryKind, detail: str, *, payer: str, payee: str, stamps: int, at: int) -> None:
        """Move stamps to an account, a batch of its own in the chain."""
        for account, amount in ((payer, -stamps), (payee, stamps)):
            self._post(account, kind, detail, amount, at=at)
        detail_hash = credit_detail(kind.value.encode(), payee, payer, stamps, detail, at)
        self.seal([detail_hash], Moved(sold=stamps if is_internal(payer) else 0), at=at)

    def seal(self, details: list[bytes], moved: Moved, *, at: int) -> None:
        """Add a batch to the chain."""
        last = self.batches[-1][0] if self.batches else None
        self.batches.append((next_head(last, details, moved, now=at), details))

    def begin_epoch(self, epoch_id: bytes, after: Sequence[Epoch] | None, *, at: int) -> BatchHead:
        """Begin a new epoch, unless one was begun `after` those; the newest link."""
        last = self.batches[-1][0] if self.batches else None
        if after is None or last is None or last.epochs == tuple(after):
            last = next_head(last, (), Moved(), now=at, begins=epoch_id)
            self.batches.append((last, []))
        return last

    def audit(self, open_holds: Iterable[tuple[str, int]]) -> Audit:
        """Recompute everything; `open_holds` are accounts and prices."""
        held: dict[str, int] = {}
        for account, price in open_holds:
            held[account] = held.get(account, 0) + price
        differences = [sentence for account in self.accounts.values() for sentence in self._check(account, held)]
        differences += self._check_chain()
        receivers = [
            entry for account, entries in self.entries.items() if account.startswith("receiver:") for entry in entries
        ]
        senders = [account for account in self.accounts.values() if account.public_key]
        return Audit(
            balanced=not differences,
            sold=-sum(account.balance for account in self.accounts.values() if is_internal(account.id)),
            settled=sum(entry.stamps for entry in receivers if entry.kind in _PAYMENTS),
            refunded=-sum(entry.stamps for entry in receivers if entry.kind is EntryKind.REFUND),
            held=sum(held.values()),
            outstanding=sum(account.balance for account in senders),
            differences=tuple(differences),
        )

    def _check_chain(self) -> Iterable[str]:
        totals = self.batches[-1][0].totals if self.batches else Totals()
        audit = ChainAudit(totals)
        for head, details in self.batches:
            yield from audit.link(head, head.hash, joined(details))
        yield from audit.end()

    def _check(self, account: Account, held: dict[str, int]) -> Iterable[str]:
        total = sum(entry.stamps for entry in self.entries.get(account.id, []))
        if total != account.balance:
            yield f"account {account.id}: its balance is {account.balance}, its postings sum to {total}"
        if account.held != held.get(account.id, 0):
            found = held.get(account.id, 0)
            yield f"account {account.id}: {account.held} noted as held, its open holds sum to {found}"
        if not is_internal(account.id) and not 0 <= account.held <= account.balance:
            yield f"account {account.id} holds {account.held} of a balance of {account.balance}"
