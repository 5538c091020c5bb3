"""What stands between a provider and the gate: gateways that tag and filter, forwarders, mailing lists; imitated, as `providers` are."""

from tests.wire.paths.hop import Hop, add, below, change, drop, put, together, write
from tests.wire.paths.letters import PLAIN
from tests.wire.paths.providers import signed_by_provider
from tests.wire.paths.table import Path
from tests.wire.paths.world import FRONT, SEEN, sealed, signed

GATEWAYS = (
    Path("Exchange transport rule: `[EXTERNAL]` before the Subject", "stamped-modified", "subject", alter=change("Subject", "[EXTERNAL] {}".format),
         source="office365itpros.com, 2019-03-08"),
    Path("Exchange transport rule: `[EXTERNAL]`, and a banner above the text", "altered-body", "subject, body", "the gate in front of the rule",
         alter=together(change("Subject", "[EXTERNAL] {}".format), write("Shall", "CAUTION: this came from outside.\r\n\r\nShall")),
         source="office365itpros.com, 2019-03-08"),
    Path("Cisco ESA: `[SUSPECTED SPAM]` before the Subject", "stamped-modified", "subject", alter=change("Subject", "[SUSPECTED SPAM] {}".format),
         source="emailsecurityblog.info"),
    Path("Cisco ESA: `[WARNING: VIRUS REMOVED]`", "altered-headers", "subject", "the gate in front of it, or the receiver names it in `subject_tags`",
         alter=change("Subject", "[WARNING: VIRUS REMOVED] {}".format), source="Cisco AsyncOS user guide, Anti-Virus"),
    Path("two tags in brackets", "altered-headers", "subject", "the gate in front of one of them", alter=change("Subject", "[EXTERNAL] [SPAM] {}".format),
         source="STAMP.md"),
    Path("SpamAssassin, amavis, rspamd: `***SPAM***`", "altered-headers", "subject", "the gate in front of it, or the receiver names it in `subject_tags`",
         alter=change("Subject", "***SPAM*** {}".format), source="rspamd, actions.conf; amavisd.conf, $sa_spam_subject_tag"),
    Path("Exclaimer, CodeTwo: a footer, then signed as the sender's domain", "stamped-modified", "body",
         alter=together(below("-- \nAnn Roe, Tea Ltd.\n"), signed), source="codetwo.com user guide"),
    Path("a footer, then signed by OpenDKIM as it is installed (`h=From:To:Date:Subject:From`)", "stamped-modified", "body",
         alter=together(below("-- \nTea Ltd.\n"), lambda letter: signed(letter, include_headers=[b"from", b"to", b"date", b"subject", b"from"])),
         source="opendkim 2.11.0~beta2-8 was run"),
    Path("Exclaimer, CodeTwo: a footer, then signed as the provider's domain only", "altered-body", "body", "DKIM for your own domain", alter=together(below("-- \nTea Ltd.\n"), signed_by_provider),
         source="codetwo.com user guide"),
    Path("a filter with a banner, whose Authentication-Results the gate believes (`fronts`)", "stamped-modified", "body", letter=signed(PLAIN),
         alter=together(write("Shall", "CAUTION: this came from outside.\r\n\r\nShall"), add(f"Authentication-Results: front.example; {SEEN}")),
         settings={"source": FRONT}, source="RFC 8601"),
    Path("an antivirus program's footer", "altered-body", "body", "switch it off, or sign behind it", alter=below("-- \nThis letter was scanned.\n"),
         source="no document of one was found"),
    Path("a forwarder that adds Received, Delivered-To, Resent- fields", "stamped",
         alter=add("Received: from a by b; Wed, 18 Nov 2026 10:00:01 +0000", "Delivered-To: bob@example.net", "Resent-From: bob@example.com"), source="RFC 5322, section 3.6.6"),
    Path("fields in another order", "stamped", alter=together(drop("date"), put("Date", "Wed, 18 Nov 2026 10:00:00 +0000")), source="RFC 5322, section 3.6"),
)  # fmt: skip
FOOTED = together(
    change("Subject", "[tea] {}".format),
    below("_______________\ntea mailing list\n"),
    add("List-Id: <tea.lists.example>"),
)


LISTS = (
    Path("Mailman, From replaced (`munge_from`)", "altered-headers", "from, reply-to, subject, body", "the list stamps its own letters",
         alter=together(change("From", "Ann via Tea <tea@lists.example>".format), put("Reply-To", "Ann <ann@sender.example>"), FOOTED),
         source="docs.mailman3.org, DMARC mitigations"),
    Path("a list with tag and footer, which nobody vouches for", "altered-body", "subject, body", "the list stamps its own letters", alter=FOOTED,
         source="docs.mailman3.org, list settings"),
    Path("a list with tag and footer, whose ARC seal the gate believes (`arc_sealers`)", "stamped-modified", "subject, body", alter=together(FOOTED, sealed), source="RFC 8617"),
    Path("a list that alters nothing", "stamped", alter=add("List-Id: <tea.lists.example>", "Precedence: list"), source="docs.mailman3.org, list settings"),
)  # fmt: skip

CARRIERS = ((Hop, GATEWAYS), (Hop, LISTS))
