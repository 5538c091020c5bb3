"""Which stamps of a letter may pay which of its recipients (STAMP.md 8.4).

A stamp names its recipient only by a salted hash, so each stamp is tried against each recipient. One stamp pays one
envelope recipient: a mailbox that occurs twice in the envelope needs two.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct

from pennyred.postage.address import Recipient
from pennyred.postage.digest import recipient_hash
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, HeaderSection
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp, StampKey, parse_bare, split_field

STAMPS_TRIED_MAX = 4
"""How many stamps are tried for one recipient. More would waste the gate's time; an honest sender has two at most."""

STAMPS_READ_BASE = 100
STAMPS_READ_PER_RECIPIENT = 4
STAMPS_READ_MAX = 2_000
"""How many stamps of a letter are read, in however many fields: the base, plus some for each recipient, up to this
maximum. The base is for letters to a hundred recipients that come in a hundred transactions of one recipient, with all
stamps each time."""

TRIES_MAX = 300_000
"""How many recipient hashes are computed for one letter: about half a second, in which a worker serves nobody else.
The stamps of a thousand recipients need at most 2000 if they stand in the recipients' order or in reverse. They need
250,000 if they are shuffled, or if half of the recipients come in another transaction."""


class Candidates(Struct, frozen=True, gc=False):
    """The stamps made out to one recipient, and the reason to give if there are none."""

    stamps: tuple[Stamp, ...]
    otherwise: Reason
    """NO_STAMP, WRONG_RECIPIENT, MALFORMED or UNKNOWN_VERSION."""


def find_candidates(
    header: HeaderSection,
    recipients: Sequence[Recipient | None],
    names: Sequence[Sequence[Recipient]] = (),
) -> list[Candidates]:
    """For each recipient, the stamps that may pay it: in the letter's order, at most `STAMPS_TRIED_MAX`.

    `names` gives for each recipient the addresses that a stamp for it may be made out to: itself first, then its
    aliases. Without `names` it is the recipient alone. None in `recipients` stands for a recipient without a canonical
    form: no stamp can be made out to it. If a letter has stamps for others of its recipients only, the reason is
    "no-stamp", not "wrong-recipient".
    """
    stamps, unreadable = _read_stamps(islice(_values(header), _stamps_read_max(len(recipients))))
    if len(recipients) == len(stamps) == 1 and recipients[0] is not None and _is_for(stamps[0], recipients[0]):
        return [Candidates((stamps[0],), unreadable or Reason.NO_STAMP)]  # as in most letters
    others = {one: tuple(known) for one, known in zip(recipients, names, strict=True) if one} if names else {}
    matches, strays = _deal(stamps, recipients, others)
    otherwise = Reason.WRONG_RECIPIENT if strays else unreadable or Reason.NO_STAMP
    return [Candidates(share, otherwise) for share in _shares(matches, recipients)]


def _values(header: HeaderSection) -> Iterator[bytes]:
    """What may be a stamp, from the top; a field that is too long counts as one that cannot be read."""
    for field in header.named(STAMP_FIELD.lower()):
        try:
            yield from split_field(field.value)
        except MalformedStamp:
            yield b""


def _stamps_read_max(recipients: int) -> int:
    return min(STAMPS_READ_BASE + STAMPS_READ_PER_RECIPIENT * recipients, STAMPS_READ_MAX)


def _deal(
    stamps: Iterable[Stamp],
    recipients: Iterable[Recipient | None],
    names: Mapping[Recipient, Sequence[Recipient]],
) -> tuple[dict[Recipient, list[Stamp]], int]:
    """The stamps of each recipient, and how many stamps belong to nobody. Stops after `TRIES_MAX` hashes.

    Stamps made out to the recipients themselves are dealt out first; the rest are tried against their aliases.
    """
    matches: dict[Recipient, list[Stamp]] = {recipient: [] for recipient in recipients if recipient is not None}
    left, tries = _deal_exactly(stamps, matches)
    aliased = [recipient for recipient in matches if len(names.get(recipient, ())) > 1]
    strays = 0
    for stamp in left:
        if aliased and tries < TRIES_MAX:
            aliased.sort(key=lambda one: len(matches[one]))  # those who have none yet are asked first
            owner, tried = _by_alias(stamp, aliased, names)
            tries += tried
            if owner is not None:
                matches[owner].append(stamp)
                continue
        strays += 1
    return matches, strays


