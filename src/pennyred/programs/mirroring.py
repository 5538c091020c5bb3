"""The mirror of an office, at the gate of the same program: built from both, which do not know each other."""

import os
from collections.abc import Mapping
from typing import Any

from pennyred.config import GateSettings
from pennyred.gate.judging.nobody import NoAuthenticator
from pennyred.gate.memory.store import GateState
from pennyred.gate.mirror import Mirror
from pennyred.gate.policy import Check
from pennyred.gate.ports import Authenticator
from pennyred.office.office import Office
from pennyred.office.probes import Probes
from pennyred.programs.clock import clock


def build_mirror(mailbox: str, office: Office, state: GateState, authenticator: Authenticator, log: Any) -> Mirror:
    """Build the mirror for one worker's gate, and let the office open probes: the gate takes their letters."""

    def keys(selector: str) -> Mapping[str, bytes]:
        office.keys.look_for(selector)
        return office.keys.public_keys

    open_mirror(mailbox, office, state)
    return Mirror(mailbox, office.issuer, state.probes, authenticator, keys=keys, clock=clock, log=log)


def open_mirror(mailbox: str, office: Office, state: GateState) -> None:
    """Let the office open probes from now on."""
    office.probes = Probes(mailbox, state.probes, clock, os.urandom)


def mirrors_authenticator(gate: GateSettings, checker: Authenticator) -> Authenticator:
    """Who finds out for the mirror whether an author is proven: nobody where the gate is never to ask the DNS."""
    return NoAuthenticator() if Check(gate.authentication.check) is Check.NEVER else checker
