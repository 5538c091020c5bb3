"""What can go wrong that is not an outcome.

Here are the two families, and what they are of by default; a room that has a kind of its own names it there::

    PennyRedError
    ├── Malformed            the input is not what it claims to be; nothing was done. Never retried.
    │   ├── MalformedStamp, MalformedLicence, MalformedLetter, MalformedAddress, MalformedReceipt
    │   ├── MalformedKey         KeyWithdrawn: the record says that it counts no more
    │   ├── MalformedHeader      of the PROXY protocol; MalformedIdentity: of XCLIENT, XFORWARD
    │   ├── BadToken, KeyReused  a request to an office
    │   ├── NoWallet, DamagedWallet, LostKey
    │   └── AmbiguousLetter      in the quarantine: more than one has this name
    ├── Unavailable          the world did not answer; always "later" (4xx, EX_TEMPFAIL), never "no"
    │   ├── Unreachable, PoolExhausted, NotTold
    │   │                        the mail server
    │   └── RequestRefused       an office did not do what a gate asked
    ├── SchemaError          a database that this version cannot work on
    │   └── SchemaTooOld, SchemaTooNew, MigrationAltered, LedgerMoved
    ├── NotEmpty, NotTheSame, InUse, NotAState
    │                        a ledger, or a gate's state, that cannot be moved
    ├── OfficeRefused        an office did not do what a sender asked; Refused: the office's own word for it
    ├── RuleRefused, UnknownLetter
    │                        a command that asks for what is not there
    ├── Untold               a command has done what it was to, and could not say so
    └── DemoFailed

Expected outcomes (a stamp is spent, a balance is empty) are values, not exceptions: see `reasons` and `redemption`.
Every parser of this package accepts its input or raises a `Malformed`, and nothing else.
"""

from pennyred.postage.reasons import Reason


class PennyRedError(Exception):
    """The base of all; never raised itself."""


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
    """Bytes that are no letter, or that exceed a limit of one."""


class MalformedAddress(Malformed):
    """A mailbox, path or domain that RFC 5321 does not allow."""


class MalformedReceipt(Malformed):
    """Not a receipt (STAMP.md 13)."""


class MalformedKey(Malformed):
    """A key, key record or key file that cannot be read as one."""


class KeyWithdrawn(MalformedKey):
    """A key record that says that the key counts no more (RFC 6376 section 3.6.1, an empty `p`)."""


class Unavailable(PennyRedError):  # noqa: N818 - it is a state of the world, not a mistake
    """Something outside did not answer: try again later. `reason` is one of the "later" reasons.

    `is_silence` is False where that may be the doing of whoever wants something, as he asks for too much or for what
    nobody understands: then nothing is given on trust for it.
    """

    def __init__(self, reason: Reason, detail: str, *, is_silence: bool = True) -> None:
        super().__init__(detail)
        self.reason = reason
        self.is_silence = is_silence
