"""One structured line a letter: who, to whom, by which rule, with which stamps, what the mail server said, how long.

Addresses are in it, as in any mail log; salts, keys and tokens are not.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from pennyred.gate.judging.standing import Standing
from pennyred.gate.letterbox import Answer, Due, Duplicate, Envelope, Later, Letter, Relay
from pennyred.gate.timing import Phase, Stopwatch
from pennyred.postage.redemption import Hold, Settle

RECIPIENTS_LOGGED_MAX = 100


class Logger(Protocol):
    """What is needed of a logger."""

    def info(self, event: str, **fields: Any) -> object: ...  # noqa: D102
    def warning(self, event: str, **fields: Any) -> object: ...  # noqa: D102
    def error(self, event: str, **fields: Any) -> object: ...  # noqa: D102


class LetterLog:
    """Writes what became of letters; fields are named here once."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def answered(
        self,
        letter: Letter,
        envelope: Envelope,
        standings: Sequence[Standing],
        answer: Answer,
        times: Stopwatch,
    ) -> None:
        """A letter has its answer."""
        self._logger.info(
            "letter",
            **_letter(letter, envelope),
            recipients=[_recipient(envelope, one) for one in standings[:RECIPIENTS_LOGGED_MAX]],
            recipients_total=len(envelope.recipients),
            **_answer(answer),
            **_times(times),
        )

    def unjudged(self, letter: Letter, envelope: Envelope, error: Exception) -> None:
        """In monitor mode, a letter could not be judged and went through all the same."""
        self._logger.error("letter.not_judged", **_letter(letter, envelope), exc_info=error)

    def uncounted(self, error: Exception) -> None:
        """A letter has its answer and could not be counted: a mistake of ours."""
        self._logger.error("letter.not_counted", exc_info=error)

    def went_out(self, letter: Letter, envelope: Envelope, answer: Answer) -> None:
        """A letter of our users' has gone on, or not."""
        to = [_text(mailbox) for mailbox in envelope.recipients[:RECIPIENTS_LOGGED_MAX]]
        self._logger.info("letter.outgoing", **_letter(letter, envelope), to=to, **_answer(answer))

    def unlearned(self, why: str) -> None:
        """An outgoing letter has gone on, but whom it went to could not be noted."""
        self._logger.warning("correspondents.not_learned", why=why)

    def crowded_out(self, letters: int, network: str) -> None:
        """Copies of refused letters went before their time, mostly those of a network."""
        self._logger.warning("quarantine.crowded_out", letters=letters, network=network)

    def left_out(self, copies: int, letter_bytes: int, most_bytes: int) -> None:
        """A letter is too long for copies of it to be kept; its sender is told "later"."""
        self._logger.error("quarantine.not_kept", copies=copies, bytes=letter_bytes, most=most_bytes)

    def waiting(self, settles: Sequence[Settle], why: str) -> None:
        """Settlements wait in the outbox: once a letter, so that a growing outbox is seen."""
        self._logger.warning("outbox.waiting", stamps=len(settles), why=why)

    def remembered(self, settles: Sequence[Settle], why: str) -> None:
        """Neither the office nor the outbox can be written: a disk is full, and a kill would cost what stands here."""
        self._logger.error("outbox.in_memory_only", stamps=len(settles), why=why)

    def made_up(self, stamps: int) -> None:
        """The office has answered what waited in the outbox."""
        self._logger.info("outbox.settled", stamps=stamps)

    def unsettled(self, settles: Sequence[Settle], why: str) -> None:
        """Letters were delivered whose stamps were not settled: the receiver loses what they are worth."""
        for settle in settles:
            self._logger.error("stamp.not_settled", account=settle.account, serial=settle.serial.hex(), why=why)

    def trusted(self, holds: Sequence[Hold], why: str) -> None:
        """Stamps are accepted though their office does not answer."""
        accounts = sorted({hold.stamp.account for hold in holds})
        self._logger.warning("trust.accepted", stamps=len(holds), accounts=accounts, why=why)

    def redeemed(self, issuer: str, stamps: int) -> None:
        """The office has paid what was accepted on trust."""
        self._logger.info("trust.redeemed", issuer=issuer, stamps=stamps)

    def unredeemed(self, settles: Sequence[Settle], why: str) -> None:
        """Letters were delivered on trust whose stamps the office will not pay."""
        for settle in settles:
            self._logger.error("stamp.not_redeemed", account=settle.account, serial=settle.serial.hex(), why=why)


def _letter(letter: Letter, envelope: Envelope) -> dict[str, Any]:
    return {
        "source": envelope.source_ip,
        "helo": envelope.helo,
        "sender": _text(envelope.sender),
        "bytes": letter.size,
        "receive_ms": letter.milliseconds,
    }


def _recipient(envelope: Envelope, standing: Standing) -> dict[str, Any]:
    """One recipient: its reason and its stamp; which row of the table of alterations the stamp's letter has come to,
    and what was altered on its way.
    """
    told: dict[str, Any] = {"to": _text(envelope.recipients[standing.index]), "reason": standing.reason}
    stamp, verdict = standing.paid_by, standing.verdict
    if stamp is not None:
        told["issuer"], told["account"], told["serial"] = stamp.issuer, stamp.account, stamp.serial.hex()
    elif standing.seen is not None:
        told["stamp"] = standing.seen
    if verdict is not None and verdict.row is not None:
        told["row"] = verdict.row
        if verdict.altered:
            told["altered"] = list(verdict.altered)
    return told


def _times(times: Stopwatch) -> dict[str, float]:
    """How long the gate's own phases took; the client's and the mail server's are told beside them."""
    return {
        "judge_ms": times.milliseconds(Phase.JUDGE),
        "hold_ms": times.milliseconds(Phase.HOLD),
        "settle_ms": times.milliseconds(Phase.SETTLE),
        "total_ms": round(times.total_seconds * 1000, 1),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    match answer:
        case Relay(delivered):
            said = delivered.reply.text if delivered.reply else ""
            fates = sorted(set(delivered.fates))
            return {
                "answer": "relay",
                "fate": ",".join(fates),
                "upstream": said,
                "upstream_ms": delivered.milliseconds,
                "detail": delivered.detail,
            }
        case Duplicate():
            return {"answer": "duplicate"}
        case Due(recipient, reason, altered=altered, delivered_at=delivered_at):
            told = {"answer": "due", "reason": reason, "recipient": recipient}
            told |= {"altered": list(altered)} if altered else {}
            return told | ({"delivered_at": delivered_at} if delivered_at is not None else {})
        case Later(reason, reference):
            return {"answer": "later", "reason": reason, "reference": reference}


def _text(mailbox: bytes) -> str:
    return mailbox.decode("utf-8", "backslashreplace")
