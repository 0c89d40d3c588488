"""GDAL's nodata tag (42113), as GDAL itself parses and compares it."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.tiff.directories import Directory
from livemosaic.cog.tiff.written import open_written, shorts

NODATA: Final = 42113
_ASCII: Final = 2
_FLOAT: Final = 3
Nodata = int | float
"""An integer for bands of 64-bit integers, which float64 does not hold exactly."""

_INTEGER: Final = re.compile(r"\s*([+-]?\d+)")
_PLAIN: Final = re.compile(r" *(nan|[+-]?\d+(\.\d*)?(e[+-]?\d+)?)", re.ASCII)


def read_nodata(directory: Directory, dtype: np.dtype[Any]) -> Nodata | None:
    """Returns the nodata value of all bands, None if there is none; `n/a` is zero, as in GDAL."""
    text = directory.text(NODATA).decode("latin-1")
    if not text:
        return None
    if dtype.kind in "iu" and dtype.itemsize == 8:
        return _as_integer(text, np.iinfo(dtype))
    real = float(text) if _PLAIN.fullmatch(text) else _as_gdal_has_it(text)
    with np.errstate(over="ignore"):
        return float(np.float32(real)) if dtype == np.float32 else real


def _as_integer(text: str, info: np.iinfo[Any]) -> int:
    """As C's `strtoll` and `strtoull`: ends at what is no digit, saturates, negative ones wrap."""
    found = _INTEGER.match(text)
    number = int(found[1]) if found else 0
    low, high = int(info.min), int(info.max)
    if low == 0 > number:
        return number + high + 1 if number >= -high else high
    return min(max(number, low), high)


@lru_cache(maxsize=64)
def _as_gdal_has_it(text: str) -> float:
    body = text.encode("latin-1") + b"\0"
    pixel = {256: shorts(1), 257: shorts(1), 258: shorts(64), 262: shorts(1), 278: shorts(1)}
    tags = pixel | {339: shorts(_FLOAT), NODATA: (_ASCII, len(body), body)}
    with open_written(tags, [bytes(8)]) as dataset:
        return float(dataset.nodata or 0)


def nodata_in(values: NDArray[Any], nodata: Nodata) -> NDArray[np.bool_] | None:
    """Returns where values are nodata as GDAL's `GDALNoDataMaskBand` has it; None for nowhere.

    Integers: equal to the value, its fraction dropped. Floats: within `ARE_REAL_EQUAL`, about five
    parts in ten million. NaN is left to the caller.
    """
    ends = _ends(nodata, values.dtype.str)
    if ends is None:
        return None
    low, high = ends
    same: NDArray[np.bool_] = values == low if low == high else (values >= low) & (values <= high)
    return same


@lru_cache(maxsize=64)
def _ends(nodata: Nodata, dtype: str) -> tuple[Any, Any] | None:
    """Returns the smallest and largest value of a type that count as nodata; None if none does."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return _ends_of_integers(nodata, np.iinfo(kind))
    if nodata != nodata:
        return None
    with np.errstate(all="ignore"):
        center = kind.type(nodata)
        if np.isinf(center) and not np.isinf(nodata):
            return None
        if np.isinf(center) or center == 0:
            return center, center
        outer = kind.type(np.copysign(np.inf, center))
        ends = (_last_equal(center, kind.type(0)), _last_equal(center, outer))
    return min(ends), max(ends)


def _ends_of_integers(nodata: Nodata, info: np.iinfo[Any]) -> tuple[Any, Any] | None:
    # GDAL compares int8 as int32, other types as themselves: 255.5 is no uint8.
    compared = np.iinfo(np.int32) if info.dtype == np.int8 else info
    if not compared.min <= nodata <= compared.max:
        return None
    whole = int(nodata)
    return (info.dtype.type(whole),) * 2 if info.min <= whole <= info.max else None


def _last_equal(center: Any, end: Any) -> Any:
    """Bisects the floats from one to an end, by their bits, for the last that equals the first."""
    kind: Any = {2: np.int16, 4: np.int32, 8: np.int64}[center.dtype.itemsize]
    to_bits: Callable[[Any], int] = lambda value: int(abs(value).view(kind))  # noqa: E731
    good, bad = to_bits(center), to_bits(end)
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        value = np.copysign(kind(middle).view(center.dtype), center)
        good, bad = (middle, bad) if _are_equal(value, center) else (good, middle)
    return np.copysign(kind(good).view(center.dtype), center)


def _are_equal(one: Any, other: Any) -> bool:
    """GDAL's ARE_REAL_EQUAL (gdal_priv.h), with the epsilon of float32 for float64, too."""
    epsilon = one.dtype.type(np.finfo(np.float32).eps)
    return bool(abs(one - other) < epsilon * abs(one + other) * one.dtype.type(2))
