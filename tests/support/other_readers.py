"""What other programs read of a letter: its parts, their file names, its texts. None of their code is ours."""

import binascii
import email
import email.policy
import json
import re
import shutil
import subprocess
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any, Self

_MIME_TOOLS = Path(__file__).with_name("mime_tools.pl")
_PADDING = re.compile(rb"[ \t]+(?=\r?\n|\Z)")
WHY_NO_MIME_TOOLS = "needs Perl's MIME-tools (apt-get install libmime-tools-perl)"


def plain(content: bytes) -> bytes:
    """A part's content with its line ends as CRLF, and none at its end."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content).rstrip(b"\r\n")


def parts(letter: bytes) -> list[tuple[str, bytes | None]]:
    """The type of every part and what it holds, as Python's library reads it in both of its ways, which must agree."""
    old, new = (_parts(email.message_from_bytes(letter, policy=policy)) for policy in _POLICIES)
    assert old == new
    return old


_POLICIES = (email.policy.compat32, email.policy.default)


def file_names(letter: bytes) -> list[str | None]:
    """The file name of every part."""
    return [part.get_filename() for part in email.message_from_bytes(letter, policy=email.policy.default).walk()]


def subject(letter: bytes) -> str:
    """As a reader sees it."""
    return _characters(str(email.message_from_bytes(letter, policy=email.policy.default)["subject"]))


def people(letter: bytes, field: str = "to") -> list[tuple[str, str]]:
    """Name and address of each; a run of blanks is one, as the library adds some between encoded words."""
    message = email.message_from_bytes(letter, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    read: Any = message[field]
    return [(re.sub(" +", " ", _characters(one.display_name)), _characters(one.addr_spec)) for one in read.addresses]


def _parts(message: Message) -> list[tuple[str, bytes | None]]:
    return [(part.get_content_type(), None if part.is_multipart() else content(part)) for part in message.walk()]


def content(leaf: Message) -> bytes:
    """What a part holds that holds no others, decoded.

    The library takes white space at the end of a line of quoted-printable for text, other than RFC 2045 section 6.7.
    """
    if str(leaf.get("content-transfer-encoding", "")).strip().lower() == "quoted-printable":
        payload = str(leaf._payload).encode("utf-8", "surrogateescape")  # the octets as they came
        return plain(binascii.a2b_qp(_PADDING.sub(b"", payload)))
    decoded = leaf.get_payload(decode=True)
    return plain(decoded) if isinstance(decoded, bytes) else b""


def _characters(text: str) -> str:
    """Raw octets as the UTF-8 that they are."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class MimeTools:
    """Perl's MIME-tools, a context manager: one process for many letters."""

    @staticmethod
    def is_available() -> bool:
        """Whether it is installed here."""
        perl = shutil.which("perl")
        asked = perl and subprocess.run([perl, "-MMIME::Parser", "-e1"], capture_output=True, check=False)
        return bool(asked) and asked.returncode == 0

    def __enter__(self) -> Self:
        command = ["perl", str(_MIME_TOOLS)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.communicate(timeout=20)

    def read(self, letter: bytes) -> dict[str, Any]:
        """`parts` (each with `type`, `name` and `content`) and `texts` (Subject, From, To, Cc)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d\n%b" % (len(letter), letter))
        self._process.stdin.flush()
        read: dict[str, Any] = json.loads(self._process.stdout.readline())
        for part in read.get("parts", []):
            if "content" in part:
                part["content"] = plain(bytes.fromhex(part["content"]))
        return read
