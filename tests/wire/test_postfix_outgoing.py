"""A real Postfix whose users' mail goes out by the gate, set up by the very file in config/postfix."""

import smtplib

import pytest
from tests.support import real_postfix
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import Town

ANN, FRIEND = "ann@example.org", "friend@elsewhere.example"
LETTER = (
    f"From: Ann <{ANN}>\r\nTo: {FRIEND}\r\nSubject: Hello\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    "Message-ID: <1@example.org>\r\n\r\nHow are you?\r\n"
)

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)


UNFINISHED = LETTER.replace(f"To: {FRIEND}", "To: friend, Carl <carl@elsewhere>").replace("Date:", "X-Date:")
"""What Postfix completes of its own users: at `submission`, if its settings say so, and nowhere else."""


@pytest.mark.parametrize("text", [LETTER, UNFINISHED], ids=["a letter", "one that Postfix would complete"])
def test_what_users_write_goes_out_untouched_and_their_friends_are_known(tmp_path, mail_server, text):
    submission, back, outgoing = free_port(), free_port(), free_port()
    lines = services("outgoing.master.cf", p2526=outgoing, p10027=back)
    lines = lines.replace("127.0.0.1]:2526", f"127.0.0.1]:{outgoing}").replace(
        "submission inet", f"127.0.0.1:{submission} inet"
    )
    world = {
        "transport_maps": f"inline:{{elsewhere.example=smtp:[127.0.0.1]:{mail_server.port}}}",
        "default_transport": "error",
        "mynetworks": "127.0.0.0/8",
    }
    lines = lines.replace(" smtpd\n", " smtpd\n    -o local_header_rewrite_clients=\n", 1)
    mail_server.forget()
    gate = f'domains = ["example.org"]\n[gate.outgoing]\nlisten = ["127.0.0.1:{outgoing}"]\n'
    town = Town.found(
        tmp_path,
        mail_server.port,
        f'upstream = "smtp://127.0.0.1:{mail_server.port}"\n{gate}upstream = "smtp://127.0.0.1:{back}"',
    )
    with Postfix(lines, world), town.serve() as served:
        with smtplib.SMTP("127.0.0.1", submission, timeout=60) as client:
            client.sendmail(ANN, [FRIEND], text)
        mail_server.until(lambda: bool(mail_server.fake.letters))
        served.wait_for(lambda line: line["event"] == "letter.outgoing")
        known = town.admin("correspondents", "list", "--user", ANN, "--with", FRIEND)
    [taken] = mail_server.letters
    above, _, body = taken.letter.partition(text.encode())
    assert body == b""
    assert {line.partition(b":")[0] for line in above.splitlines() if line[:1] not in b" \t"} == {b"Received"}
    assert b"pennyred" not in above.lower()
    assert known["last"] is not None
