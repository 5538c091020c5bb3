"""Days as UTC counts them: expiry, caps, allowances and figures are all by this day."""

from datetime import date, timedelta

DAY_SECONDS = 86_400
_FIRST = date(1970, 1, 1)


def utc_day(now: int) -> int:
    """The UTC day of a time in seconds since 1970, as days since 1970-01-01."""
    return now // DAY_SECONDS


def day_of(one: date) -> int:
    """A date as days since 1970-01-01."""
    return (one - _FIRST).days


def date_of(day: int) -> str:
    """A day since 1970-01-01 as a date, like `2026-11-30` (RFC 3339)."""
    return (_FIRST + timedelta(days=day)).isoformat()
