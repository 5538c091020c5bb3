"""One form of line end, CRLF, made of whatever a letter has (RFC 5321 section 2.3.8 allows no other).

As Postfix reads a letter, which most of the world's mail has passed: CRs before an LF are one line end with it, an LF
alone is one too, and a CR anywhere else is a blank (its `cleanup_replace_stray_cr_lf`). A program that writes a text
file's CRLF as CR CR LF means one line end: with two, a header would be cut in the middle, its rest become body, and a
stamped letter be another one. (With `smtpd_forbid_bare_newline = normalize` Postfix 3.7 takes the CRs too many for
blanks, and the empty line below a header for one that goes on. That is not followed.)
"""

CR_RUN_MAX = 1023
"""So many CRs before an LF are part of a line end, any more are blanks: who reads a stream need not hold back more.
(Postfix holds back up to its `line_length_limit`, 2048.)"""


def with_crlf(octets: bytes) -> bytes:
    """The same text with CRLF as its only line end and no other CR or LF. Time is linear, whatever it is given.

    What is given in pieces comes out the same if no piece but the last ends within a run of CRs.
    """
    if octets.count(b"\r") != octets.count(b"\r\n"):
        run = (CR_RUN_MAX + 1) // 2
        while run:  # each turn takes away as many CRs before an LF, if so many are left: together any number of them
            octets = octets.replace(b"\r" * run + b"\n", b"\n")
            run //= 2
        return octets.replace(b"\r", b" ").replace(b"\n", b"\r\n")
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def file_with_crlf(letter: bytes) -> bytes:
    """A whole letter as a file may have it: without any LF, its CRs are line ends, as they were on old Macintoshes."""
    return with_crlf(letter if b"\n" in letter else letter.replace(b"\r", b"\n"))
