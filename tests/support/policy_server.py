"""A policy server of Postfix's (SMTPD_POLICY_README): notes what it is told of each client, and lets everybody in."""

import socket
import threading


class PolicyServer:
    """A context manager; `told` is what Postfix has said, a dictionary for each recipient."""

    def __enter__(self) -> "PolicyServer":
        self.told: list[dict[str, str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def restriction(self) -> str:
        """The restriction that asks it, for main.cf."""
        return f"check_policy_service inet:127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as lines:
            while True:
                told = {}
                while (line := lines.readline().rstrip("\n")) != "":
                    name, _, value = line.partition("=")
                    told[name] = value
                if not told:
                    return
                self.told.append(told)
                lines.write("action=DUNNO\n\n")
                lines.flush()
