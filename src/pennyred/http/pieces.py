"""HTTP as it is read here: h11's, of whose chunks none may be there to keep us busy.

A chunk of one octet takes as long to read as one of a thousand, six octets of the line say it, and a body may have as
many as it likes. Whoever has something to say sends it in a few.
"""

from typing import Any

import h11

PIECES_FREE = 64
"""Of a body, however small."""
PIECE_OCTETS_MIN = 64
"""On average, of all beyond."""


class BoundedConnection(h11.Connection):
    """A server's end; what it does not take is an `h11.RemoteProtocolError`, as what is no HTTP."""

    def __init__(self, header_octets_max: int) -> None:
        super().__init__(h11.SERVER, header_octets_max)
        self._pieces = 0
        self._octets = 0

    def next_event(self) -> Any:
        """See `h11.Connection.next_event`."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._octets = 0
        elif isinstance(event, h11.Data):
            self._pieces += event.chunk_start
            self._octets += len(event.data)
            if self._octets < PIECE_OCTETS_MIN * (self._pieces - PIECES_FREE):
                raise h11.RemoteProtocolError("a body in crumbs")
        return event
