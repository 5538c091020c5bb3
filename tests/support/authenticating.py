"""Letters as the gate has received them, and what is found out about them with a name server of the test's own."""

import asyncio

from pennyred.gate.authentication.checker import Checker
from pennyred.gate.letterbox import Envelope
from pennyred.gate.smtp.spool import Spool, SpoolLimits

AUTHOR = b"ann@example.org"
CLIENT = "192.0.2.7"

LETTER = (
    b"From: Ann <ann@example.org>\r\n"
    b"To: bob@example.net\r\n"
    b"Subject: lunch\r\n"
    b"Date: Mon, 1 Jun 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"\r\n"
    b"At noon?\r\n"
    b"\r\n"
)


def received(letter, *, memory_bytes_max=1024 * 1024, piece_bytes=1024 * 1024):
    """The letter in the gate's hands."""
    spool = Spool(SpoolLimits(200 * 2**20, memory_bytes_max=memory_bytes_max))
    for start in range(0, len(letter), piece_bytes):
        spool.write(letter[start : start + piece_bytes])
    return spool.finish(0)


def envelope(sender=AUTHOR, *, source=CLIENT, helo="mx.example.org", source_known=True, is_from_front=False):
    return Envelope(sender, (b"bob@example.net",), source, source_known, helo, is_from_front=is_from_front)


def authenticate(server, letter, env=None, **settings):
    """What is found out about one letter; a mistake inside is raised, not hidden."""
    return authenticate_all(server, [letter], env, **settings)[0]


def authenticate_all(server, letters, env=None, **settings):
    """The same for many letters at once."""
    mistakes = []

    async def run():
        checker = Checker(
            **{"nameservers": [server.address], "timeout_seconds": 10, "on_error": mistakes.append, **settings}
        )
        in_hand = [received(letter) if isinstance(letter, bytes) else letter for letter in letters]
        try:
            return await asyncio.gather(*(checker.authenticate(letter, env or envelope()) for letter in in_hand))
        finally:
            checker.close()
            for letter, given in zip(in_hand, letters, strict=True):
                if letter is not given:
                    letter.close()

    found = asyncio.run(run())
    if mistakes:
        raise mistakes[0]
    return found


def results(found, method):
    """The words of one method, in their order."""
    return [str(finding.result) for finding in found.findings if finding.method == method]
