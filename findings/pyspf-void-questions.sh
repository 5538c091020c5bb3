#!/usr/bin/env bash
# A plain `mx` is a permanent SPF error for every IPv6 client, where three mail servers have no IPv6 address.
#
# Guess: RFC 7208 section 4.6.4 lets two *terms* be void ("the number of 'terms' for which DNS queries return ... an answer
#   count of 0"), so a record with one such term, `v=spf1 mx ip6:... -all`, lets the listed IPv6 client in.
# Reality: pyspf counts *questions*. For an IPv6 client it asks the AAAA of each mail server of `mx`, matching or not; the
#   third that has only an A ends the judgement: permerror. An IPv4 client of the same domain passes.
# Version: pyspf 2.0.14, with dnspython 2.7.0.
# Source: RFC 7208 section 4.6.4; https://github.com/sdgathman/pyspf/issues/44 and /40 (closed as it is).
# Why it matters: mail servers behind IPv4 alone beside senders with IPv6 are common (a hoster's MX, an office that sends by
#   IPv6). DMARC takes permerror for "not proven", so wanted mail is refused for its sender's IPv6, and nothing is wrong with
#   the record. postfix-policyd-spf-python is the same library. Count by terms: reset a flag in `check_lookups`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pyspf==2.0.14 dnspython==2.7.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import spf

assert version("pyspf") == "2.0.14", version("pyspf")
print("pyspf", version("pyspf"))

ZONE = {("example.org", "MX"): [(n, f"mx{n}.example.org") for n in range(4)]}
ZONE |= {(f"mx{n}.example.org", "A"): [f"192.0.2.{n + 1}"] for n in range(4)}
asked = []


def answer(name, qtype, *_):
    """What a name server says, without one: the library's own place for another resolver."""
    asked.append((name, qtype))
    return [((name, qtype), value) for value in ZONE.get((name, qtype), [])]


spf.DNSLookup = answer


def judged(client):
    asked.clear()
    query = spf.query(i=client, s="ann@example.org", h="client.example.org")
    result, _, words = query.check(spf="v=spf1 mx ip6:2001:db8::7 -all")
    print(f"{client}: {result} ({words}), void: {query.void_lookups}, asked: {asked}")
    return result


assert spf.MAX_VOID_LOOKUPS == 2
assert judged("192.0.2.4") == "pass"
assert judged("2001:db8::7") == "permerror", "it counts terms now: this is no surprise any more"
assert [one for one in asked if one[1] == "AAAA"] == [(f"mx{n}.example.org", "AAAA") for n in range(3)]
print("One term, three void questions: permerror for a client that the record lists.")
PYTHON
