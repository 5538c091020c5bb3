"""What the gate adds to a letter and takes from it; everything else goes through byte for byte."""

from collections.abc import Collection, Sequence

from pennyred.gate.judging.standing import Standing
from pennyred.gate.letterbox import Envelope
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules.authres import KEY, authentication_results_field, to_take_out
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.passes import mint_pass
from pennyred.postage.letter import PASS_FIELD, Field, HeaderSection

_PASS_KEY = PASS_FIELD.lower()


def added_fields(
    policy: GatePolicy, standings: Sequence[Standing], authentication: Authentication, *, day: int
) -> bytes:
    """The fields to prepend: what was found (RFC 8601), and a pass for each recipient that has earned one.

    Only what was held or counted for this very delivery has (`Standing.deserves_pass`). Else a gate that asks for
    nothing, or whose rules are others, would give away what its sister is there to ask for.
    """
    results = {(standing.reason, standing.altered) for standing in standings}
    fields = [authentication_results_field(policy.hostname, results, authentication.findings)]
    if policy.pass_key is not None:
        fields += [mint_pass(policy.pass_key, one.letter_hash, day) for one in standings if one.deserves_pass]
    return b"".join(fields)


def kept_header(policy: GatePolicy, header: HeaderSection, envelope: Envelope, passes: Collection[Field]) -> bytes:
    """The header section less fields that claim to be this gate's own: its results, passes that do not verify.

    What trusted fronts write under the names they are known by stays, and is taken out where others have written it.
    """
    results, claimed = header.named(KEY), header.named(_PASS_KEY)
    if not results and not claimed:
        return header.raw
    ours = {policy.hostname}
    ours = ours - policy.fronts if envelope.is_from_front else ours | policy.fronts
    forged = to_take_out(results, tuple(ours)).union(field for field in claimed if field not in passes)
    return b"".join(field.raw for field in header.fields if field not in forged) if forged else header.raw
