"""An example of each request body, for the API's description."""

from typing import Any

from litestar.openapi.spec import Example

_SERIAL = "3q2+7wAAAAAAAAAAAAAAAQ=="
_LETTER = "pI9o8wVkGzdSOAGaSJ1sFQzEeRPzTB4qGm5fMDjN0lE="
_TX = "AAECAwQFBgcICQoLDA0ODw=="
_ACCOUNT = "k3v2mzq7p4xw5abc"
_STAMP = "v=2;a=ed25519-sha256;i=post.example.org;... (the field without its salt, STAMP.md 3.7)"
_USE = {"issuer": "post.example.org", "account": _ACCOUNT, "expiry_day": 20790, "serial": _SERIAL, "letter": _LETTER}


def _only(summary: str, value: dict[str, Any]) -> list[Example]:
    return [Example(summary=summary, value=value)]


OPEN = _only(
    "Ann opens an account", {"address": "ann@example.com", "key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
)
PURCHASE = _only("a voucher", {"method": "voucher", "code": "PENNY-RED-1841-ABCD", "stamps": 100})
RECEIPTS = _only("what a stamp was used for", {"stamps": [{"expiry_day": 20790, "serial": _SERIAL}]})
DOMAIN = _only("a domain of the receiver's", {"domain": "example.net"})
HOLD = _only(
    "the stamp of one recipient",
    {
        "holds": [
            {
                "tx": _TX,
                "group": 0,
                "stamp": _STAMP,
                "domain": "example.net",
                "letter": _LETTER,
            }
        ],
        "lease_seconds": 1320,
    },
)
SETTLE = [
    *_only("the letter was delivered", {"settles": [_USE]}),
    *_only(
        "the hold may have been forgotten meanwhile", {"settles": [{**_USE, "stamp": _STAMP, "domain": "example.net"}]}
    ),
]
VOID = _only("it was not", {"voids": [{**_USE, "tx": _TX}]})
