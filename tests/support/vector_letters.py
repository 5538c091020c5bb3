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
    "odd-lines": b"From ann Wed Nov 18 2026\r\nno field at all\r\n" + PLAIN.replace(b"Subject:", b"SUBJECT :"),
}
"""File name in tests/vectors/letters, without `.eml`, to octets."""
