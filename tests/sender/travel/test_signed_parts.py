"""A signed part is never altered: OpenSSL holds its signature for good whatever was mended around it."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.preparing import is_safe, make_safe

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl (apt-get install openssl)")

EIGHT = "Greetings from Köln on a fine day in May\r\n".encode()
CONTENT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nShall we =C3=BC?\r\n"
HEAD = b"From: Ann <ann@sender.example>\r\nTo: bob@example.org\r\n"


@pytest.fixture(scope="module")
def openssl(tmp_path_factory) -> Callable[..., bytes]:
    """Runs it in a folder with a key and a certificate of Ann's own."""
    folder = tmp_path_factory.mktemp("openssl")

    def run(*arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(
            ["openssl", *arguments], cwd=folder, input=data, capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.stdout

    run(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "cert",
        "-subj",
        "/CN=ann@sender.example",
    )
    return run


@pytest.fixture(scope="module")
def signed(openssl) -> bytes:
    """A multipart/signed entity, with the MIME fields that make it one."""
    made = openssl("cms", "-sign", "-signer", "cert", "-inkey", "key", "-md", "sha256", "-binary", data=CONTENT)
    return made[made.index(b"Content-Type: multipart/signed") :].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def holds(openssl, entity: bytes) -> bool:
    """Whether OpenSSL verifies the signature, over the content as it was."""
    return openssl("cms", "-verify", "-CAfile", "cert", "-purpose", "any", data=entity) == CONTENT


def with_preamble(entity: bytes, text: bytes) -> bytes:
    header, _, body = entity.partition(b"\r\n\r\n")
    first = body.index(b"--")
    return header + b"\r\n\r\n" + text + body[first:]


def test_what_openssl_signs_it_verifies(openssl, signed):
    """Else the other tests would say nothing."""
    assert holds(openssl, signed)
    with pytest.raises(RuntimeError):
        holds(openssl, signed.replace(b"Shall", b"Shell"))


@pytest.mark.parametrize(
    "mend",
    [
        lambda letter: letter.replace(b"From: Ann", "From: Änn".encode()),
        lambda letter: with_preamble(letter, EIGHT),
        lambda letter: with_preamble(letter, b"x" * 2000 + b"\r\n"),
        lambda letter: letter + EIGHT,
        lambda letter: letter.replace(b"\r\n", b"\n"),
        lambda letter: b"From ann today\r\n" + letter,
        lambda letter: letter.replace(b"\r\n\r\n", b"\r\n", 1),
        lambda letter: with_preamble(letter, b"").replace(b"\r\n\r\n--", b"\r\n--", 1),
    ],
    ids=["name", "preamble", "long preamble", "epilogue", "line ends", "mailbox", "no empty line", "boundary at once"],
)
def test_what_is_not_signed_of_a_signed_letter_may_be_mended(openssl, signed, mend):
    letter = mend(HEAD + b"MIME-Version: 1.0\r\n" + signed)

    safe = make_safe(letter, eight_bit=False)

    assert safe != letter
    assert is_safe(safe, eight_bit=False)
    assert holds(openssl, safe)


def test_beside_a_part_that_is_encoded_it_stays_to_the_octet(openssl, signed):
    other = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + EIGHT
    parts = b"".join(b"--outer\r\n%s\r\n" % part for part in (other, signed, other))
    letter = HEAD + b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n" + parts + b"--outer--\r\n"

    safe = make_safe(letter, eight_bit=False)

    assert b"quoted-printable\r\n\r\nGreetings" in safe
    assert signed in safe
    assert holds(openssl, safe.split(b"--outer\r\n")[2])


@pytest.mark.parametrize("eight_bit", [False, True])
@pytest.mark.parametrize("text", [EIGHT, b"x" * 2000 + b"\r\n"], ids=["eight bits", "a long line"])
def test_what_is_signed_travels_as_it_is_or_not_at_all(openssl, eight_bit, text):
    content = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text
    made = openssl("cms", "-sign", "-signer", "cert", "-inkey", "key", "-md", "sha256", "-binary", data=content)
    letter = HEAD + made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    if eight_bit and text is EIGHT:
        assert make_safe(letter, eight_bit=True) is letter
    else:
        with pytest.raises(MalformedLetter, match="altering it would break it"):
            make_safe(letter, eight_bit=eight_bit)
