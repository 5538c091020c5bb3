"""What the settings limit is limited, for all workers together, by clients on real sockets."""

import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

SECONDS_MAX = 20


class Client:
    """Says lines, hears replies."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS_MAX, (source, 0))
        self._lines = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> bytes:
        while (line := self._lines.readline())[3:4] == b"-":
            pass
        return line

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def is_over(self) -> bool:
        """Whether the gate says no more."""
        return self._lines.readline() == b""

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def test_refused_commands_and_idle_ones_are_limited_as_set(found_town):
    town = found_town("max_errors = 3\nmax_idle_commands = 4")
    with town.serve():
        with closing(Client(town.gate_port)) as client:
            assert [client.say(b"NONSENSE")[:3] for _ in range(3)] == [b"500"] * 3
            assert client.reply() == b"421 4.7.0 Too many errors, closing\r\n"
            assert client.is_over()
        with closing(Client(town.gate_port)) as client:
            assert [client.say(b"NOOP")[:3] for _ in range(4)] == [b"250"] * 4
            assert client.reply() == b"421 4.7.0 Too many commands without a letter, closing\r\n"
            assert client.is_over()


def test_a_long_letter_is_kept_in_the_folder_that_is_set_and_a_short_one_is_not(
    found_town, letter, tmp_path, mail_server
):
    """The file has no name: it is seen among what the gate has open."""
    spool = tmp_path / "spool"
    spool.mkdir()
    town = found_town(f'memory_per_letter = "64KB"\nspool = "{spool}"')
    with town.serve() as served:
        for octets, is_kept in ((50_000, False), (100_000, True)):
            with closing(Client(town.gate_port)) as client:
                for line in (b"HELO x", b"MAIL FROM:<a@x.example>", b"RCPT TO:<postmaster@example.org>", b"DATA"):
                    assert client.say(line)[:1] in b"23"
                release = mail_server.hold_back(b".")
                before = len(mail_server.fake.commands)
                client.socket.sendall(letter() + (b"x" * 998 + b"\r\n") * (octets // 1000) + b".\r\n")
                mail_server.until(lambda before=before: b"DATA\r\n" in mail_server.fake.commands[before:])
                assert bool(files_in(spool, served.process.pid)) == is_kept
                release()
                assert client.reply().startswith(b"250")
        assert not files_in(spool, served.process.pid)


def files_in(folder: Path, pid: int) -> list[str]:
    """What a process has open there."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(one.readlink()))
    return [name for name in found if name.startswith(f"{folder}/")]


def test_a_spool_that_cannot_be_written_to_is_heard_of_at_the_start(found_town, tmp_path):
    town = found_town('spool = "nowhere"')
    arguments = [sys.executable, "-m", "pennyred", "--config", str(town.settings), "serve"]
    done = subprocess.run(arguments, capture_output=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 2
    assert b"nowhere" in done.stderr
