"""Every way to end a letter that somebody has ever taken for one."""

FALSE_ENDS = [
    b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n",
]  # fmt: skip
TRUE_ENDS = [b"\r\n.\r\n", b"\r\r\n.\r\n"]
