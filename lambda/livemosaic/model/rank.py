"""The stored order of scenes: the rank of a scene, the smallest on top."""

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from livemosaic.model.scene import time_of
from livemosaic.model.time import parse_time

UNRANKED: Final = "~"
"""Rank of a scene without the property to sort by: after every hexadecimal digit."""


def rank(sortby: str, properties: Mapping[str, Any]) -> str:
    """Returns 16 hexadecimal digits that sort as the property does; `~` where it is missing.

    The bits of an IEEE 754 double sort like the number once the sign bit is flipped, and all bits
    of a negative one.
    """
    name = sortby.lstrip("+-")
    value = properties.get(name)
    number = _time_number(properties) if name == "datetime" else _number(value)
    if number is None:
        return UNRANKED
    (bits,) = struct.unpack(
        ">Q", struct.pack(">d", (-number if sortby[0] == "-" else number) + 0.0)
    )
    return f"{bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63):016x}"


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
