"""`pennyred demo`: all of it, for a minute."""
