"""An h11 connection that refuses bodies made of too many too small chunks, which would only keep us busy.

A chunk of one octet takes as long to read as one of a thousand, costs the sender six octets, and a body may have any
number of chunks. An honest client sends a few.
"""

from typing import Any

import h11

PIECES_FREE = 64
"""How many chunks a body may have, however small they are."""
PIECE_OCTETS_MIN = 64
"""How many octets all further chunks must have on average."""


class BoundedConnection(h11.Connection):
    """The server's side of a connection. A body in tiny chunks raises `h11.RemoteProtocolError`, as no HTTP does."""

    def __init__(self, header_octets_max: int) -> None:
        super().__init__(h11.SERVER, header_octets_max)
        self._pieces = 0
        self._octets = 0

    def next_event(self) -> Any:
        """The next event, as in `h11.Connection.next_event`, after counting the chunks."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._octets = 0
        elif isinstance(event, h11.Data):
            self._pieces += event.chunk_start
            self._octets += len(event.data)
            if self._octets < PIECE_OCTETS_MIN * (self._pieces - PIECES_FREE):
                raise h11.RemoteProtocolError("a body in crumbs")
        return event
