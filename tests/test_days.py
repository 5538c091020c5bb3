"""A day's seconds are written down once, and a day is what UTC says."""

import ast
import tokenize
from datetime import UTC, date, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import pennyred
from pennyred.days import DAY_SECONDS, date_of, day_of, utc_day

SOURCE = Path(pennyred.__file__).parent


def numbers(path: Path) -> set[object]:
    with path.open("rb") as file:
        return {ast.literal_eval(one.string) for one in tokenize.tokenize(file.readline) if one.type == tokenize.NUMBER}


def test_no_other_module_says_how_long_a_day_is():
    saying = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if DAY_SECONDS in numbers(path)}
    assert saying == {"days.py"}


@given(st.integers(0, 2**36))
def test_a_day_is_the_one_of_the_calendar_in_utc(now):
    assert date.fromordinal(date(1970, 1, 1).toordinal() + utc_day(now)) == datetime.fromtimestamp(now, UTC).date()


@given(st.integers(0, 2**36 // DAY_SECONDS))
def test_a_day_has_one_date_and_a_date_one_day(day):
    assert day_of(date.fromisoformat(date_of(day))) == day
    assert date_of(0) == "1970-01-01"


def test_no_other_module_says_from_when_days_are_counted():
    saying = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if "(1970, 1, 1" in path.read_text()}
    assert saying == {"days.py"}
