"""The gate with its mail server behind it, a DNS that has the senders' records, and a clock that goes on by days."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.dkim_keys import DkimKey, ed25519_key, rsa_key, sign
from tests.support.dns_server import DnsServer
from tests.support.mailserver import MailServer
from tests.support.moving_clock import MovingClock
from tests.support.program import Served
from tests.support.real_postfix import free_port
from tests.support.town import Town

from .cast import ALLOWANCE, FORWARDER, FORWARDER_ADDRESS, OURS, Part

SECONDS_PER_DAY = 86_400
SETTINGS = """upstream = "smtp://127.0.0.1:{upstream}"
mode = "{mode}"
domains = ["{ours}"]
trusted_fronts = ["127.0.0.1/32"]
nameservers = ["{host}:{port}"]
forwarders = {{"{forwarder}" = ["{forwarder_address}/32"]}}

[gate.allowance]
per_day = {allowance}

[gate.quarantine]

[gate.outgoing]
listen = ["127.0.0.1:{outgoing}"]
upstream = "smtp://127.0.0.1:{upstream}"
"""


def keys_of(parts: Iterable[Part]) -> dict[str, DkimKey]:
    """Each signing domain's key, RSA or Ed25519."""
    return {part.signer: ed25519_key() if part.is_ed25519 else rsa_key() for part in parts if part.signer}


def as_sent(part: Part, keys: dict[str, DkimKey]) -> bytes:
    """The letter, signed where its sender signs."""
    if not part.signer:
        return part.letter
    return sign(part.letter, part.signer, "s1", keys[part.signer])


def zone_of(parts: Iterable[Part], keys: dict[str, DkimKey]) -> dict[str, dict[str, list[str]]]:
    """The DNS of all senders: DKIM keys, SPF, and DMARC where a domain asks for it."""
    addresses: dict[str, dict[str, None]] = {}
    for part in parts:
        if part.spf:
            addresses.setdefault(part.spf, {})[part.source] = None
    zone = {
        domain: {"TXT": [" ".join(["v=spf1", *(f"ip4:{one}" for one in found), "-all"])]}
        for domain, found in addresses.items()
    }
    for domain, key in keys.items():
        zone[f"s1._domainkey.{domain}"] = {"TXT": [key.txt]}
        zone[f"_dmarc.{domain}"] = {"TXT": ["v=DMARC1; p=none"]}
    return zone


class Stage:
    """A context manager: one mode's gate, from a Monday's noon on."""

    def __init__(self, folder: Path, mode: str, parts: list[Part]) -> None:
        self.parts = parts
        self.keys = keys_of(parts)
        self._folder = folder
        self._mode = mode
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Stage":
        self._folder.mkdir(parents=True)
        self.clock = MovingClock(self._folder / "clock")
        self.go_to_day(0)
        self._stack.enter_context(self.clock.for_programs())
        dns = self._stack.enter_context(DnsServer(zone_of(self.parts, self.keys)))
        self.server = self._stack.enter_context(MailServer())
        self.outgoing_port = free_port()
        host, port = dns.address
        self._settings = SETTINGS.format(
            mode=self._mode,
            ours=OURS,
            host=host,
            port=port,
            forwarder=FORWARDER,
            forwarder_address=FORWARDER_ADDRESS,
            allowance=ALLOWANCE,
            outgoing=self.outgoing_port,
            upstream=self.server.port,
        )
        self.town = Town.found(self._folder / "town", self.server.port, self._settings)
        self.served = self._stack.enter_context(Served(self.town.settings))
        self.town.fund(100)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def close_for_the_day(self) -> None:
        """End the gate, which then has written down what it has counted."""
        self.served.__exit__()

    def go_to_day(self, day: int) -> None:
        """Noon of that day, so that no midnight falls into what is replayed of it.

        The first is tomorrow's: letters are signed by the machine's own clock, and a signature of the future is none.
        """
        now = int(time.time())
        noon = now - now % SECONDS_PER_DAY + SECONDS_PER_DAY * 3 // 2
        self.clock.move(noon + day * SECONDS_PER_DAY - now)
