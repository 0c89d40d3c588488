"""The stored order of scenes: the rank of a scene, the smallest on top.

A rank is that of the property to sort by. Its last word is the time of processing, as two
processings of one acquisition have all else in common; `!` lies between the two. That sorts before
the `#` after a rank in the keys of rows: rows of releases before the time of processing, which have
none, are below rows of equal rank that have one.
"""

import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from livemosaic.model.scene import time_of
from livemosaic.model.time import parse_time

UNRANKED: Final = "~"
"""Rank of a scene without the property to sort by: after every hexadecimal digit."""
_LATER: Final = "!"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PROCESSED: Final = ("processing:datetime", "created", "updated")
"""The processing extension, and STAC common metadata; the first that is a time counts. `updated` is
last, as it changes with each correction of an Item, and every row of a scene has its rank."""


def rank(sortby: str, properties: Mapping[str, Any]) -> str:
    """Returns a text that sorts as the property does, and the latest processing of equals first.

    16 hexadecimal digits, or `~` where the property is missing; and, where the Item has a time of
    processing, `!` and 16 more.
    """
    name = sortby.lstrip("+-")
    value = properties.get(name)
    number = _time_number(properties) if name == "datetime" else _number(value)
    digits = UNRANKED if number is None else _digits(-number if sortby[0] == "-" else number)
    processed = _processed(properties)
    return digits if processed is None else f"{digits}{_LATER}{_digits(-processed)}"


def processed_at(rank: str, time: object) -> str:
    """Returns a rank with that time of processing; the same rank where it is no time."""
    seconds = _number(time) if isinstance(time, str) else None
    return rank if seconds is None else f"{value_of(rank)}{_LATER}{_digits(-seconds)}"


def value_of(rank: str) -> str:
    """Returns the part of a rank that is of the property to sort by."""
    return rank.partition(_LATER)[0]


def processing_of(rank: str) -> str:
    """Returns the part of a rank that is of the processing: the latest sorts first."""
    return rank.partition(_LATER)[2] or UNRANKED


def processing_time(rank: str) -> datetime | None:
    """Returns the time of processing in a rank, in UTC; None where it has none."""
    digits = rank.partition(_LATER)[2]
    return _EPOCH + timedelta(seconds=-_undigits(digits)) if digits else None


def sort_value(sortby: str, rank: str) -> float | None:
    """Returns the number in a rank of the property to sort by; None where the Item has none.

    Of a property that is a time these are seconds since 1970.
    """
    digits = value_of(rank)
    if digits == UNRANKED:
        return None
    return -_undigits(digits) + 0.0 if sortby[0] == "-" else _undigits(digits)


def _undigits(digits: str) -> float:
    """Returns the number of 16 digits; the inverse of `_digits`."""
    bits = int(digits, 16)
    bits ^= 1 << 63 if bits >> 63 else (1 << 64) - 1
    (number,) = struct.unpack(">d", struct.pack(">Q", bits))
    return float(number)


def _digits(number: float) -> str:
    """Returns 16 hexadecimal digits that sort as numbers do.

    The bits of an IEEE 754 double sort like the number once the sign bit is flipped, and all bits
    of a negative one.
    """
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    return f"{bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63):016x}"


def _processed(properties: Mapping[str, Any]) -> float | None:
    """Returns when the Item was processed last, in seconds since 1970."""
    values = (properties.get(name) for name in PROCESSED)
    times = (_number(value) for value in values if isinstance(value, str))
    return next((time for time in times if time is not None), None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = parse_time(value).timestamp() if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):  # no time; an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _time_number(properties: Mapping[str, Any]) -> float | None:
    text = time_of(properties)
    return None if text is None else _number(text)
