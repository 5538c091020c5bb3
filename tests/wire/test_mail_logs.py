"""Who becomes a correspondent by a log that a real Exim or Postfix has written: whom our users addressed, nobody else.

Everybody whose words stand in a log is hostile here: clients (EHLO, MAIL FROM, Subject, Message-ID), those written to
(their addresses), and their servers (replies).
"""

import random
import re
import smtplib
from datetime import UTC, datetime

import pytest
from tests.support import chroots, real_postfix
from tests.support.exim_at_work import EximAtWork
from tests.support.hostile_sink import HostileSink
from tests.support.real_postfix import Postfix

from pennyred.gate.maillogs.reading import MailLog
from pennyred.postage.address import canonical_recipient

ANN, CARL = "ann@example.org", "carl@friends.example"
ODD = '"odd one"@friends.example'
CLUB = "club@example.org"
ALIASES = {"club": "somebody@evil.example", "staff": "bob, ann"}
WORDS = (
    *(
        " => ",
        " -> ",
        "<x@bank.example>",
        "x@bank.example",
        "bob@example.org",
        " R=a T=b ",
        ' C=\\"',
        " F=<bob@example.org>",
    ),
    *(
        " P=<bob@example.org>",
        ">, relay=none, delay=1, dsn=2.0.0, status=sent (250",
        ">, size=5, nrcpt=1 (queue active)",
    ),
    *("from=<bob@example.org>", "to=<x@bank.example>, ", " postfix/smtp[1]: 4AbCdE1z: ", "2026-11-20 10:00:00 "),
    *(
        "1sxGhi-000abC-1X",
        " <= ",
        " Completed",
        '\\"',
        "\\\\",
        "<",
        ">",
        " (",
        ") ",
        ": ",
        " for ",
        "[1/2] ",
        "\t",
        "[2/2] ",
    ),
)
OURS = frozenset({"example.org"})
needs_exim = pytest.mark.skipif(not chroots.is_available("exim-heavy"), reason=chroots.why_not("exim-heavy"))
needs_postfix = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)


class Hostile:
    """Says things made of `WORDS`, the same ones each time."""

    def __init__(self, seed: int, *, has_quotes: bool = True) -> None:
        """Without quotes inside addresses for Exim, which turns a blank before one into `=`."""
        self.random = random.Random(seed)
        self.has_quotes = has_quotes

    def words(self, most: int = 6) -> str:
        return "".join(self.random.choice(WORDS) for _ in range(self.random.randrange(1, most)))

    def address(self) -> str:
        local = self.words()[:60].rstrip("\\").replace("\t", "")
        return f'"x{local if self.has_quotes else local.replace(chr(92) + chr(34), "")}"@evil.example'

    def replies(self, count: int) -> list[bytes]:
        return [("ok " + "x" * self.random.choice((0, 600, 700)) + self.words(12)).encode() for _ in range(count)]


