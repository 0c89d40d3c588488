"""The parameter TIME: moments, intervals and periods (OGC 06-042, annexes C and D)."""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from livemosaic.api.wms.exceptions import ServiceError
from livemosaic.errors import InvalidRequestError
from livemosaic.model.rule import Rule
from livemosaic.model.time import parse_period, utc_text
from livemosaic.tiler.rules.parse import interval

CURRENT: Final = "current"
_MOST: Final = 100
"""Moments and intervals of one request: each is two comparisons of a filter."""
_PERIOD: Final = re.compile(
    r"P(?=.)(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,5})M)?(?:(?P<weeks>\d{1,5})W)?"
    r"(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)
_MIDNIGHT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:00)?", re.ASCII | re.IGNORECASE
)
"""QGIS asks so for a day of the list in the capabilities."""
_DAY_S: Final = 24 * 3600
_INFINITELY_FINE: Final = ("0", "PT0S")

Span = tuple[str | None, str | None]
"""RFC 3339 in UTC, both ends within; None is open."""


def with_time(rule: Rule, text: str) -> Rule:
    """Returns a rule with the scenes of a TIME alone; of `current` as it is: newest on top.

    Scenes of all given moments and intervals take part. Raises `ServiceError`.
    """
    if text.strip().lower() == CURRENT:
        return rule
    spans = _merged([*_spans(text)])
    if len(spans) == 1:
        return replace(rule, datetime=spans[0])
    either = {"op": "or", "args": [_within(span) for span in spans]}
    both = either if rule.where is None else {"op": "and", "args": [rule.where, either]}
    return replace(rule, datetime=None, where=both)


def _spans(text: str) -> Iterator[Span]:
    count = 0
    for part in text.split(","):
        for span in _spans_of(part.strip()):
            count += 1
            if count > _MOST:
                raise _invalid(text, f"has more than {_MOST} moments or intervals")
            yield span


def _spans_of(part: str) -> Iterator[Span]:
    start, _, rest = part.partition("/")
    end, slash, period = rest.partition("/")
    if not slash or period in _INFINITELY_FINE:
        midnight = _MIDNIGHT.fullmatch(part)
        yield _interval(f"{start}/{end}" if slash else midnight[1] if midnight else part)
        return
    found = _PERIOD.fullmatch(period)
    if not found:
        raise _invalid(part, "has a period that is none of ISO 8601, such as P1D or PT1H")
    yield from _repeated(part, start, end, {k: int(v) for k, v in found.groupdict("0").items()})


def _repeated(part: str, start: str, end: str, step: dict[str, int]) -> Iterator[Span]:
    """Yields moments from start to end, each as long as the precision of the start; days from a
    midnight on."""
    of_day = 3600 * step["hours"] + 60 * step["minutes"] + step["seconds"]
    if of_day % _DAY_S == 0 and (midnight := _MIDNIGHT.fullmatch(start.strip())):
        start = midnight[1]
    try:
        (first, last), (_, until) = parse_period(start), parse_period(end)
        if until < first:
            raise _invalid(part, "ends before it starts")
        number, moment = 0, first
        while moment <= until:
            yield utc_text(moment), utc_text(moment + (last - first))
            number += 1
            later = _later(first, step, number)
            if later <= moment:
                raise _invalid(part, "has a period of no length")
            moment = later
    except (ValueError, OverflowError) as error:
        raise _invalid(part, str(error)) from error


def _later(time: datetime, step: dict[str, int], times: int) -> datetime:
    months = time.month - 1 + times * (12 * step["years"] + step["months"])
    year, month = time.year + months // 12, months % 12 + 1
    day = min(time.day, monthrange(year, month)[1])
    parts = {k: times * step[k] for k in ("weeks", "days", "hours", "minutes", "seconds")}
    return time.replace(year=year, month=month, day=day) + timedelta(**parts)


def _interval(text: str) -> Span:
    try:
        return interval(text)
    except InvalidRequestError as error:
        raise _invalid(text, str(error)) from error


def _merged(spans: list[Span]) -> list[Span]:
    """Joins intervals that meet or overlap, as days of a month do; sorted by their starts."""
    found: list[Span] = []
    for since, until in sorted(spans, key=lambda span: span[0] or ""):
        before = found[-1][1] if found else ""
        if found and (before is None or since is None or since <= _next(before)):
            open_end = before is None or until is None
            found[-1] = found[-1][0], None if open_end else max(before or "", until or "")
        else:
            found.append((since, until))
    return found


def _next(text: str) -> str:
    """Returns the microsecond after a time."""
    try:
        return utc_text(datetime.fromisoformat(text) + timedelta(microseconds=1))
    except OverflowError:
        return text


def _within(span: Span) -> dict[str, Any]:
    """Returns an interval as CQL2-JSON."""
    time = {"property": "datetime"}
    ends = [(op, {"timestamp": end}) for op, end in zip((">=", "<="), span, strict=True) if end]
    args = [{"op": op, "args": [time, end]} for op, end in ends]
    return args[0] if len(args) == 1 else {"op": "and", "args": args}


def _invalid(text: str, why: str) -> ServiceError:
    return ServiceError("InvalidDimensionValue", f"TIME {text[:80]!r}: {why}")
