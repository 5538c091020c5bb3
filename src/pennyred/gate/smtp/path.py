"""The arguments of MAIL and RCPT: the gate reads what it needs, and the mail server gets them as they came.

More is accepted than RFC 5321 section 4.1.2 allows, because the mail server may accept it: dots in odd places, no angle
brackets, a space after the colon. But nothing is accepted that two programs could read in two ways: no unclosed
bracket, no second unquoted `@`, no control character. Only the parameters that concern the gate are understood here.
"""

import re
from typing import NamedTuple

from pennyred.postage.errors import MalformedAddress

CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
"""Control characters, which no command may hold."""
_LOCAL = rb'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"|[^\x00-\x20"\\<>@,:;()\[\]\x7f])+'
_DOMAIN = rb'(?:\[[^\x00-\x20\[\]\\<>@\x7f]+\]|[^\x00-\x20"\\<>@,:;()\[\]\x7f]+)'
_ROUTE = rb"(?:@" + _DOMAIN + rb"(?:,@" + _DOMAIN + rb")*:)?"
_MAILBOX = _LOCAL + rb"(?:@" + _DOMAIN + rb")?"
_PARAMETERS = rb"(?P<parameters>(?:[ ]+[^\x00-\x20\x7f]+)*)[ ]*"
_PATH = rb"(?:<" + _ROUTE + rb"(?P<angled>" + _MAILBOX + rb")>|(?P<bare>" + _MAILBOX + rb"))"
_MAIL = re.compile(rb"FROM:[ ]*(?:<>|" + _PATH + rb")" + _PARAMETERS, re.IGNORECASE)
_RCPT = re.compile(rb"TO:[ ]*" + _PATH + _PARAMETERS, re.IGNORECASE)
_SIZE_PARAMETER = re.compile(rb"[ ]+SIZE=[0-9]+(?=[ ]|$)", re.IGNORECASE)
_SIZE_DIGITS_MAX = 20
"""The most digits of SIZE= (RFC 1870 section 4)."""


class PathArgument(NamedTuple):
    """The argument of MAIL or RCPT, parsed."""

    mailbox: bytes
    """The mailbox as received, without brackets and source route; empty for the null reverse-path `<>`."""
    parameters: tuple[tuple[bytes, bytes | None], ...]
    """Pairs of keyword (in upper case) and value (as received; None if there is no `=`)."""
    size: int | None = None
    """The value of SIZE=, in octets (RFC 1870); None without it."""
    is_utf8: bool = False
    """Whether SMTPUTF8 is among the parameters (RFC 6531)."""
    is_binary: bool = False
    """Whether BODY=BINARYMIME is among the parameters (RFC 3030 section 3)."""
    is_tls_required: bool = False
    """Whether REQUIRETLS is among the parameters (RFC 8689 section 3)."""
    is_ascii: bool = True
    """Whether mailbox and parameters are ASCII only."""


def parse_mail(argument: bytes) -> PathArgument:
    """Read what follows `MAIL `; raises `MalformedAddress`."""
    return _parse(_MAIL, argument, "MAIL FROM:<address>")


def parse_rcpt(argument: bytes) -> PathArgument:
    """Read what follows `RCPT `; raises `MalformedAddress`."""
    return _parse(_RCPT, argument, "RCPT TO:<address>")


def without_size(line: bytes) -> bytes:
    """The MAIL line without its SIZE parameter, for a mail server that does not offer SIZE.

    Only what follows the path is searched: a quoted local part may hold the same words (RFC 5321 section 4.1.2).
    """
    argument = line.partition(b" ")[2].lstrip(b" ")
    found = _MAIL.fullmatch(argument)
    if found is None or not found["parameters"]:
        return line
    path_end = len(line) - len(argument) + found.start("parameters")
    return line[:path_end] + _SIZE_PARAMETER.sub(b"", line[path_end:])


def _parse(pattern: re.Pattern[bytes], argument: bytes, form: str) -> PathArgument:
    found = pattern.fullmatch(argument)
    if found is None:
        raise MalformedAddress(f"Syntax: {form} [parameters]")
    mailbox = found["angled"] or found["bare"] or b""
    parameters = found["parameters"]
    if argument.isascii():
        return _with_parameters(mailbox, parameters.split()) if parameters else PathArgument(mailbox, ())
    try:
        argument.decode()
    except UnicodeDecodeError:
        raise MalformedAddress("An address beyond ASCII must be UTF-8") from None
    return _with_parameters(mailbox, parameters.split())._replace(is_ascii=mailbox.isascii() and parameters.isascii())


def _with_parameters(mailbox: bytes, words: list[bytes]) -> PathArgument:
    parameters = []
    size = None
    is_utf8 = is_binary = is_tls_required = False
    for word in words:
        keyword, equals, value = word.partition(b"=")
        keyword = keyword.upper()
        if not keyword.replace(b"-", b"").isalnum():
            raise MalformedAddress("A parameter's keyword is letters, digits and hyphens")
        parameters.append((keyword, value if equals else None))
        if keyword == b"SIZE":
            if not value.isdigit() or len(value) > _SIZE_DIGITS_MAX:
                raise MalformedAddress("SIZE= takes a number")
            size = int(value)
        elif keyword == b"SMTPUTF8":
            is_utf8 = True
        elif keyword == b"REQUIRETLS":
            is_tls_required = True
        elif keyword == b"BODY":
            is_binary = value.upper() == b"BINARYMIME"
    return PathArgument(mailbox, tuple(parameters), size, is_utf8, is_binary, is_tls_required)
