"""The settings file that `pennyred init` writes, with the usual keys; config/pennyred.toml has all keys."""

import json
from collections.abc import Sequence

_TEMPLATE = """\
# Penny Red: a gate in front of a mail server, and the post office whose stamps it takes.
# Check with: pennyred check. Run with: pennyred serve. Every key is explained in: pennyred examples pennyred.toml

[gate]
listen = ["127.0.0.1:2525"]           # ["0.0.0.0:25", "[::]:25"] on a real MX
upstream = "{upstream}"
upstream_identity = "xclient"         # tell the mail server who the client is; without that it is an open relay
hostname = "{hostname}"
{domains}
mode = "monitor"                      # then "bulk", then perhaps "require"
pass_key = "gate-pass.key"            # the same file on every gate of yours
# tls_certificate = "mx.pem"
# tls_key = "mx.key"
# help_url = "https://example.org/postage"

[gate.exempt]
# networks = ["192.0.2.0/24"]
# senders = {{"newsletter.example" = []}}    # where authenticated; or name the networks it is believed from
# recipients = ["sales@example.org"]

# [gate.outgoing]                     # outgoing mail passes here, so that those your users write to may write back free
# listen = ["127.0.0.1:2526"]
# upstream = "smtp://127.0.0.1:10027"

# [gate.quarantine]                   # copies of what is refused: pennyred refused list, show, release
# folder = "refused"

[office]
domain = "{domain}"
listen = "127.0.0.1:8025"
ledger = "sqlite:///ledger.db"
signing_key = "office.key"
"""
_WHAT_DOMAINS_ARE = "# whose mail this is"


def settings_text(*, domain: str, hostname: str, upstream: str, mail_for: Sequence[str]) -> str:
    """The whole file. The values are put in unchecked: read the file afterwards to check it."""
    domains = f"{'' if mail_for else '# '}domains = {json.dumps(list(mail_for) or ['example.org'])}"
    return _TEMPLATE.format(
        domain=domain, hostname=hostname, upstream=upstream, domains=f"{domains:<36}  {_WHAT_DOMAINS_ARE}"
    )
