"""Days as UTC counts them: expiry, caps, allowances and figures are all by this day."""

DAY_SECONDS = 86_400


def utc_day(now: int) -> int:
    """The UTC day of a time in seconds since 1970, as days since 1970-01-01."""
    return now // DAY_SECONDS
