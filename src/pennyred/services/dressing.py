"""What the gate adds to a letter and takes from it; everything else goes through byte for byte."""

from collections.abc import Collection, Sequence

from pennyred.postage.authentication import Authentication
from pennyred.postage.authres import KEY, authentication_results_field, to_take_out
from pennyred.postage.letter import PASS_FIELD, Field, HeaderSection
from pennyred.postage.passes import mint_pass
from pennyred.postage.reasons import Kind, Reason
from pennyred.services.gatepolicy import GatePolicy
from pennyred.services.letterbox import Envelope
from pennyred.services.standing import Standing


def added_fields(
    policy: GatePolicy, standings: Sequence[Standing], authentication: Authentication, *, day: int
) -> bytes:
    """The fields to prepend: what was found (RFC 8601), and a pass for each recipient, for sister gates to believe.

    A recipient that is due gets none (in monitor mode such a letter goes through), nor one that bears a valid one.
    """
    reasons = frozenset(standing.reason for standing in standings)
    fields = [authentication_results_field(policy.hostname, reasons, authentication.findings)]
    if policy.pass_key is not None:
        fields += [
            mint_pass(policy.pass_key, standing.letter_hash, day)
            for standing in standings
            if standing.letter_hash and standing.reason is not Reason.PASS and standing.reason.kind is not Kind.DUE
        ]
    return b"".join(fields)


def kept_header(policy: GatePolicy, header: HeaderSection, envelope: Envelope, passes: Collection[Field]) -> bytes:
    """The header section less fields that claim to be this gate's own: its results, passes that do not verify.

    What trusted fronts write under the names they are known by stays, and is taken out where others have written it.
    """
    ours = {policy.hostname}
    ours = ours - policy.fronts if envelope.is_from_front else ours | policy.fronts
    forged = to_take_out(header.named(KEY), tuple(ours))
    forged |= {field for field in header.named(PASS_FIELD.lower()) if field not in passes}
    return b"".join(field.raw for field in header.fields if field not in forged) if forged else header.raw
