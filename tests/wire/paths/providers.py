"""Providers that send for others. None can be run here: each is imitated by what is written of it, named beside it."""

from tests.wire.paths import letters
from tests.wire.paths.hop import (
    Hop,
    add,
    as_encoded_words,
    below,
    drop,
    in_one_line,
    put,
    together,
    write,
)
from tests.wire.paths.table import Path
from tests.wire.paths.world import ESP, signed

NEW_ID = put("Message-ID", "<0100018f-8d1c@esp.example>")
NEW_DATE = put("Date", "Wed, 18 Nov 2026 10:00:07 +0000")
TRACKED = write("https://tea.example/", "https://click.esp.example/t/8f2c")
SES = "docs.aws.amazon.com/ses/latest/dg/header-fields.html"
OWN_SIGNATURE = "have it sign as your own domain (DKIM), or switch tracking off"


def signed_by_provider(letter: bytes) -> bytes:
    return signed(letter, ESP)


PATHS = (
    Path("Amazon SES, SMTP", "stamped-modified", "date, message-id", alter=together(NEW_ID, NEW_DATE), source=SES),
    Path("Amazon SES, API v2: each value in one line of at most 870 characters", "stamped-modified", "date, message-id",
         alter=together(in_one_line, NEW_ID, NEW_DATE), source="docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html"),
    Path("Outlook.com, Exchange Online: SMTP", "stamped-modified", "message-id",
         alter=put("Message-ID", "<AM9P1@EURP194.PROD.OUTLOOK.COM>", keep_as="X-Microsoft-Original-Message-ID"),
         source="chatmail/core#2250; msmtp#190; git send-email --outlook-id-fix"),
    Path("Outlook.com, Exchange Online: Graph, JSON (`internetMessageHeaders`)", "stamped-modified", "message-id", alter=together(in_one_line, NEW_ID),
         source="learn.microsoft.com/answers 762243"),
    Path("Outlook.com, Exchange Online: Graph, JSON, several stamps in one field (`stamp --one-field`)", "stamped-modified", "message-id", options=("--one-field", "--to=carl@example.net"),
         alter=together(in_one_line, NEW_ID), source="learn.microsoft.com/answers 762243"),
    Path("Outlook.com, Exchange Online: Graph, raw MIME", "no-stamp", "message-id, x-postage-stamp", "SMTP, or JSON", alter=together(drop("x-"), NEW_ID),
         source="microsoftgraph/microsoft-graph-docs#17444; warmbly#193"),
    Path("Exchange on-premises, a mailbox that does not know the field", "no-stamp", "message-id, x-postage-stamp",
         "make the field known to it (“Provision x-headers by using EWS”)", alter=together(drop("x-postage"), NEW_ID), source="MS-OXCMAIL 2.1.3.2.11"),
    Path("Exchange on-premises, by MAPI: the letter made anew", "altered-body", "content-type, content-transfer-encoding, body", "SMTP", letters.HTML,
         alter=together(put("Content-Type", 'text/html; charset="us-ascii"'), put("Content-Transfer-Encoding", "quoted-printable"),
                        write("<p>", '<p class=3D"MsoNormal">')), source="MS-OXCMAIL 2.1.3"),
    Path("Brevo", "stamped-modified", "message-id", alter=put("Message-ID", "<202611181000.1@smtp-relay.mailin.fr>", keep_as="Origin-messageId"),
         source="PHPMailer#2859"),
    Path("Postmark", "stamped-modified", "message-id", alter=NEW_ID, source="craigpaul/laravel-postmark#44"),
    Path("Postmark with `X-PM-KeepID: true`", "stamped", alter=add("X-PM-Message-Id: 8f2c"), source="nodemailer-postmark-transport#41"),
    Path("Mailjet, API", "stamped-modified", "message-id", alter=NEW_ID, source="symfony#44000"),
    Path("Emailit", "stamped-modified", "subject, date, message-id", letter=letters.ENCODED_SUBJECT,
         alter=together(NEW_ID, NEW_DATE, put("Subject", "=?UTF-8?B?R3LDvG5lciBUZWUgdW5kIEthZmZlZQ==?=")), source="emailit.com/docs/smtp/headers"),
    Path("Cloudflare Email", "stamped-modified", "date, message-id", alter=together(NEW_ID, NEW_DATE),
         source="developers.cloudflare.com/email-service/reference/headers"),
    Path("Mandrill: each sees only himself in To", "stamped-modified", "to", letter=letters.TO_FRIENDS, alter=put("To", "bob@example.net"),
         source="mandrill.zendesk.com 360039280433"),
    Path("Mailgun", "stamped", alter=together(add("X-Mailgun-Sid: 8f2c"), signed_by_provider), source="mailgun.js#394"),
    Path("Mailgun, links tracked, signed as the sender's domain", "stamped-modified", "body", letter=letters.HTML, alter=together(TRACKED, signed),
         source="documentation.mailgun.com, tracking"),
    Path("whoever tracks links and signs as his own domain only", "altered-body", "body", OWN_SIGNATURE, letters.HTML,
         alter=together(TRACKED, signed_by_provider), source="anymail#108"),
    Path("SendGrid, links tracked, signed as the sender's domain", "stamped-modified", "body", letter=letters.HTML, alter=together(TRACKED, signed),
         source="anymail#108"),
    Path("whoever adds a picture that counts openings, and signs as the sender's domain", "stamped-modified", "body", letter=letters.HTML,
         alter=together(below('<img src="https://open.esp.example/8f2c">\n'), signed), source="anymail#108"),
    Path("Gmail, Yahoo: SMTP", "stamped", alter=add("X-Google-DKIM-Signature: v=1", "X-Gm-Message-State: AOJu0Y"), source="Mailpile#1997; go-simple-mail#47"),
    Path("Gmail, a From that is no verified alias", "altered-headers", "from", "verify the alias (“Send mail as”)",
         alter=put("From", "Ann <ann.roe@gmail.example>", keep_as="X-Google-Original-From"), source="gophish#1311; smtprelay#147"),
    Path("Gmail, API", "stamped-modified", "message-id", alter=NEW_ID, source="omamail PR#85"),
    Path("Fastmail", "stamped-modified", "message-id", alter=NEW_ID, source="Mailpile#1997"),
    Path("iCloud", "stamped", alter=add("X-Apple-Seen: yes"), source="blog of Follow Up Boss, 2016-07"),
    Path("Proton (Bridge): the letter made anew", "no-stamp", "content-type, content-transfer-encoding, x-postage-stamp, body", "another way: no field survives", letters.TWO_PARTS,
         alter=together(drop("x-postage", "content-"), add("Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable"), write("--b", "")),
         source="proton-bridge#186, #306, #461"),
    Path("whoever unfolds the stamp", "stamped", alter=in_one_line, source="RFC 5322, section 2.2.3"),
    Path("whoever makes encoded words of the stamp", "malformed", "x-postage-stamp", "another program: it is no text", alter=as_encoded_words,
         source="RFC 2047, section 5, forbids it in structured fields"),
    Path("whoever puts Date into another zone", "stamped-modified", "date", alter=put("Date", "Wed, 18 Nov 2026 11:00:00 +0100"), source="RFC 5322, section 3.3"),
)  # fmt: skip

CARRIERS = ((Hop, PATHS),)
