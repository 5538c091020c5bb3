"""A sink that offers CHUNKING, which Postfix's smtp-sink does not: it takes everything, keeps nothing, and counts.

    python -m tests.bench.chunking_sink PORT COUNTER

It is in Python, so it takes more of the machine than smtp-sink: compare what is measured behind the same sink only.
"""

import asyncio
import mmap
import re
import sys
from pathlib import Path

_HELLO = b"250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_CHUNK = re.compile(rb"BDAT ([0-9]+)( LAST)?", re.IGNORECASE)
_END = b"\r\n.\r\n"


class Counter:
    """Letters taken, in a file that others may read meanwhile."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"%020d" % 0)
        with path.open("r+b") as file:
            self._octets = mmap.mmap(file.fileno(), 0)
        self._count = 0

    def add(self) -> None:
        """One more."""
        self._count += 1
        self._octets[:] = b"%020d" % self._count


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._input = b""
        self._skipped = 0
        """Octets of a chunk that are still to come."""
        self._is_last = False
        self._is_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = transport
        transport.write(b"220 sink.example.org ESMTP\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Answer all that is there."""
        data = self._input + data
        answers = []
        while data:
            if self._skipped:
                data, left = data[self._skipped :], max(0, self._skipped - len(data))
                self._skipped = left
                if not left:
                    answers.append(self._taken() if self._is_last else _OK)
            elif self._is_data:
                end = data.find(_END)
                if end < 0:
                    data = data[-len(_END) :]
                    break
                data, self._is_data = data[end + len(_END) :], False
                answers.append(self._taken())
            else:
                end = data.find(b"\r\n")
                if end < 0:
                    break
                answers.append(self._answer(data[:end]))
                # The line end of DATA may begin the end mark of an empty letter.
                data = data[end if self._is_data else end + 2 :]
        self._input = data
        if answers:
            self._transport.write(b"".join(answers))  # type: ignore[attr-defined]

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"BDAT" and (chunk := _CHUNK.fullmatch(line)) is not None:
            self._skipped, self._is_last = int(chunk[1]), chunk[2] is not None
            if self._skipped:
                return b""
            return self._taken() if self._is_last else _OK
        if verb == b"DATA":
            self._is_data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            asyncio.get_running_loop().call_soon(self._transport.close)
            return b"221 2.0.0 Bye\r\n"
        return _HELLO if verb == b"EHLO" else _OK

    def _taken(self) -> bytes:
        self._counter.add()
        return _OK


async def _serve(port: int, counter: Counter) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Session(counter), "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), Counter(Path(sys.argv[2]))))
