"""Whether the author of a letter at hand is proven, for `verify`: by its signatures, as a gate asks for their keys."""

from collections.abc import Iterator
from dataclasses import dataclass

from pennyred.config import GateSettings
from pennyred.config.settings import AuthenticationSettings
from pennyred.postage.alteration import Proof
from pennyred.postage.canonical import body_hashes
from pennyred.postage.letter import HeaderSection, parse_header, split_letter


@dataclass(frozen=True, slots=True)
class _AtHand:
    """A whole letter, as the checker reads one (`gate.letterbox.Letter`)."""

    header: HeaderSection
    below: bytes
    size: int
    milliseconds: int = 0

    @property
    def body_hash(self) -> bytes:
        """Of the body, as stamps bind it."""
        return body_hashes(self.below)[0]

    @property
    def relaxed_hash(self) -> bytes:
        """Of the body, as DKIM has it relaxed."""
        return body_hashes(self.below)[1]

    def body(self) -> Iterator[bytes]:
        """What follows the header section, the empty line first."""
        yield b"\r\n" + self.below


async def proof_of(letter: bytes, gate: GateSettings | None) -> Proof:
    """Whether DKIM proves the author of what is there, or ARC by a sealer whom this gate's settings name.

    The name servers are those of the settings too, else the system's. Of the way by which the letter came nothing is
    known: neither SPF nor a front is believed.
    """
    # These bring a DNS library and dkimpy, which are slow to load, and rarely needed.
    from pennyred.gate.authentication.checker import Checker  # noqa: PLC0415
    from pennyred.gate.judging.proving import proof_by  # noqa: PLC0415
    from pennyred.gate.letterbox import Envelope  # noqa: PLC0415

    how = gate.authentication if gate else AuthenticationSettings()
    checker = Checker(
        timeout_seconds=how.timeout_seconds,
        nameservers=gate.nameservers if gate else (),
        trusted_sealers=how.arc_sealers,
    )
    section, body = split_letter(letter)
    at_hand = _AtHand(parse_header(section), body, len(letter))
    try:
        found = await checker.authenticate(at_hand, Envelope(b"", (), "", source_known=False))
    finally:
        checker.close()
    return proof_by(found, at_hand.header)
