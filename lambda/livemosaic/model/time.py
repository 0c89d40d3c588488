"""Times of STAC Items and events (RFC 3339), as datetimes and as text that sorts."""

from datetime import UTC, datetime, timedelta
from typing import Final

MAX_SKEW: Final = timedelta(days=1)
"""A version further in the future than this would keep every later event out."""


def parse_time(text: str) -> datetime:
    """Parses RFC 3339 text, in UTC where it has no offset; raises `ValueError` if it is invalid."""
    time = datetime.fromisoformat(text.strip().upper())
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:80]!r} is before or after all years") from error


def utc_text(time: datetime) -> str:
    """Formats as RFC 3339 in UTC with microseconds: such texts sort as the times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
