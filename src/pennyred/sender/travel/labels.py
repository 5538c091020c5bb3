"""Correct the label Content-Transfer-Encoding of parts that say 8bit or binary but are ASCII: they become 7bit.

Postfix trusts the label (findings/postfix-eight-bit-label.sh). If the next server lacks 8BITMIME, it encodes every part
that says 8bit, and then the body is not the one that was stamped.
"""

import re

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.mimeparts import LETTERS, NESTING_MAX, SEALED, Entity, closes, read_entity, type_of_parts

_LABEL = re.compile(rb"^content-transfer-encoding[ \t]*:[^\r\n]*(?:8bit|binary)", re.IGNORECASE | re.MULTILINE)
_EIGHT_BIT = frozenset((b"8bit", b"binary"))
_SEVEN_BIT = b"Content-Transfer-Encoding: 7bit\r\n"


def relabelled(letter: bytes) -> bytes:
    """The ASCII letter with 7bit in all its labels; unchanged if they say so already.

    Signed and encrypted parts keep their labels. A DKIM signature may cover the labels: the caller looks for one.
    """
    if not _LABEL.search(letter):
        return letter
    try:
        return _relabelled(letter, b"text/plain", 0)
    except MalformedLetter:  # programs differ in how they read it; it can travel unchanged
        return letter


def _relabelled(raw: bytes, default_type: bytes, depth: int) -> bytes:
    if not _LABEL.search(raw) or depth > NESTING_MAX:
        return raw
    entity = read_entity(raw, default_type, is_letter=depth == 0)
    if entity.is_repaired or entity.content.media_type in SEALED:
        return raw
    is_label = entity.encoding() in _EIGHT_BIT
    fields = [_SEVEN_BIT if is_label and one.key == b"content-transfer-encoding" else one.raw for one in entity.fields]
    return entity.above + b"".join(fields) + entity.separator + _body(entity, depth)


def _body(entity: Entity, depth: int) -> bytes:
    if entity.content.media_type in LETTERS:
        return _relabelled(entity.body, b"text/plain", depth + 1)
    if not entity.content.is_multipart:
        return entity.body
    boundary, pieces = entity.split()
    default_type = type_of_parts(entity.content.media_type)
    for at in range(2, len(pieces), 2):
        if closes(pieces[at - 1], boundary):
            break
        pieces[at] = pieces[at][:2] + _relabelled(pieces[at][2:], default_type, depth + 1)
    return b"".join(pieces)
