"""Years, months, days and times of requests; pystac-client expands them too and is the oracle."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from pystac_client.item_search import ItemSearch

from livemosaic.model.time import parse_period, parse_time

WHOLE = timedelta(microseconds=999_999)
"""By how much our end is later: pystac-client's is the last second."""


def _theirs(text: str) -> tuple[datetime, datetime]:
    search = ItemSearch.__new__(ItemSearch)
    start, _, end = str(search._format_datetime(text)).partition("/")
    return parse_time(start), parse_time(end) + WHOLE if end else parse_time(start)


def test_a_period_is_as_long_as_pystac_client_makes_it() -> None:
    some = random.Random(14)
    for _ in range(500):
        date = datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=some.randrange(366 * 9000 // 1))
        text = date.strftime("%Y").rjust(4, "0") + date.strftime("-%m-%d")
        for length in (4, 7, 10):
            assert parse_period(text[:length]) == _theirs(text[:length]), text[:length]
        second = f"{text}T{some.randrange(24):02}:30:{some.randrange(60):02}"
        for zone in ("Z", "+02:00", "-11:30") if 1 < date.year < 9998 else ("Z",):
            assert parse_period(second + zone) == _theirs(second + zone)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2020/01", "2020-01"),
        ("2020/02/29", "2020-02-29"),
        ("2020/02/29 12:30:00", "2020-02-29T12:30:00Z"),
        ("2020-02-29t12:30:00z", "2020-02-29T12:30:00Z"),
        (" 2020 ", "2020"),
    ],
)
def test_dates_may_be_written_with_slashes(text: str, same: str) -> None:
    assert parse_period(text) == parse_period(same)


def test_a_minute_is_whole_and_a_second_an_instant() -> None:
    start, end = parse_period("2020-01-31T12:30Z")
    assert (end - start, start.minute) == (timedelta(seconds=59, microseconds=999_999), 30)
    start, end = parse_period("2020-01-31T12:30:15.25Z")
    assert start == end == datetime(2020, 1, 31, 12, 30, 15, 250_000, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "", "20", "202", "02020", "0000", "20200101", "2020-1", "2020-13", "2020-00", "2020-02-30",
        "2020-W01", "2020-W01-1", "2020-001", "2020-01/05", "2020/01-05", "2020-01-31T12",
        "2020-01-31T25:00:00Z", "2020-01-31T12:30:00+25:00", "٢٠٢٠", "2020.5", "yesterday",
        "2020-01-31T12:30:00 02:00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_period(text)
