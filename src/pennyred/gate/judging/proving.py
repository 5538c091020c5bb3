"""Whether a letter's author is proven to have sent what was received.

Asked only where a stamped letter was altered, and its stamp holds but for that (`stamps.hangs_on_proof`).
"""

from pennyred.gate.judging.standing import Judgement
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import Check, GatePolicy
from pennyred.gate.ports import Authenticator
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.postage.alteration import Proof
from pennyred.postage.letter import HeaderSection

_SIGNATURES = frozenset((b"dkim-signature", b"arc-seal"))


async def prove_author(
    judgement: Judgement, letter: Letter, envelope: Envelope, policy: GatePolicy, authenticator: Authenticator
) -> Proof:
    """Whether a signature over what was received proves the author, or may prove it when the DNS answers again.

    The DNS is asked unless it was asked for the rules already, or the gate is never to ask. What was found is the
    letter's authentication from now on.
    """
    if judgement.authentication is UNPROVEN and policy.check is not Check.NEVER:
        judgement.authentication = await authenticator.authenticate(letter, envelope, is_vital=True)
    return proof_by(judgement.authentication, letter.header)


def proof_by(found: Authentication, header: HeaderSection) -> Proof:
    """Whether what was found proves the author of the text as it was received."""
    if found.is_author_signed:
        return Proof.YES if found.is_id_signed else Proof.WITHOUT_ID
    return Proof.SILENT if found.might_be_signed and _is_signed(header) else Proof.NO


def _is_signed(header: HeaderSection) -> bool:
    """Whether there is anything that the DNS could have proven the author by."""
    return header.has_any(_SIGNATURES)
