"""Every way to end a letter that somebody has ever taken for one."""

import re


def by_postfix(text: bytes) -> bytes:
    """The text with its line ends as Postfix reads them, the NULs gone: slowly, by the book."""
    *lines, rest = text.split(b"\n")
    mended = [line.rstrip(b"\r").replace(b"\r", b" ") + b"\r\n" for line in lines]
    return b"".join([*mended, rest.replace(b"\r", b" ")]).replace(b"\0", b"")


def is_mended(text: bytes) -> bool:
    """Whether it has a CR or LF that is no half of a CRLF, or a NUL."""
    return re.search(rb"(?<!\r)\n|\r(?!\n)|\0", text) is not None


FALSE_ENDS = [
    b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\n\r.\n\r", b"\r\n\r.\r\n",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n\0.\0\r\n", b"\r\0\n.\r\n", b"\r\n.\r\0\n", b"\0\r\n\0\0.\r\n", b"\r\n.\0x\r\n",
    b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n..\r\n", b"\r\n\0..\r\n", b"\n..\n",
    b"\r\r\r\n.\r\r\r\n", b"\r\n.\r\0\r\n", b"\r\0\n.\r\0\n", b"\r\r\0\n.\r\n", b"\r\0\r.\r\n", b"\r\0\r\n..\r\n",
    b"\r\r\n\r.\r\n", b"\r\r\n..\r\r\n", b"\n\r\n\r.\n",
]  # fmt: skip
TRUE_ENDS = [
    b"\r\n.\r\n", b"\r\r\n.\r\n", b"\0\r\n.\r\n", b"\n\r\n.\r\n", b"\r\r\r\n.\r\n", b"\r\0\r\n.\r\n", b"\0\r\r\n.\r\n",
]  # fmt: skip
