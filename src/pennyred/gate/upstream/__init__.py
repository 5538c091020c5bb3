"""The mail server behind the gate, spoken to as a client: SMTP or LMTP."""
