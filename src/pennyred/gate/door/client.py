"""One client as the gate knows it: its connection, its greeting, and what a trusted front has told of it."""

from pennyred.gate.door.gatehouse import NameLookup
from pennyred.gate.door.proxying import Peer
from pennyred.gate.letterbox import HostName
from pennyred.gate.upstream.identity import ClientIdentity, told_of


class Client:
    """Who the client is. It is asked for each transaction, because a trusted front may speak for many clients."""

    __slots__ = (
        "_ahead", "_asked", "_identity", "_name", "_named", "_peer", "_xclient", "_xforward", "helo", "is_extended",
        "is_trusted",
    )  # fmt: skip

    def __init__(self, peer: Peer, *, is_trusted: bool) -> None:
        self.is_trusted = is_trusted
        """Whether the client is a front that may speak for others (setting `trusted_fronts`)."""
        self.helo = ""
        """The name it gave with HELO or EHLO; empty before."""
        self.is_extended = False
        """Whether it greeted with EHLO, not HELO."""
        self._peer = peer
        self._xclient: dict[str, str | None] = {}
        self._ahead: dict[str, str | None] = {}  # what XCLIENT has told since it last told an address
        self._xforward: dict[str, str | None] = {}
        self._identity: ClientIdentity | None = None  # as it was last made; None: something has changed since
        self._asked: NameLookup | None = None  # who told its names; another one after settings were read anew
        self._name: HostName | None = None
        self._named = ""  # the address that `_name` belongs to

    @property
    def address(self) -> str:
        """The IP address that the connection comes from."""
        return self._peer.address

    @property
    def is_known(self) -> bool:
        """Whether the client itself is known; False if a front has not said for whom it speaks."""
        is_told = self._xclient.get("ADDR") is not None or self._xforward.get("ADDR") is not None
        return is_told or not self.is_trusted

    def begin_anew(self) -> None:
        """Forget the greeting: after STARTTLS and XCLIENT the client has to greet again."""
        self.helo = ""
        self._identity = None

    def greet(self, name: str, *, is_extended: bool) -> None:
        """Take the name given with EHLO (`is_extended`) or HELO."""
        self.helo, self.is_extended = name, is_extended
        self._identity = None

    def tell_session(self, attributes: dict[str, str | None]) -> None:
        """Take what XCLIENT tells: it holds for the session, or until the front tells another address.

        The address is the last thing told of a client (XCLIENT_README), so a new one ends what was told before it.
        """
        if attributes.get("ADDR") is None:
            self._ahead |= attributes
            self._xclient |= attributes
        else:
            self._xclient, self._ahead = self._ahead | attributes, {}
        self.begin_anew()

    def tell_transaction(self, attributes: dict[str, str | None]) -> None:
        """Take what XFORWARD tells: it holds until the end of the next transaction."""
        self._xforward |= attributes
        self._identity = None

    def end_transaction(self) -> None:
        """Forget what XFORWARD has told."""
        if self._xforward:
            self._xforward = {}
            self._identity = None

    async def identity(self, name_lookup: NameLookup | None) -> ClientIdentity:
        """The client as the mail server should see it. `name_lookup` is asked for its name if no front has told one.

        A front may say that no confirmed name exists. Then the DNS may still have an unconfirmed name (PTR alone).
        """
        if self._identity is None or self._asked is not name_lookup:
            self._identity, self._asked = await self._made(name_lookup), name_lookup
        return self._identity

    async def _made(self, name_lookup: NameLookup | None) -> ClientIdentity:
        peer, protocol = self._peer, "ESMTP" if self.is_extended else "SMTP"
        client = ClientIdentity(
            peer.address,
            peer.port,
            self.helo,
            protocol=protocol,
            destination=peer.destination,
            destination_port=peer.destination_port,
        )
        if self._xclient:
            client = told_of(client, self._xclient)
        if self._xforward:
            if self._xforward.get("ADDR") is not None:
                client = client._replace(helo="", login="")  # the greeting came from the front, not from its client
            client = told_of(client, self._xforward)
        if client.is_reverse_known or name_lookup is None:
            return client
        if self._name is None or self._named != client.address:
            self._name, self._named = await name_lookup(client.address), client.address
        is_told = "NAME" in self._xclient or "NAME" in self._xforward
        name = client.name if is_told else self._name.verified
        return client._replace(name=name, reverse_name=self._name.reverse, is_reverse_known=True)
