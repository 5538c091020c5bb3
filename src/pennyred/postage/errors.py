"""The exceptions of Penny Red: one tree, with two families, Malformed and Unavailable.

This module defines the general ones. A package that needs its own kind defines it there; all are in this tree::

    PennyRedError
    ├── Malformed            the input is not what it claims to be; nothing was done. Never retried.
    │   ├── MalformedStamp, MalformedLicence, MalformedLetter, MalformedAddress, MalformedReceipt
    │   ├── MalformedKey         KeyWithdrawn: the record says that the key is no longer valid
    │   ├── MalformedHeader      of the PROXY protocol; MalformedIdentity: of XCLIENT, XFORWARD
    │   ├── BadToken, KeyReused  in a request to an office
    │   ├── NoWallet, DamagedWallet, LostKey
    │   └── AmbiguousLetter      more than one letter in the quarantine has this name
    ├── Unavailable          something outside did not answer; always "later" (4xx, EX_TEMPFAIL), never "no"
    │   ├── Unreachable, PoolExhausted, NotTold
    │   │                        the mail server
    │   ├── LedgerTaken          another process owns the ledger's file
    │   ├── RequestRefused       an office did not do what a gate asked
    │   ├── NotAll               a command has done a part, or has to wait for one, and says which
    │   └── OutcomeUnknown       it may be done: whoever repeats it has to look first
    ├── SchemaError          a database that this version cannot use
    │   └── SchemaTooOld, SchemaTooNew, MigrationAltered, LedgerMoved
    ├── NotEmpty, NotTheSame, InUse, NotAState
    │                        a ledger, or a gate's state, cannot be moved
    ├── OfficeRefused        an office did not do what a sender asked; Refused: the same inside the office
    ├── RuleRefused, UnknownLetter
    │                        a command asks for something that does not exist or is not allowed
    ├── Untold               a command has done its work, but could not print the result
    └── DemoFailed

Expected outcomes (a stamp is spent, a balance is empty) are values, not exceptions: see `reasons` and `redemption`.
Every parser of this package accepts its input or raises a `Malformed`, and nothing else.
"""

from pennyred.postage.reasons import Reason


class PennyRedError(Exception):
    """The base class of all; never raised itself."""


class Malformed(PennyRedError, ValueError):  # noqa: N818 - it names a family of inputs
    """Input that does not parse; its text is safe to show to whoever sent it."""


class MalformedStamp(Malformed):
    """A stamp field that does not follow STAMP.md; `reason` is `malformed` or `unknown-version`."""

    def __init__(self, text: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(text)
        self.reason = reason


class MalformedLicence(Malformed):
    """A licence that does not follow STAMP.md."""


class MalformedLetter(Malformed):
    """Bytes that are no letter, or a letter beyond a limit."""


class MalformedAddress(Malformed):
    """A mailbox, path or domain that RFC 5321 does not allow."""


class MalformedReceipt(Malformed):
    """A receipt that does not follow STAMP.md 13."""


class MalformedKey(Malformed):
    """A key, key record or key file that cannot be read as one."""


class KeyWithdrawn(MalformedKey):
    """A key record that withdraws its key by an empty `p` (as in RFC 6376 section 3.6.1)."""


class Unavailable(PennyRedError):  # noqa: N818 - it is a state of the world, not a mistake
    """Something outside did not answer: try again later. `reason` is one of the "later" reasons.

    `is_silence` is False where the one who asks may have caused it, for example by asking too much or by a request that
    cannot be understood. Then a gate accepts nothing on trust because of it.
    """

    def __init__(self, reason: Reason, detail: str, *, is_silence: bool = True) -> None:
        super().__init__(detail)
        self.reason = reason
        self.is_silence = is_silence


class OutcomeUnknown(Unavailable):
    """It broke at the last moment: what was asked for may be done, and may do harm if it is done twice."""
