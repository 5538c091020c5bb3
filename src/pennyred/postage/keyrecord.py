"""An office's public key as a TXT record at `<selector>._postage.<domain>` (STAMP.md 7.4)."""

from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import KeyWithdrawn, Malformed, MalformedKey
from pennyred.postage.signing import is_sound
from pennyred.postage.taglist import Tag, parse_tag_list

RECORD_BYTES_MAX = 1024


def format_key_record(public: bytes) -> str:
    """The text of a key record: at most 255 bytes, so that it fits into one string of a TXT record."""
    return f"v=pennyred1; k=ed25519; p={encode_base64(public).decode()}"


def parse_key_record(text: str) -> bytes:
    """Read the public key, 32 bytes, from a key record.

    `text` is the TXT record's strings, joined with nothing between. Unknown tags are ignored. Raises `MalformedKey`,
    also for an unsound key, and its subclass `KeyWithdrawn` for an empty `p`.
    """
    try:
        tags = parse_tag_list(text.encode("ascii"), bytes_max=RECORD_BYTES_MAX)
        public = _public_key(tags[:1], dict(tags))
    except MalformedKey:
        raise
    except (Malformed, UnicodeEncodeError) as error:
        raise MalformedKey("key record: it is not in its form") from error
    if not is_sound(public):
        raise MalformedKey("key record: no key that a signature could be trusted under")
    return public


def _public_key(first: list[Tag], values: dict[str, bytes]) -> bytes:
    if first != [("v", b"pennyred1")] or values.get("k") != b"ed25519":
        raise MalformedKey("not a key record of Penny Red")
    if values.get("p") == b"":
        raise KeyWithdrawn("key record: the key was withdrawn")
    return decode_base64(values.get("p", b""), length=32)
