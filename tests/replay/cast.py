"""The replay's own table: each letter of the corpus gets a sender, a source, an envelope and what proves its origin.

The letters are as they were; only what stood around them twenty years ago is made up. All of it follows from the file's
name and the letter's own header, so that every run is the same.
"""

from dataclasses import dataclass
from enum import StrEnum

from pennyred.gate.rules.claims import Claims, read_claims
from pennyred.postage.letter import parse_header, split_letter
from tests.support.corpus import corpus_letters

DAYS = 7
OURS = "our.example"
USERS = tuple(f"{name}@{OURS}" for name in ("ann", "bob", "carol", "dan", "eve"))
ANN, BOB, CAROL, DAN, EVE = USERS
SPAMMERS = 6
SPAM_DAYS = (2, 5)
"""Spam comes in waves, which is how its volume shows."""
ALLOWANCE = 3
"""Unstamped recipients a day of one sender, in mode "bulk"."""
FORWARDER = "forward.example"
FORWARDER_ADDRESS = "192.0.2.77"


class Role(StrEnum):
    """Why somebody writes to us."""

    CORRESPONDENT = "correspondent"
    """Our user has written to him before."""
    REPLY = "reply"
    """An answer to our user's letter, from an address that nobody knows, and unsigned."""
    LIST = "list"
    """A mailing list with a List-Id that the recipient has approved."""
    NEWSLETTER = "newsletter"
    """A domain that the recipient has approved."""
    RECEIPT = "receipt"
    """Something the recipient waits for."""
    FORWARDED = "forwarded"
    """By the mail server of an old address of the recipient's."""
    STRANGER = "stranger"
    """Honest, unknown, without a stamp."""
    STAMPED = "stamped"
    """Honest, unknown, with one."""
    SPAM = "spam"

    @property
    def is_wanted_by_rule(self) -> bool:
        """Whether there is a rule that lets it in free."""
        return self not in (Role.STRANGER, Role.STAMPED, Role.SPAM)


@dataclass(frozen=True, slots=True)
class Part:
    """One letter and the part it plays."""

    name: str
    letter: bytes
    claims: Claims
    role: Role
    day: int
    source: str
    sender: str
    recipient: str
    signer: str = ""
    """The domain that signs it with DKIM; empty: nobody does."""
    is_ed25519: bool = False
    spf: str = ""
    """The domain whose SPF record has the source's address; empty: none."""

    @property
    def helo(self) -> str:
        """What its client calls itself."""
        return f"mail.{self.sender.partition('@')[2]}"


RECIPIENTS = {
    Role.NEWSLETTER: (ANN, BOB),
    Role.RECEIPT: (CAROL, DAN),
    Role.STRANGER: (EVE,),
    Role.STAMPED: (EVE,),
}
"""Who wants newsletters has them approved and so waits for none; Eve knows nobody and has approved nothing."""


def cast() -> list[Part]:
    """All letters with their parts, in the order they come; skips the test where there is no corpus."""
    parts = [_part(place, name, letter) for place, (name, letter) in enumerate(corpus_letters())]
    return sorted(parts, key=lambda part: part.day)


def _part(place: int, name: str, letter: bytes) -> Part:
    letter = _without_mbox_line(letter)
    claims = read_claims(parse_header(split_letter(letter)[0]), None)
    role = Role.SPAM if name.startswith("spam") else _ham_role(place, name, claims)
    return {
        Role.SPAM: _spam,
        Role.LIST: _from_list,
        Role.FORWARDED: _forwarded,
    }.get(role, _from_author)(place, name, letter, claims, role)


def _ham_role(place: int, name: str, claims: Claims) -> Role:
    if claims.author is None:
        return Role.STRANGER
    if name.startswith("hard-ham"):
        return (Role.NEWSLETTER, Role.RECEIPT, Role.NEWSLETTER, Role.STAMPED)[place % 4]
    if place % 7 == 6:
        return Role.FORWARDED
    if claims.list_id and place % 4 < 2:
        return Role.LIST
    if claims.replied_to and place % 4 == 3:
        return Role.REPLY
    return Role.STRANGER if place % 5 == 0 else Role.CORRESPONDENT


def _from_author(place: int, name: str, letter: bytes, claims: Claims, role: Role) -> Part:
    """By the author's own server: signed, or within its SPF record, or (what is a reply) neither."""
    domain = claims.author.domain if claims.author else f"stranger{place}.example"
    is_proven, is_signed = role is not Role.REPLY, place % 3 != 0
    local = claims.author.local if claims.author else "somebody"
    return Part(
        name,
        letter,
        claims,
        role,
        day=place % DAYS,
        source=f"198.51.{place % 100}.{place // 100 + 10}",
        sender=f"{local}@{domain}" if local.isascii() and local.isalnum() else f"bounces@{domain}",
        recipient=_one_of(RECIPIENTS.get(role, USERS[:4]), place),
        signer=domain if is_proven and is_signed else "",
        is_ed25519=place % 2 == 0,
        spf=domain if is_proven and not is_signed else "",
    )


def _from_list(place: int, name: str, letter: bytes, claims: Claims, role: Role) -> Part:
    domain = ".".join(claims.list_id.split(".")[-2:])
    return Part(
        name,
        letter,
        claims,
        role,
        day=place % DAYS,
        source=f"198.51.200.{len(domain)}",
        sender=f"owner-{place}@{domain}",
        recipient=_one_of(USERS[:4], place),
        signer=domain if place % 2 else "",
        spf="" if place % 2 else domain,
    )


def _forwarded(place: int, name: str, letter: bytes, claims: Claims, role: Role) -> Part:
    sender = f"srs0=x={place}@{FORWARDER}"
    return Part(name, letter, claims, role, place % DAYS, FORWARDER_ADDRESS, sender, _one_of(USERS, place))


def _spam(place: int, name: str, letter: bytes, claims: Claims, role: Role) -> Part:
    """Half of the spammers have a domain that vouches for them; that a name is proven makes nobody a friend."""
    spammer = place % SPAMMERS
    domain = f"offers{spammer}.example"
    has_domain = spammer % 2 == 0
    return Part(
        name,
        letter,
        claims,
        role,
        day=SPAM_DAYS[place // SPAMMERS % len(SPAM_DAYS)],
        source=f"203.0.{spammer}.{place % 200 + 1}",
        sender=f"win@{domain}",
        recipient=_one_of(USERS, place),
        signer=domain if has_domain else "",
        spf=domain if has_domain else "",
    )


def _one_of(users: tuple[str, ...], place: int) -> str:
    return users[place % len(users)]


def _without_mbox_line(letter: bytes) -> bytes:
    return letter.partition(b"\r\n")[2] if letter.startswith(b"From ") else letter
