"""An office's public key as a TXT record at `<selector>._postage.<domain>` (STAMP.md 8)."""

from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import Malformed, MalformedKey
from pennyred.postage.taglist import parse_tag_list


def format_key_record(public: bytes) -> str:
    """The record's text."""
    return f"v=pennyred1; k=ed25519; p={encode_base64(public).decode()}"


def parse_key_record(text: str) -> bytes:
    """The public key, 32 bytes; raises `MalformedKey`, also for a revoked one (empty `p`). Unknown tags are ignored."""
    try:
        tags = parse_tag_list(text.encode("ascii"))
        values = dict(tags)
        if tags[:1] != [("v", b"pennyred1")] or values.get("k") != b"ed25519":
            raise MalformedKey("not a key record of Penny Red")
        return decode_base64(values.get("p", b""), length=32)
    except (Malformed, UnicodeEncodeError) as error:
        raise MalformedKey(f"key record: {error}") from error
