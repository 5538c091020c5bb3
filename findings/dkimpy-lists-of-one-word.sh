#!/usr/bin/env bash
# A DKIM key that says what it is for in a list, as it may, makes every signature of it fail.
#
# Guess: RFC 6376 section 3.6.1 has `s=` of a key record as a colon-separated list of services ("email" among them is enough),
#   and section 3.5 has `q=` of a signature as a list of ways to the key, of which the verifier takes one it knows.
# Reality: dkimpy compares the whole value with one word. `s=email:other` leaves the key without a type, and verify() answers
#   False as for a forged letter; `q=dns/txt:other` is a ValidationError, answered False too. `h=` (hashes) is not read at all.
# Version: dkimpy 1.1.8.
# Source: RFC 6376 sections 3.5 and 3.6.1; dkim/__init__.py, evaluate_pk and validate_signature_fields.
# Why it matters: such records are legal and exist (a key shared with another service); DMARC then fails for all mail of the
#   domain, and nothing that the library says tells it from forgery. Read `s=`, `h=`, `t=` and `q=` as lists before it does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check dkimpy==1.1.8 dnspython==2.7.0 pynacl==1.5.0
"$folder/venv/bin/python" - <<'PYTHON'
import base64
from importlib.metadata import version

import dkim
import nacl.signing

assert version("dkimpy") == "1.1.8", version("dkimpy")
print("dkimpy", version("dkimpy"))

LETTER = b"From: ann@example.org\r\nSubject: lunch\r\n\r\nAt noon?\r\n"
private = nacl.signing.SigningKey(bytes(32))
key = f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(private.verify_key)).decode()}"
field = dkim.sign(
    LETTER, b"s", b"example.org", base64.b64encode(bytes(private)), signature_algorithm=b"ed25519-sha256",
    include_headers=[b"from"],
)


def holds(record):
    return dkim.verify(field + LETTER, dnsfunc=lambda *_, **__: record.encode())


for tags, expected in (("", True), ("; s=email", True), ("; s=*", True), ("; s=email:other", False), ("; s=*:email", False)):
    found = holds(key + tags)
    print(f"key{tags or ' without s='}: {found}")
    assert found is expected, "it reads lists now: this is no surprise any more"
assert holds(key + "; h=sha1") is True, "`h=` is read now"
print("key; h=sha1: True, for a signature with SHA-256")

try:
    dkim.validate_signature_fields(
        {b"v": b"1", b"a": b"ed25519-sha256", b"b": b"AAAA", b"bh": b"AAAA", b"d": b"example.org", b"h": b"from", b"s": b"s",
         b"q": b"dns/txt:other"}
    )
except dkim.ValidationError as error:
    print("signature with q=dns/txt:other:", error)
else:
    raise AssertionError("it reads lists now: this is no surprise any more")
PYTHON
