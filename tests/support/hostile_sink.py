"""A mail server of strangers: takes every letter, and has something to say about it that may end up in a log.

To friends.example it only says that all is well.
"""

import itertools
import socket
import threading


class HostileSink:
    """Serves in threads of its own, between `with` and its end; `replies` are what it says to letters, in turn."""

    def __init__(self, replies):
        self._replies = itertools.cycle(replies)
        self.letters = []

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, name="sink", daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="sink", daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rwb") as wire:

            def say(*lines):
                wire.write(b"".join(line + b"\r\n" for line in lines))
                wire.flush()

            say(b"220 sink")
            in_data = is_friendly = False
            letter = b""
            try:
                while line := wire.readline():
                    if in_data:
                        if line == b".\r\n":
                            in_data = False
                            self.letters.append(letter)
                            letter = b""
                            say(b"250 ok" if is_friendly else b"250 " + next(self._replies))
                            is_friendly = False
                        else:
                            letter += line.removeprefix(b".")
                    elif line[:4].upper() == b"EHLO":
                        say(b"250-sink", b"250 8BITMIME")
                    elif line[:4].upper() == b"DATA":
                        in_data = True
                        say(b"354 go on")
                    elif line[:4].upper() == b"QUIT":
                        say(b"221 bye")
                        return
                    elif b"refused" in line:
                        say(b"550 " + next(self._replies))
                    else:
                        is_friendly = is_friendly or b"@friends.example>" in line
                        say(b"250 ok")
            except OSError:
                return
