"""Asks a mail server what it would do for strangers, without sending a letter: for `pennyred check`."""

import asyncio
from dataclasses import dataclass, replace

from pennyred.failures import lasts, what
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.addresses import Address, AddressBook
from pennyred.gate.upstream.connection import Connection, NotTold, Refused, connect
from pennyred.gate.upstream.dialogue import OWN_SESSION
from pennyred.gate.upstream.endpoint import IdentityMode, UpstreamOptions
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.postage.errors import Unavailable

STRANGER = ClientIdentity("192.0.2.1", helo="stranger.example.net")
"""A client that nobody can know: an address of TEST-NET-1 (RFC 5737) and a reserved name (RFC 2606)."""
STRANGERS = {
    "IPv6 clients": STRANGER._replace(address="2001:db8::1", destination="2001:db8::25", destination_port=25),
    "clients with a host name": STRANGER._replace(
        name=STRANGER.helo, reverse_name=STRANGER.helo, is_reverse_known=True
    ),
    "clients that say HELO": STRANGER._replace(protocol="SMTP"),
}
"""Other kinds of clients, which a mail server may not understand; the IPv6 addresses are of RFC 3849."""
_ERROR_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out; if `error` is set, nothing else is known."""

    error: str = ""
    is_lasting: bool = False
    """Whether the error stays until somebody mends it."""
    can_be_told: bool = False
    """Whether the mail server can be told of clients in the way that is set."""
    is_open_relay: bool = False
    put_off: str = ""
    """Its temporary refusal of strangers' mail, if there is one. Then nobody's mail is taken, or it is not known
    whether it is an open relay.
    """
    denied: str = ""
    """The reply with which it refuses to send to other domains; empty if it does not refuse."""
    not_understood: tuple[tuple[str, str], ...] = ()
    """Kinds of `STRANGERS` that it does not understand, so that it never takes their mail; each with its reply."""
    knows_no_chunks: bool = False
    """Whether it offers CHUNKING, and BDAT is no command to it."""
    silent: tuple[str, ...] = ()
    """The errors of addresses that do not answer, if others do."""


async def probe_upstream(options: UpstreamOptions, foreign_recipient: str) -> Probe:
    """Connect as the gate does for a stranger, and name a foreign recipient. DATA is never said.

    Each address of the mail server's name is asked.
    """
    book = AddressBook(options.endpoint, asyncio.get_running_loop().time)
    try:
        addresses = await book.in_order()
    except (OSError, TimeoutError, UnicodeError) as error:
        return Probe(f"upstream: {options.endpoint.host}: {what(error)}", is_lasting=lasts(error))
    finally:
        await book.close()
    probes = await asyncio.gather(*(_probed(options, address, foreign_recipient) for address in addresses))
    silent = tuple(probe.error for probe in probes if probe.error)
    answering = [probe for probe in probes if not probe.error]
    if not answering:
        return replace(probes[0], error="; ".join(silent)[:_ERROR_CHARACTERS_MAX])
    untold = [probe for probe in answering if not probe.can_be_told]
    if untold:
        return replace(untold[0], silent=silent)
    return replace(
        max(answering, key=lambda one: len(one.not_understood)),
        is_open_relay=any(probe.is_open_relay for probe in answering),
        put_off=next((probe.put_off for probe in answering if probe.put_off), ""),
        denied=next((probe.denied for probe in answering if probe.denied), ""),
        knows_no_chunks=any(probe.knows_no_chunks for probe in answering),
        silent=silent,
    )


async def _probed(options: UpstreamOptions, address: Address, foreign_recipient: str) -> Probe:
    try:
        probe = await _asked(options, address, STRANGER, foreign_recipient)
    except Unavailable as error:
        return _failed(error)
    if not probe.can_be_told or options.identity is IdentityMode.NONE:
        return probe
    found = []
    for kind, stranger in STRANGERS.items():
        try:
            one = await _asked(options, address, stranger, foreign_recipient)
        except NotTold as error:
            found.append((kind, _shown(error)))
        except Unavailable as error:
            # A server that does not understand a PROXY header stays silent; it has just answered another stranger.
            if options.identity is not IdentityMode.PROXY:
                return _failed(error)
            found.append((kind, _shown(error)))
        else:
            # An answer to this one counts: the first stranger had no name, and that alone may delay a client.
            put_off = probe.put_off and one.put_off
            probe = replace(probe, is_open_relay=probe.is_open_relay or one.is_open_relay, put_off=put_off)
    return replace(probe, not_understood=tuple(found))


async def _asked(options: UpstreamOptions, address: Address, stranger: ClientIdentity, foreign_recipient: str) -> Probe:
    connection = await connect(options, address)
    try:
        return await _ask(connection, stranger, foreign_recipient)
    finally:
        connection.quit()
        await connection.wait_closed()


async def _ask(connection: Connection, stranger: ClientIdentity, foreign_recipient: str) -> Probe:
    try:
        await connection.open(stranger)
        if connection.offered is not None and not connection.offered.can_be_told(connection.options.identity):
            return Probe()
        await connection.tell(stranger)
    except Refused:
        return Probe(can_be_told=True)
    # The null sender: any other's domain might be refused, and that would say nothing of recipients.
    lines = [b"MAIL FROM:<>", b"RCPT TO:<%s>" % foreign_recipient.encode("ascii")]
    begun, answer = await connection.begin(stranger, lines)
    if replies.is_closing(answer):
        raise connection.trouble(answer.text)
    command, answer = ("RCPT", answer) if replies.is_success(begun) else ("MAIL", begun)
    said = _printable(f"{connection.where}: {command}: {answer.text}")
    return Probe(
        can_be_told=True,
        is_open_relay=replies.is_success(answer),
        put_off=said if replies.is_temporary(answer) else "",
        denied=said if replies.is_denial(answer) else "",
        knows_no_chunks=stranger is STRANGER and await _knows_no_chunks(connection),
    )


async def _knows_no_chunks(connection: Connection) -> bool:
    """Say BDAT out of turn, which a mail server that knows it refuses by another code than an unknown command."""
    if not connection.takes_chunks or not await connection.reset():
        return False
    try:
        [answer] = await connection.exchange([b"BDAT 0 LAST"])
    except Unavailable:
        return True
    return replies.is_unknown_command(answer)


def _failed(error: Unavailable) -> Probe:
    text = _shown(error)
    return Probe(text, is_lasting=lasts(error) or OWN_SESSION in text)


def _shown(error: Unavailable) -> str:
    return _printable(str(error))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:_ERROR_CHARACTERS_MAX]