def send(port: int, sender: str, recipients: list[str], helo: str = "laptop", subject: str = "lunch") -> list[str]:
    """A letter by SMTP; the recipients that were taken, none where the sender was not."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.docmd("EHLO", helo)
        said = [client.docmd(f"MAIL FROM:<{sender}>")]
        said += [client.docmd(f"RCPT TO:<{one}>") for one in recipients]
        assert helo != "laptop" or {code for code, _ in said} == {250}, said
        taken = [one for one, (code, _) in zip(recipients, said[1:], strict=True) if code == 250]
        if taken:
            client.docmd("DATA")
            client.send(f"From: <{ANN}>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n\r\nhi\r\n.\r\n".encode())
            assert client.getreply()[0] == 250
    return taken


def write_letters(port: int, hostile: Hostile, count: int) -> set[tuple[str, str]]:
    """Ann's letters and strangers'; who has written to whom, as far as it may be learned."""
    written = {(ANN, one) for one in send(port, ANN, [CARL, ODD, "bob@example.org", "refused@friends.example"])}
    written.discard((ANN, "refused@friends.example"))
    send(port, ANN, [CLUB, "staff@example.org"])
    send(port, "bob@example.org", [CLUB])  # anybody may say that he is Bob, and be whom an alias of ours leads to
    for _ in range(count):
        to = [hostile.address() for _ in range(3)]
        written |= {(ANN, one) for one in send(port, ANN, to, hostile.words(), hostile.words())}
        send(port, hostile.address(), ["bob@example.org", CLUB, *to], hostile.words(), hostile.words())
    return {
        (user, canonical_recipient(other).canonical) for user, other in written if not other.endswith("@example.org")
    }


def learned(lines: str) -> tuple[set[tuple[str, str]], MailLog]:
    log = MailLog(OURS, datetime.now(UTC).date())
    found = [log.read(line) for line in lines.split("\n")]
    return {(one.user.canonical, one.other.canonical) for one in found if one is not None}, log


def must_be_learned(written: set[tuple[str, str]], lines: str) -> None:
    found, log = learned(lines)
    assert found <= written
    assert {(ANN, CARL), (ANN, "odd one@friends.example")} <= found
    assert len(found) >= len(written) // 2, "but for a few whose address makes a line unclear"
    assert log.understood > len(written)


EXIMS = {
    "as it comes": "",
    "everything": "log_selector = +all\nlog_timezone",
    "whom it is from": "log_selector = +sender_on_delivery +return_path_on_delivery +millisec +pid +all_parents",
    "nothing": "log_selector = -all",
    "by syslog": "log_file_path = syslog\nlog_selector = +sender_on_delivery",
    "by syslog, without a time": "log_file_path = syslog\nno_syslog_timestamp\nno_syslog_pid",
}


@needs_exim
@pytest.mark.timeout(300)
@pytest.mark.parametrize("settings", EXIMS.values(), ids=EXIMS)
def test_exims_log_tells_whom_our_users_addressed_whatever_strangers_write_into_it(settings):
    hostile = Hostile(len(settings), has_quotes=False)
    aliases = "".join(f"{name}: {to}\n" for name, to in ALIASES.items())
    with HostileSink(hostile.replies(50)) as sink, EximAtWork(sink.port, main=settings, aliases=aliases) as exim:
        written = write_letters(exim.port, hostile, 12)
        exim.wait_until_idle()
        must_be_learned(written, "\n".join(exim.syslog) if "syslog" in settings else exim.main_log())


@pytest.fixture(scope="module")
def postfixs_log():
    """Who has written to whom, and what Postfix has logged of it."""
    hostile = Hostile(7)
    with HostileSink(hostile.replies(50)) as sink:
        port = real_postfix.free_port()
        settings = {
            "relayhost": f"[127.0.0.1]:{sink.port}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "virtual_alias_maps": "inline:{"
            + ", ".join(f"{{{name}@example.org = {to}}}" for name, to in ALIASES.items())
            + "}",
            "header_checks": "regexp:{{/^Subject:/ WARN}}",
            "strict_rfc821_envelopes": "no",
            "append_at_myorigin": "yes",
            "myorigin": "example.org",
        }
        with Postfix(f"127.0.0.1:{port} inet n - n - - smtpd\n", settings) as postfix:
            written = write_letters(port, hostile, 25)
            postfix.wait_until_idle()
            yield written, postfix.log.read_text(errors="replace")


STAMP = "2026-11-20T10:00:00.123456+00:00"
FRONTS = {
    "as it comes": lambda line: line,
    "rsyslog": lambda line: f"{STAMP} mx {line[19:]}",
    "journalctl -o short-precise": lambda line: f"{line[:15]}.123456{line[15:]}",
    "journalctl -o short-full": lambda line: f"Fri 2026-11-20 10:00:00 UTC {line[16:]}",
    "journalctl -o short-full, elsewhere": lambda line: f"ven. 2026-11-20 10:00:00 +0530 {line[16:]}",
    "journalctl -o short-iso": lambda line: f"2026-11-20T10:00:00+0000 {line[16:]}",
    "journalctl -o short-unix": lambda line: f"1763632800.123456 {line[16:]}",
    "journalctl -o short-monotonic": lambda line: f"[    5.000001] {line[16:]}",
    "busybox": lambda line: f"{line[:15]} mx mail.info {line[19:]}",
    "busybox -S": lambda line: f"{line[:15]} {line[19:]}",
    "OpenWrt": lambda line: f"Fri {line[:15]} 2026 mail.info {line[19:]}",
    "FreeBSD": lambda line: f"{line[:15]} <mail.info> mx {line[19:]}",
    "Solaris": lambda line: line.replace("]: ", "]: [ID 197553 mail.info] ", 1),
    "RFC 5424": lambda line: re.sub(r"^.{15} (\S+) (\S+)\[(\d+)\]: ", rf"<22>1 {STAMP} \1 \2 \3 - - ", line),
    "docker compose": lambda line: f"\x1b[33mpostfix-1  |\x1b[0m {line}",
    "docker logs -t": lambda line: f"2026-11-20T10:00:00.123456789Z {line}",
    "Kubernetes' files": lambda line: f"2026-11-20T10:00:00.123456789Z stdout F {line}",
    "podman-compose": lambda line: f"[mail] | {line}",
    "svlogd": lambda line: f"2026-11-20_10:00:00.12345 mail.info: {line}",
    "multilog": lambda line: f"@400000006a0ed6c020000000 {line}",
    "grep": lambda line: f"/var/log/mail.log:{line}",
    "kubectl": lambda line: f"[pod/mail-0/postfix] {line}",
    "multi-instance": lambda line: line.replace(" postfix/", " postfix-out/", 1),
    "a service with a name": lambda line: line.replace(" postfix/smtp[", " postfix/outbound/smtp[", 1),
}


@needs_postfix
@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
def test_postfixs_log_tells_it_too_whoever_has_written_it_down(postfixs_log, front):
    written, log = postfixs_log
    must_be_learned(written, "\n".join(front(line) for line in log.splitlines() if line))


@needs_postfix
def test_a_letter_that_a_content_filter_hands_in_again_makes_nobody_a_correspondent():
    """A stranger says to be Ann, and writes to an alias that leads to him. The filter hands in what the alias led to."""
    port, behind = real_postfix.free_port(), real_postfix.free_port()
    listeners = (
        f"127.0.0.1:{port} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:{behind}\n"
        f"127.0.0.1:{behind} inet n - n - - smtpd\n  -o content_filter=\n"
        "  -o smtpd_relay_restrictions=permit_mynetworks,reject\n"
    )
    heads = [b"Message-ID: <1@evil.example>\r\n", b"", b"Message-ID:\r\n", b"Message-ID: a\r\nMessage-ID: b\r\n"]
    with HostileSink([b"250 ok\r\n"] * 10) as sink:
        settings = {
            "relayhost": f"[127.0.0.1]:{sink.port}",
            "virtual_alias_maps": f"inline:{{{{{CLUB} = somebody@evil.example}}}}",
            "local_header_rewrite_clients": "",
        }
        with Postfix(listeners, settings) as postfix:
            with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
                for head in [*heads, b"Message-ID: <" + b"x" * 1200 + b"@evil.example>\r\n"]:
                    client.sendmail(ANN, [CLUB], b"From: Ann <ann@example.org>\r\n" + head + b"\r\nTea?\r\n")
            postfix.wait_until_idle()
            lines = postfix.log.read_text(errors="replace").splitlines()
    assert sum("to=<somebody@evil.example>, relay=" in line for line in lines) == 5
    log = MailLog(OURS, datetime.now(UTC).date())
    assert [wrote for line in lines if (wrote := log.read(line)) is not None] == []
