"""Times of STAC Items and events (RFC 3339), as datetimes and as text that sorts."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_SKEW: Final = timedelta(days=1)
"""A version further in the future than this would keep every later event out."""

_LAST_MICROSECOND: Final = timedelta(microseconds=-1)
_DATE: Final = re.compile(r"(\d{4})(?:([-/])(\d\d)(?:\2(\d\d))?)?", re.ASCII)
_TIME: Final = re.compile(
    r"\d{4}([-/])\d\d\1\d\d[Tt ]\d\d:\d\d(?P<seconds>:\d\d(\.\d{1,12})?)?([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)


def parse_period(text: str) -> tuple[datetime, datetime]:
    """Parses a year, a month, a day, a minute or an RFC 3339 time: its first and last microsecond.

    Dates are written with hyphens or, as ArcGIS does, with slashes. UTC where there is no offset.
    Raises `ValueError` for anything else, also for other forms of ISO 8601: `2020-W01`, `20200101`.
    """
    text = text.strip()
    if found := _DATE.fullmatch(text):
        year, month, day = int(found[1]), int(found[3] or 1), int(found[4] or 1)
        start = datetime(year, month, day, tzinfo=UTC)
        last_month = month if found[3] else 12
        last_day = day if found[4] else monthrange(year, last_month)[1]
        return start, datetime(year, last_month, last_day, 23, 59, 59, 999_999, tzinfo=UTC)
    if found := _TIME.fullmatch(text):
        start = parse_time(text.replace("/", "-"))
        whole = timedelta() if found["seconds"] else timedelta(minutes=1) + _LAST_MICROSECOND
        return start, start + whole
    raise ValueError(f"{text[:80]!r} is no year, month, day or RFC 3339 time")


def parse_time(text: str) -> datetime:
    """Parses RFC 3339 text, in UTC where it has no offset; raises `ValueError` if it is invalid."""
    time = datetime.fromisoformat(text.strip().upper())
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:80]!r} is before or after all years") from error


def utc_text(time: datetime) -> str:
    """Formats as RFC 3339 in UTC with microseconds: such texts sort as the times do."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
