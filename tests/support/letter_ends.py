"""Every way to end a letter that somebody has ever taken for one."""

FALSE_ENDS = [
    b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\n\r.\n\r", b"\r\n\r.\r\n",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n\0.\0\r\n", b"\r\0\n.\r\n", b"\r\n.\r\0\n", b"\0\r\n\0\0.\r\n", b"\r\n.\0x\r\n",
    b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n..\r\n", b"\r\n\0..\r\n", b"\n..\n",
]  # fmt: skip
TRUE_ENDS = [b"\r\n.\r\n", b"\r\r\n.\r\n", b"\0\r\n.\r\n", b"\n\r\n.\r\n"]
