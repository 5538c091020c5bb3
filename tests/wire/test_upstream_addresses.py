"""A mail server's name with two addresses, as the system resolves it: the one that is well has the letter."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support import real_postfix
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import Town, letter

NAME, ILL, WELL = "mail.house.test", "127.0.0.2", "127.0.0.3"
FREE = "postmaster@example.org"


def within(hosts: Path) -> tuple[str, ...]:
    """A command that runs another where /etc/hosts is this file."""
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")


def can_be_within(folder: Path) -> bool:
    (folder / "hosts").write_text(f"{WELL} {NAME}\n")
    try:
        command = [*within(folder / "hosts"), "true"]
        return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def swallowing(port: int) -> Iterator[None]:
    """Neither takes connections nor refuses them."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind((ILL, port))
        full.listen(0)
        for _ in range(2):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((ILL, port))
        yield


@contextmanager
def greeting(port: int, words: bytes) -> Iterator[None]:
    with MailServer(host=ILL, port=port) as server:
        server.answer(b"220", *[words] * 50)
        yield


FAULTS = {
    "swallows SYNs": (swallowing, "cannot connect: no answer in time"),
    "greets 421": (lambda port: greeting(port, b"421 4.3.2 too busy\r\n"), "greeting: 421 4.3.2 too busy"),
    "greets 554": (lambda port: greeting(port, b"554 5.3.2 no service\r\n"), "greeting: 554 5.3.2 no service"),
    "refuses": (lambda port: ExitStack(), "cannot connect: nobody listens there"),
}


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_second_address_of_the_name_has_the_letter_and_check_names_the_first(tmp_path, fault):
    if not can_be_within(tmp_path):
        pytest.skip("needs root, and a system that lets it mount (unshare --mount)")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{ILL} {NAME}\n{WELL} {NAME}\n")
    port = free_port()
    make, reason = FAULTS[fault]
    listener = services("gate-in-front.master.cf", host=WELL, p10025=port)
    listener = listener.replace("xclient_hosts=127.0.0.1", "xclient_hosts=127.0.0.0/8")
    with make(port), Postfix(listener) as postfix:
        town = Town.found(tmp_path, port, f'upstream = "smtp://{NAME}:{port}"')
        with Served(town.settings, within=within(hosts)) as served:
            for _ in range(3):
                assert town.send(letter(), FREE)[0] == 250
            assert len(postfix.wait_for_letters(3)) == 3
            if fault != "swallows SYNs":  # that is known after ten seconds
                down = served.wait_for(lambda line: line["event"] == "smtp.address_down")
                assert (down["address"], down["upstream"]) == (f"{ILL}:{port}", f"{NAME}:{port}")
                assert reason in down["detail"]
        if fault == "refuses":
            command = [
                *within(hosts),
                sys.executable,
                "-m",
                "pennyred",
                "--config",
                str(town.settings),
                "check",
                "--json",
            ]
            said = json.loads(subprocess.run(command, capture_output=True, check=False, timeout=60).stdout)
            [complaint] = [one for one in said["complaints"] if one["key"] == "gate.upstream"]
            assert f"some addresses of {NAME} do not answer" in complaint["what"]
            assert f"{ILL}:{port}: {reason}" in complaint["what"]
