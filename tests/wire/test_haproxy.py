"""A real HAProxy in front of the gate, by the file in config/haproxy: the gate knows its clients."""

import shutil
import smtplib
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.bench.sink import wait_for_port
from tests.support.mailserver import MailServer
from tests.support.real_postfix import free_port
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs HAProxy (apt-get install haproxy)")

RECIPE = Path(__file__).parents[2] / "config/haproxy/haproxy.cfg"
CLIENT = "127.0.0.77"


def test_the_gate_behind_haproxy_knows_its_clients(tmp_path):
    front = free_port()
    with MailServer() as server:
        town = Town.found(
            tmp_path,
            server.port,
            'trusted_fronts = ["127.0.0.1/32"]\nfronts_speak = "proxy"\nupstream_identity = "none"',
        )
        recipe = RECIPE.read_text()
        for written, here in (
            ("bind :25", f"bind 127.0.0.1:{front}"),
            ("192.0.2.11:2525", f"127.0.0.1:{town.gate_port}"),
        ):
            assert written in recipe
            recipe = recipe.replace(written, here)
        (tmp_path / "haproxy.cfg").write_text(recipe)
        with town.serve() as served:
            haproxy = subprocess.Popen(["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"], stderr=subprocess.DEVNULL)
            try:
                wait_for_port(front, haproxy)
                town.fund(1)
                with closing(smtplib.SMTP("127.0.0.1", front, source_address=(CLIENT, 0))) as smtp:
                    smtp.ehlo("client.example")
                    assert smtp.sendmail(ANN, [BOB], town.stamped(letter(), BOB)) == {}
            finally:
                haproxy.terminate()
                haproxy.wait()
            assert served.wait_for(lambda line: line["event"] == "letter")["source"] == CLIENT
            with pytest.raises((smtplib.SMTPException, OSError)):  # a front that speaks SMTP is none
                smtplib.SMTP("127.0.0.1", town.gate_port, timeout=20).ehlo("client.example")
        assert f"[{CLIENT}]".encode() in server.letters[0].letter
