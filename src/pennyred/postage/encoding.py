"""Canonical base64 and integers (STAMP.md 2): each value has exactly one spelling, so nothing signed has two."""

import binascii
import re

from pennyred.postage.errors import Malformed

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON implementation carries exactly (RFC 8259 section 6)."""
_INTEGER = re.compile(rb"0|[1-9][0-9]{0,15}")
SHORT_INTEGER = rb"(?:0|[1-9][0-9]{0,14})"
"""Matches canonical integers that surely are within `INTEGER_MAX`: any time and price."""


def encode_base64(value: bytes) -> bytes:
    """Base64 of RFC 4648 section 4, with padding, on one line."""
    return binascii.b2a_base64(value, newline=False)


def decode_base64(text: bytes, *, length: int | None = None, length_max: int = 4096) -> bytes:
    """The bytes of a canonical base64 text.

    Raises `Malformed` for any other spelling, for other than `length` bytes, or for more than `length_max`.
    """
    if len(text) > 4 * (length_max // 3 + 1):
        raise Malformed("base64 value too long")
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Malformed("not base64") from error
    if binascii.b2a_base64(value, newline=False) != text:
        raise Malformed("base64 is not canonical")
    if len(value) > length_max or (length is not None and len(value) != length):
        raise Malformed("base64 value of a wrong length")
    return value


def base64_pattern(length: int) -> bytes:
    """An expression that matches the canonical base64 of so many bytes and nothing else: unused bits are zero."""
    whole, rest = divmod(length, 3)
    ending = (b"", b"[A-Za-z0-9+/][AQgw]==", b"[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=")[rest]
    return b"[A-Za-z0-9+/]{%d}%b" % (4 * whole, ending)


def encode_integer(value: int) -> bytes:
    """Decimal digits without sign or leading zeros."""
    return b"%d" % value


def decode_integer(text: bytes) -> int:
    """The value of canonical decimal digits up to `INTEGER_MAX`; raises `Malformed` for anything else."""
    if not _INTEGER.fullmatch(text) or (value := int(text)) > INTEGER_MAX:
        raise Malformed("not a canonical integer")
    return value
