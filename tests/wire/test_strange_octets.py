"""Whatever octets envelopes and letters bring, a gate answers alike over both kinds of state, and never by a mistake."""

import smtplib
from contextlib import closing

import pytest
from tests.support.postgres import any_version
from tests.support.real_postfix import free_port
from tests.support.town import ANN, BOB, Town

STRANGE = (b"a\0b", b"\xff", b"\xed\xa0\x80", "\U0010ffff".encode())
"""Of these PostgreSQL takes no NUL in a text, and nothing that is no UTF-8."""
PLACES = (
    b"From: %s <x@sender.example>",
    b"From: <%s@sender.example>",
    b"From: <x@%s.example>",
    b"Message-ID: <%s@sender.example>",
    b"In-Reply-To: <%s@example.org>",
    b"References: <a@b> <%s>",
    b"List-Id: <%s.example>",
    b"Final-Recipient: rfc822; %s@far.example",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=%s.example; s=s; h=from; bh=AAAA; b=AAAA",
    b"X-Postage-Stamp: v=1; a=ed25519-sha256; i=%s; c=x",
    b"X-Postage-Pass: v=1; d=%s; m=x",
    b"Auto-Submitted: %s",
)  # fmt: skip


def told(port: int, sender: bytes, to: bytes, octets: bytes) -> list[int]:
    """The codes of a transaction, raw: smtplib would not say such things."""
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as client:
        client.ehlo("client.example")
        codes = []
        utf8 = b" SMTPUTF8" if client.has_extn("smtputf8") else b""
        for line in (b"MAIL FROM:<%s>%s" % (sender, utf8), b"RCPT TO:<%s>" % to, b"DATA"):
            client.send(line + b"\r\n")
            codes.append(client.getreply()[0])
            if codes[-1] >= 400:
                return codes
        client.send(octets + b"\r\n\r\nText\r\n.\r\n")
        return [*codes, client.getreply()[0]]


def asked(town: Town, outgoing: int) -> dict[tuple[bytes, bytes], list[list[int]]]:
    found = {}
    for strange in STRANGE:
        for place in PLACES:
            octets = place % strange
            found[strange, place] = [
                told(town.gate_port, sender, BOB.encode(), octets) for sender in (b"", ANN.encode())
            ] + [told(outgoing, BOB.encode(), b"x@y.example", b"From: " + BOB.encode() + b"\r\n" + octets)]
        for envelope in (b"%s@example.org", b"x@%s.example.org", b'"%s"@example.org', b"bob+%s@example.org"):
            one = envelope % strange
            letter = b"From: x@y.example"
            found[strange, envelope] = [
                told(town.gate_port, b"x@y.example", one, letter), told(town.gate_port, one, BOB.encode(), letter),
                told(town.gate_port, b"", one, b"Auto-Submitted: auto-replied\r\n" + letter), told(outgoing, BOB.encode(), one, letter),
                told(outgoing, one, b"x@y.example", b"From: <" + one + b">"),
            ]  # fmt: skip
    return found


@pytest.mark.long
def test_both_kinds_of_state_answer_alike(tmp_path, mail_server, postgres_database):
    mail_server.forget()
    answers = []
    for name, state in (("sqlite", "sqlite:///gate.db"), ("postgresql", postgres_database(any_version()))):
        outgoing = free_port()
        town = Town.found(
            tmp_path / name,
            mail_server.port,
            f'upstream = "smtp://127.0.0.1:{mail_server.port}"\nstate = "{state}"\n'
            'nameservers = ["127.0.0.1:9"]\nmax_bad_stamps_per_minute = 60000\n[gate.authentication]\ncheck = "never"\n'
            f'[gate.outgoing]\nlisten = ["127.0.0.1:{outgoing}"]\nupstream = "smtp://127.0.0.1:{mail_server.port}"\n',
        )
        town.admin("permit", "add", BOB, "--domain=known.example")
        with town.serve() as served:
            answers.append(asked(town, outgoing))
        while (line := served._lines.get()) is not None:
            served.log.append(line)
        assert not [line for line in served.log if "exception" in line or not line["event"]]
    of_sqlite, of_postgresql = answers
    assert of_postgresql == of_sqlite
    assert {place: told for place, told in of_sqlite.items() if any(451 in codes for codes in told)} == {}
