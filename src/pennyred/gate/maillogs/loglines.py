"""Reads the front of a log line, as syslog daemons, journals and containers write it: the day, the program, the text.

Strangers' words (names, addresses, replies) come later in a line, never in front.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

STAMPS_MAX = 3
"""The most time stamps in one line: `docker logs -t` writes one before the program's own."""

_COLOUR = r"(?:\x1b\[[0-9;]{0,10}m)?"
_CONTAINER = re.compile(
    rf"{_COLOUR}(?:\[?[\w.@/-]{{1,100}}\]? *\||\[pod/[^\]\s]{{1,200}}\]) ?{_COLOUR} ?"
    r"|[\w./-]{1,200}:(?:\d{1,9}:)?(?=[A-Z][a-z]{2} [ \d]\d \d\d:|\d{4}-\d\d-\d\d)"
)
"""`postfix-1  | ` of docker compose, `[mail] | ` of podman's, `[pod/mail-0/postfix] ` of kubectl, `mail.log:` of
grep."""
_PRIORITY = re.compile(r"<\d{1,3}>")
_SYSLOG = re.compile(r"(?P<month>[A-Z][a-z]{2}) (?P<monthday>[ \d]\d) \d\d:\d\d:\d\d(?:\.\d{1,9})? ")
"""Traditional syslog; journalctl -o short and short-precise."""
_WITH_YEAR = re.compile(r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<monthday>[ \d]\d) \d\d:\d\d:\d\d (?P<year>\d{4}) ")
"""The form of OpenWrt's logread."""
_RFC_3339 = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)T[\d:.,]{5,18}(?:Z|[+-]\d\d:?\d\d)? (?:std(?:out|err) [FP] )?")
"""RFC 3339, and journalctl -o short-iso. In Kubernetes' container logs the stream follows."""
_DAY_AND_TIME = re.compile(
    r"(?:[^\W\d_]{1,10}\.? )?(?P<day>\d{4}-\d\d-\d\d)[ _]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
    r"(?: (?:[+-]\d\d(?:\d\d)?|[A-Z]{1,5}))? (?:[a-z]{2,10}\.[a-z]{3,8}: )?"
)
"""Exim's own, with or without `log_timezone`; journalctl -o short-full; svlogd's (socklog adds the facility)."""
_TAI64N = re.compile(r"@40000000(?P<tai>[0-9a-f]{8})[0-9a-f]{8} ")
"""TAI64N, of multilog and s6-log (cr.yp.to/libtai/tai64.html)."""
_UNIX = re.compile(r"(?P<unix>\d{9,11})\.\d{6} ")
_SINCE_BOOT = re.compile(r"\[ {0,20}\d{1,12}\.\d{1,9}(?: {1,20}(?:< {0,20}[\d.]{1,20} >)?)?\] ")
"""journalctl -o short-monotonic and short-delta."""
_STAMPS = (_SYSLOG, _WITH_YEAR, _RFC_3339, _DAY_AND_TIME, _TAI64N, _UNIX, _SINCE_BOOT)
_HOST = r"(?:[\w.-]{1,255}|[0-9a-fA-F:.]{1,44}[0-9a-fA-F])"
_FACILITY = (
    r"(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local[0-7])\."
    r"(?:emerg|panic|alert|crit|err|error|warn|warning|notice|info|debug)"
)
_PROGRAM = re.compile(
    # FreeBSD's syslogd may write the facility before the host; busybox after it, and no host with -S; Solaris an id.
    rf"(?:<{_FACILITY}> )?(?:{_HOST} )?(?:{_FACILITY} (?:{_HOST} )?)?"
    rf"(?P<program>[\w.@/+-]{{1,100}})(?:\[[\w.-]{{1,20}}\])?: (?:\[ID \d{{1,12}} {_FACILITY}\] )?"
)
_RFC_5424 = re.compile(
    r"1 (?P<day>\d{4}-\d\d-\d\d)T\S{5,25} \S{1,255} (?P<program>[\w.@/+-]{1,100}) \S{1,128} \S{1,32}"
    r" (?:-|(?:\[[^\]]{0,1000}\]){1,5}) \ufeff?"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log line, parsed."""

    day: date
    """The day of the line; today if it has none, and never later than today."""
    program: str
    """The program, like `postfix/smtp`; empty if the line is from a program's own log file."""
    text: str


def read_line(line: str, today: date) -> LogLine | None:
    """Read the front of a line; None if its form is not known. The time of day and the text are not read."""
    at = _end(_PRIORITY, line, _end(_CONTAINER, line, 0))
    if found := _RFC_5424.match(line, at):
        return LogLine(_day(found, today), found["program"], line[found.end() :])
    stamp: re.Match[str] | None = None
    for _ in range(STAMPS_MAX):
        found = next((match for one in _STAMPS if (match := one.match(line, at))), None)
        if found is None:
            break
        stamp, at = found, found.end()
        if program := _PROGRAM.match(line, at):
            return LogLine(_day(stamp, today), program["program"], line[program.end() :])
    return LogLine(_day(stamp, today), "", line[at:]) if stamp else None


def own_day(text: str, today: date) -> tuple[date | None, str]:
    """The day at the start of a program's own text (None if there is none), and the text after it."""
    match = _DAY_AND_TIME.match(text)
    return (_day(match, today), text[match.end() :]) if match else (None, text)


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    match = pattern.match(line, at)
    return match.end() if match else at


def _day(stamp: re.Match[str], today: date) -> date:
    told = stamp.groupdict()
    month = (told.get("month"), told.get("monthday"), told.get("year"))
    seconds = int(told["tai"], 16) if told.get("tai") else int(told.get("unix") or 0)
    return _day_told(told.get("day"), seconds, month, today)


@lru_cache(maxsize=1000)
def _day_told(day: str | None, seconds: int, in_month: tuple[str | None, str | None, str | None], today: date) -> date:
    month, monthday, year = in_month
    try:
        if day:
            return min(today, date.fromisoformat(day))
        if seconds:  # TAI is some seconds ahead of UTC
            return min(today, datetime.fromtimestamp(seconds, UTC).date())
        if month in _MONTHS and monthday:  # usually without a year: the last such day
            told = date(int(year or today.year), _MONTHS.index(month) + 1, int(monthday))
            return told if told <= today else today if year else told.replace(year=today.year - 1)
    except ValueError:  # no real day, like 31 February
        return today
    return today
