"""Turn every line end of a letter into CRLF, the only form that RFC 5321 section 2.3.8 allows.

The rules are those of Postfix, which most of the world's mail has passed. CRs before an LF are one line end together
with it. An LF alone is a line end too. A CR anywhere else becomes a blank (Postfix's `cleanup_replace_stray_cr_lf`). A
program that writes a text file's CRLF as CR CR LF means one line end. If it were two, a header would be cut in the
middle, its rest would become body, and a stamped letter would be a different one. (With
`smtpd_forbid_bare_newline = normalize`, Postfix 3.7 takes the extra CRs for blanks, and the empty line below a header
for a continuation line. That is not followed here.)
"""

CR_RUN_MAX = 1023
"""How many CRs before an LF are part of a line end; any more are blanks. So a reader of a stream need not hold back
more than that. (Postfix holds back up to its `line_length_limit`, 2048.)"""


def with_crlf(octets: bytes) -> bytes:
    """The same text with CRLF as its only line end and no other CR or LF, in linear time.

    A text may be given in pieces, one call for each, if no piece but the last ends inside a run of CRs.
    """
    if octets.count(b"\r") != octets.count(b"\r\n"):
        run = (CR_RUN_MAX + 1) // 2
        while run:  # each turn removes `run` CRs before an LF where there are so many: together, any number
            octets = octets.replace(b"\r" * run + b"\n", b"\n")
            run //= 2
        return octets.replace(b"\r", b" ").replace(b"\n", b"\r\n")
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def file_with_crlf(letter: bytes) -> bytes:
    """A whole letter, read from a file, with CRLF line ends. If it has no LF at all, its CRs are the line ends, as in
    files of old Macintoshes.
    """
    return with_crlf(letter if b"\n" in letter else letter.replace(b"\r", b"\n"))
