"""Who wants mail from a sender, as far as that is known at RCPT, before the letter is there."""

from collections.abc import Sequence

from pennyred.gate.letterbox import Envelope
from pennyred.gate.policy import GatePolicy
from pennyred.gate.ports import Authenticator, GrantBook
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.gate.rules.grants import ANYBODY, holds, users_of
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.errors import Unavailable
from pennyred.postage.networks import parse_source


async def wanted_too(
    book: GrantBook,
    authenticator: Authenticator,
    policy: GatePolicy,
    envelope: Envelope,
    free: list[bool],
    *,
    now: int,
) -> Sequence[bool | None]:
    """`free`, and which other recipients want mail from the sender that MAIL FROM names.

    It is asked at RCPT, before the letter is there. Nobody is let in by it. It only keeps recipients who know a sender
    apart from those who do not. SPF must prove the sender first, whoever knows him. Else anybody could find out whom
    our users write to, by RCPT and by the time that it takes.

    Where SPF or the book cannot be asked now, the answer is None for all that are not free. What is not known yet may
    be known when the letter is there. Then a letter must not be refused to one recipient because of another.
    """
    claimed = canonical_or_none(envelope.sender) if envelope.sender else None
    recipients = [
        None if is_free else canonical_or_none(mailbox)
        for mailbox, is_free in zip(envelope.recipients, free, strict=True)
    ]
    asked = [(place, recipient) for place, recipient in enumerate(recipients) if recipient is not None]
    if claimed is None or not asked:
        return free
    unknown = [is_free or None for is_free in free]
    was_in_use = book.is_in_use
    if was_in_use and not (is_proven := await authenticator.is_sender_proven(envelope)):
        return unknown if is_proven is None else free
    delimiter = policy.recipients.delimiter
    users = [[*users_of(recipient, delimiter), recipient.domain, ANYBODY] for _, recipient in asked]
    claims = Claims(author=claimed, sender=claimed)
    try:
        noted = await book.grants(users, claims, now=now)
    except Unavailable:
        return unknown
    if not was_in_use:
        if not book.is_in_use:
            return free
        if not (is_proven := await authenticator.is_sender_proven(envelope)):
            return unknown if is_proven is None else free
    proven = Authentication(
        domains=frozenset({claimed.domain}), sender_domain=claimed.domain, author_domain=claimed.domain
    )
    source = parse_source(envelope.source_ip)
    for (place, _), grants in zip(asked, noted, strict=True):
        # Not every grant that was found holds: a window may be for another domain.
        free[place] = any(holds(grant, claims, proven, source) for grant in grants)
    return free
