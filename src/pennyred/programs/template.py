"""The settings file that `pennyred init` writes: what most people need; config/pennyred.toml has every key."""

TEMPLATE = """\
# Penny Red: a gate in front of a mail server, and the post office whose stamps it takes.
# Check with: pennyred check. Run with: pennyred serve. Every key is explained in config/pennyred.toml of the sources.

[gate]
listen = ["127.0.0.1:2525"]           # ["0.0.0.0:25", "[::]:25"] on a real MX
upstream = "{upstream}"
upstream_identity = "xclient"         # tell the mail server who the client is; without that it is an open relay
hostname = "{hostname}"
mode = "monitor"                      # then "bulk", then perhaps "require"
pass_key = "gate-pass.key"            # the same file on every gate of yours
# tls_certificate = "mx.pem"
# tls_key = "mx.key"
# help_url = "https://example.org/postage"

[gate.exempt]
# networks = ["192.0.2.0/24"]
# senders = {{"newsletter.example" = ["198.51.100.0/24"]}}
# recipients = ["sales@example.org"]

[office]
domain = "{domain}"
listen = "127.0.0.1:8025"
ledger = "sqlite:///ledger.db"
signing_key = "office.key"
"""
