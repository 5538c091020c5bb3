"""One client as the gate knows it: its connection, its greeting, and what a trusted front has told of it."""

from pennyred.smtp.gatehouse import NameLookup
from pennyred.smtp.identity import ClientIdentity, told_of


class Client:
    """Who is on the line; asked anew for each transaction, as a front may speak for many."""

    __slots__ = ("_name", "_peer", "_xclient", "_xforward", "helo", "is_extended", "is_trusted")

    def __init__(self, peer: ClientIdentity, *, is_trusted: bool) -> None:
        self.is_trusted = is_trusted
        """Whether it is a front that may speak for others."""
        self.helo = ""
        """What it called itself; empty before HELO or EHLO."""
        self.is_extended = False
        """Whether that was EHLO."""
        self._peer = peer
        self._xclient: dict[str, str | None] = {}
        self._xforward: dict[str, str | None] = {}
        self._name: str | None = None

    @property
    def address(self) -> str:
        """Where the connection comes from."""
        return self._peer.address

    @property
    def is_known(self) -> bool:
        """Whether the client itself is known: False where a front has not said for whom it speaks."""
        is_told = self._xclient.get("ADDR") is not None or self._xforward.get("ADDR") is not None
        return is_told or not self.is_trusted

    def begin_anew(self) -> None:
        """After STARTTLS and XCLIENT it has to greet again."""
        self.helo = ""

    def tell_session(self, attributes: dict[str, str | None]) -> None:
        """XCLIENT: holds for the session."""
        self._xclient |= attributes
        self._name = None
        self.begin_anew()

    def tell_transaction(self, attributes: dict[str, str | None]) -> None:
        """XFORWARD: holds until the end of the next transaction."""
        self._xforward |= attributes

    def end_transaction(self) -> None:
        """Forget what XFORWARD said."""
        if self._xforward:
            self._xforward = {}

    async def identity(self, name_lookup: NameLookup | None) -> ClientIdentity:
        """The client as the mail server should see it; `name_lookup` is asked where no front has told a name."""
        peer, protocol = self._peer, "ESMTP" if self.is_extended else "SMTP"
        client = ClientIdentity(peer.address, peer.port, self.helo, protocol=protocol)
        if self._xclient:
            client = told_of(client, self._xclient)
        if self._xforward:
            if self._xforward.get("ADDR") is not None:
                # The front's own name and greeting are not its client's.
                client = ClientIdentity(client.address, protocol=client.protocol)
            client = told_of(client, self._xforward)
        elif "NAME" not in self._xclient and name_lookup is not None:
            if self._name is None:
                self._name = await name_lookup(client.address)
            client = ClientIdentity(client.address, client.port, client.helo, self._name, client.protocol)
        return client
