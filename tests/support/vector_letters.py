"""The letters of the test vectors: one as it was stamped, and what may become of it on the way."""

PLAIN = (
    b"From: Ann <ann@sender.example>\r\n"
    b"To: Bob <bob@example.org>,\r\n"
    b"\tCarol <carol@example.org>\r\n"
    b"Subject: Tea  at\tfive\r\n"
    b"Date: Wed, 18 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@sender.example>\r\n"
    b"\r\n"
    b"Shall we  have tea?\t \r\n"
    b"\r\n"
    b"Ann\r\n"
    b"\r\n"
    b"\r\n"
)
QUOTING = PLAIN.partition(b"Shall")[0].replace(
    b"\r\n\r\n", b'\r\nContent-Type: multipart/mixed; boundary="outer"\r\n\r\n'
) + (
    b"--outer\r\n\r\nEve asks for money; do not pay:\r\n"
    b"--outer\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n"
    b"--inner\r\n\r\nPay me at once!\r\n--inner--\r\n--outer--\r\n"
)

LETTERS = {
    "plain": PLAIN,
    "relayed": b"Received: from a by b; Wed, 18 Nov 2026 10:00:01 +0000\r\nX-Spam-Score: 0\r\n" + PLAIN,
    "refolded": PLAIN.replace(b">,\r\n\tCarol", b">, Carol").replace(b"Tea  at\tfive", b"Tea at\r\n five"),
    "footer": PLAIN + b"-- \r\nThis letter was scanned.\r\n",
    "white-space-in-the-body": PLAIN.replace(b"we  have tea?\t ", b"we have tea?") + b"\r\n",
    "other-subject": PLAIN.replace(b"Tea", b"Pills"),
    "second-from": b"From: Eve <eve@elsewhere.example>\r\n" + PLAIN,
    "from-below": PLAIN.replace(b"\r\n\r\n", b"\r\nFrom: Eve <eve@elsewhere.example>\r\n\r\n", 1),
    "added-cc": PLAIN.replace(b"Subject:", b"Cc: eve@elsewhere.example\r\nSubject:"),
    "no-date": PLAIN.replace(b"Date: Wed, 18 Nov 2026 10:00:00 +0000\r\n", b""),
    "no-from": PLAIN.partition(b"\r\n")[2],
    "two-tos": PLAIN.replace(b"Subject:", b"To: dave@example.org\r\nSubject:"),
    "two-tos-swapped": PLAIN.replace(b"To: Bob", b"To: dave@example.org\r\nTo: Bob"),
    "no-body": PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n",
    "utf-8": PLAIN.replace(b"Tea", "Thé".encode()).replace(b"bob@example.org", "jürgen@bücher.example".encode()),
    "spelled-anew": PLAIN.replace(b"From: Ann <ann@sender.example>", b'From: "Ann" <ann@SENDER.example>')
    .replace(b"Bob <bob@example.org>,\r\n\tCarol <carol@example.org>", b'"Carol" <carol@example.org>,bob@example.org')
    .replace(b"Tea  at\tfive", b"=?utf-8?q?Tea_at?= =?utf-8?b?IGZpdmU=?="),
    "other-date-and-id": PLAIN.replace(b"Wed, 18", b"Thu, 19").replace(b"<1@sender", b"<0100@provider"),
    "tagged-subject": PLAIN.replace(b"Subject: ", b"Subject: [EXTERNAL] "),
    "twice-tagged-subject": PLAIN.replace(b"Subject: ", b"Subject: [EXTERNAL] [NEWS] "),
    "advertising-subject": PLAIN.replace(b"Subject: ", b"Subject: [cheap pills at pills.example] "),
    "named-tag": PLAIN.replace(b"Subject: ", b"Subject: ***EXTERNAL MAIL*** "),
    "added-reply-to": PLAIN.replace(b"Subject:", b"Reply-To: eve@elsewhere.example\r\nSubject:"),
    "added-followup-to": PLAIN.replace(b"Subject:", b"Mail-Followup-To: eve@elsewhere.example\r\nSubject:"),
    "other-author": PLAIN.replace(b"ann@sender", b"ann@elsewhere"),
    "second-author": PLAIN.replace(b"Ann <ann@sender.example>", b"Ann <ann@sender.example>, eve@elsewhere.example"),
    "other-text": PLAIN.partition(b"Shall")[0] + b"Cheap pills!\r\n",
    "other-text-and-id": PLAIN.partition(b"Shall")[0].replace(b"<1@", b"<2@") + b"Cheap pills!\r\n",
    "other-text-and-subject": PLAIN.partition(b"Shall")[0].replace(b"Tea", b"Pills") + b"Cheap pills!\r\n",
    "other-letter": PLAIN.partition(b"Shall")[0].replace(b"Tea", b"Pills").replace(b"<1@", b"<2@") + b"Cheap!\r\n",
    "other-letter-of-the-same-subject": PLAIN.partition(b"Shall")[0]
    .replace(b"<1@", b"<2@")
    .replace(b"Wed, 18", b"Thu, 19")
    .replace(b"To: Bob", b"To: Eve <eve@elsewhere.example>, Bob")
    + b"Cheap!\r\n",
    "stray-line": b"Cheap pills\r\n" + PLAIN,
    "stray-field": b"Cheap : pills, come and see\r\n" + PLAIN,
    "html": PLAIN.replace(b"Subject:", b"Content-Type: text/html\r\nSubject:"),
    "base64": PLAIN.replace(b"Subject:", b"Content-Transfer-Encoding: base64\r\nSubject:"),
    "charset-added": PLAIN.replace(b"Subject:", b'Content-Type: Text/Plain; charset="utf-8"\r\nSubject:'),
    "words-before-a-literal": PLAIN.replace(b"Ann <", b"=?utf-8?q?eve=40elsewhere=2Eexample?= [x] <"),
    "file-name": PLAIN.replace(b"Subject:", b"Content-Disposition: attachment;\r\n filename=pills\r\nSubject:"),
    "type-with-a-name": PLAIN.replace(b"Subject:", b"Content-Type: text/plain; NAME=pills\r\nSubject:"),
    "shown-inline": PLAIN.replace(b"Subject:", b"Content-Disposition: Inline\r\nSubject:"),
    "other-base-of-links": PLAIN.replace(
        b"Subject:",
        b"Content-Location: https://pills.example/\r\nContent-Base: https://pills.example/\r\nContent-Description: Pills\r\nSubject:",
    ),
    "had-before": b"Delivered-To: bob@example.org\r\n" + PLAIN,
    "round-in-a-circle": b"Received: from a by b; Wed, 18 Nov 2026 10:00:01 +0000\r\n" * 21 + PLAIN,
    "quoting": QUOTING,
    "quoted-alone": QUOTING.replace(b'"outer"', b'"inner"'),
    "quoted-below-blanks": QUOTING.replace(b"outer\r\n\r\nEve", b"outer\r\n \t\r\nEve", 1),
    "quoting-refolded": QUOTING.replace(b"; boundary", b";\r\n\tboundary", 1),
    "odd-addresses": PLAIN.replace(
        b"To: Bob",
        b'Cc: crew: Sales [EU] <"a b"@[192.0.2.1]>, "x, y: z;" (c, \\) (d)) <e@F.example.>;,\r\n'
        b" 'g@h.example ' <G@h.example>, i..j@k.example (she), =?utf-8?q?L=2C?= <l@m.example>, \"J\xf6rg\" <n@o.example>\r\n"
        b"Reply-To: a b@c.example\r\nTo: Bob",
    ),
    "odd-subjects": PLAIN.replace(
        b"Subject: ",
        b"Subject: =?utf-8*en?q?=C3?= =?UTF-8?B?qQ?==?utf-8?q??= =?gb2312?b?xOM=?= =?utf-8?q?a?=\r\n =?utf-8?q?=C?= \xe9\r\n"
        b"Subject: =?windows-1252?q?=80=81?= =?windows-1252?q?=80?= e\xcc\x81 =?iso-8859-1?q?=A0=E9?=\r\nSubject: ",
    ),
    "odd-lines": b"From ann Wed Nov 18 2026\r\nno field at all\r\n" + PLAIN.replace(b"Subject:", b"SUBJECT :"),
}
"""File name in tests/vectors/letters, without `.eml`, to octets."""
