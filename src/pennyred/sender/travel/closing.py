"""Add the last boundary line to multipart letters that lack it (RFC 2046 section 5.1.1).

Mail programs show such letters all the same. But sendmail adds the line on the way, and then the body is not the one
that was stamped.
"""

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.mimeparts import LETTERS, NESTING_MAX, SEALED, Entity, closes, read_entity, type_of_parts


def closed(letter: bytes) -> bytes:
    """The letter with the last boundary line of each of its multipart parts; unchanged if it has them all.

    Signed and encrypted parts are not changed. The content of every part stays the same, to the last octet.
    """
    try:
        return _closed(letter, b"text/plain", 0)
    except MalformedLetter:  # programs differ in how they read it; it can travel unchanged
        return letter


def _closed(raw: bytes, default_type: bytes, depth: int) -> bytes:
    if depth > NESTING_MAX:
        return raw
    entity = read_entity(raw, default_type, is_letter=depth == 0)
    if entity.is_repaired or not entity.content.is_certain or entity.content.media_type in SEALED:
        return raw
    return raw[: len(raw) - len(entity.body)] + _body(entity, depth)


def _body(entity: Entity, depth: int) -> bytes:
    if entity.content.media_type in LETTERS:
        return _closed(entity.body, b"text/plain", depth + 1)
    if not entity.content.is_multipart:
        return entity.body
    boundary, pieces = entity.split()
    default_type = type_of_parts(entity.content.media_type)
    for at in range(2, len(pieces), 2):
        if closes(pieces[at - 1], boundary):
            return b"".join(pieces)
        pieces[at] = pieces[at][:2] + _closed(pieces[at][2:], default_type, depth + 1)
    if len(pieces) == 1 or any(delimiter.lstrip(b"\r\n") != b"--" + boundary for delimiter in pieces[1::2]):
        return entity.body  # programs differ about a blank at the end of a boundary line
    end = b"\r\n" if pieces[-1].endswith(b"\r\n") else b""
    return b"".join(pieces) + b"\r\n--" + boundary + b"--" + end
