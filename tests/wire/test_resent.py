"""The same stamped letter by two paths, through a started gate: delivered once, charged once, and the sender is told."""

import calendar
import re
import time

from tests.support.town import BOB, Town, letter

BY_THE_OTHER_PATH = b"Received: from relay.example by mx2.sender.example; Mon, 30 Nov 2026 10:00:00 +0000\r\n"


def by_another_path(stamped: bytes) -> bytes:
    """What a provider makes of it that gives letters a Message-ID of its own."""
    return BY_THE_OTHER_PATH + re.sub(rb"(?mi)^Message-ID: .*$", b"Message-ID: <anew@provider.example>\r", stamped)


def test_the_second_copy_is_refused_as_resent_and_names_the_time(tmp_path, mail_server):
    mail_server.forget()
    town, begun = Town.found(tmp_path, mail_server.port), time.time()
    with town.serve() as running:
        town.fund(10)
        stamped = town.stamped(letter(), BOB)
        assert town.send(stamped, BOB)[0] == 250
        code, text = town.send(by_another_path(stamped), BOB)
        assert code == 550
        told = re.search(r"this text was delivered there at (\S+ \S+) UTC; not charged again \(resent\)", text)
        assert told
        assert begun // 60 * 60 <= calendar_seconds(told[1]) <= time.time()
        running.wait_for(lambda line: line["event"] == "letter" and line.get("reason") == "resent")
    with town.serve():  # and so it is told by a gate that was started anew
        code, text = town.send(by_another_path(stamped), BOB)
        assert (code, "(resent)" in text) == (550, True)
        code, text = town.send(stamped, BOB)
        assert (code, "(duplicate)" in text) == (250, True)
        code, text = town.send(by_another_path(stamped) + b"Buy pills!\r\n", BOB)
        assert (code, "(altered-body)" in text) == (550, True)
    assert len(mail_server.letters) == 1
    audit = town.audit()
    assert (audit["balanced"], audit["settled"], audit["held"]) == (True, 1, 0)


def calendar_seconds(told: str) -> float:
    """Seconds since 1970 of a time like 2026-11-30 22:05, UTC."""
    return calendar.timegm(time.strptime(told, "%Y-%m-%d %H:%M"))