def _by_alias(
    stamp: Stamp, aliased: Iterable[Recipient], names: Mapping[Recipient, Sequence[Recipient]]
) -> tuple[Recipient | None, int]:
    """The recipient whose alias a stamp is made out to, or None; and how many hashes that took."""
    tries = 0
    for recipient in aliased:
        for name in names[recipient][1:]:
            tries += 1
            if _is_for(stamp, name):
                return recipient, tries
    return None, tries


def _deal_exactly(stamps: Iterable[Stamp], matches: Mapping[Recipient, list[Stamp]]) -> tuple[list[Stamp], int]:
    """Add each stamp to the recipient in `matches` that it names; returns the stamps left and the hashes it took."""
    if len(matches) == 1:  # as in most letters: there is nothing to look for
        [(recipient, own)] = matches.items()
        found = [(stamp, _is_for(stamp, recipient)) for stamp in stamps]
        own += [stamp for stamp, is_own in found if is_own]
        return [stamp for stamp, is_own in found if not is_own], len(found)
    waiting, served = list(matches), list[Recipient]()  # those who have none yet are asked first
    is_backwards = False  # stamps stand in the recipients' order, or in reverse if each was put on top
    left: list[Stamp] = []
    tries = 0
    for stamp in stamps:
        if tries >= TRIES_MAX:
            break
        order = [*(reversed(waiting) if is_backwards else waiting), *served]
        place = next((place for place, recipient in enumerate(order) if _is_for(stamp, recipient)), None)
        tries += len(order) if place is None else place + 1
        if place is None:
            left.append(stamp)
            continue
        matches[order[place]].append(stamp)
        if place < len(waiting):
            at = len(waiting) - 1 - place if is_backwards else place
            served.append(waiting.pop(at))
            is_backwards = at > len(waiting) // 2
    return left, tries


def _read_stamps(values: Iterable[bytes]) -> tuple[list[Stamp], Reason | None]:
    """The stamps that parse, without repetitions, and the reason for the first that does not parse."""
    stamps: list[Stamp] = []
    unreadable: Reason | None = None
    for value in values:
        try:
            stamp = parse_bare(value)
        except MalformedStamp as error:
            unreadable = unreadable or error.reason
        else:
            stamps.append(stamp)
    if len(stamps) > 1:
        firsts: dict[tuple[str, StampKey], Stamp] = {}
        for stamp in stamps:
            firsts.setdefault((stamp.issuer, stamp.key), stamp)
        stamps = list(firsts.values())
    return stamps, unreadable


def _is_for(stamp: Stamp, recipient: Recipient) -> bool:
    return stamp.salt is not None and recipient_hash(stamp.salt, recipient) == stamp.recipient_hash


def _shares(
    matches: Mapping[Recipient, Sequence[Stamp]], recipients: Sequence[Recipient | None]
) -> Iterator[tuple[Stamp, ...]]:
    """The stamps for each place in the envelope; a recipient that occurs several times shares its stamps out evenly."""
    if len(matches) == len(recipients):  # no recipient occurs twice, and none is unknown
        yield from (tuple(matches[recipient][:STAMPS_TRIED_MAX]) for recipient in matches)
        return
    occurrences = Counter(recipients)
    seen: Counter[Recipient] = Counter()
    for recipient in recipients:
        if recipient is None:
            yield ()
            continue
        yield tuple(matches[recipient][seen[recipient] :: occurrences[recipient]][:STAMPS_TRIED_MAX])
        seen[recipient] += 1
