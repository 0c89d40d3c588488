"""Raster functions over the bands of a pixel: extraction, arithmetic, indices, remapping. Pure."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.render.expression import Expression
from livemosaic.render.functions.sizes import check_size

_INDICES: Final = {
    1: "({0}-{1})/({0}+{1})",
    2: "({0}-{1})/({0}+{1}+{2})*(1+{2})",
    4: "(2*{0}+1-sqrt((2*{0}+1)**2-8*({0}-{1})))/2",
    10: "({0}-{1})/({0}+{1})",
    11: "{0}/{1}",
    12: "({0}-{1})/({0}+{1})",
    13: "{0}/{1}",
    15: "100*({0}-{1})-10*({0}-{2})",
    16: "{0}/{1}-1",
    17: "{0}/{1}-1",
    18: "({1}-{0})/({0}+{1})",
    19: "2.5*({0}-{1})/({0}+6*{1}-7.5*{2}+1)",
}
"""BandArithmetic by the number of its method, over the bands in Esri's order, near infrared first:
NDVI, SAVI (red, then the number L), MSAVI, GNDVI (green), SR (red), NDVIre, SRre (red edge),
RTVICore (red edge, green), CIre, CIg, NDWI (green), EVI (red, blue). Source: "Band Arithmetic
function", ArcGIS Pro; MSAVI is that of Qi et al. (1994)."""
_SAVI: Final = 2
ARITHMETIC: Final = (0, *_INDICES)
"""Methods of BandArithmetic; 0 is an expression of the request."""


def extract_bands(pixels: Pixels, bands: Sequence[int]) -> Pixels:
    """Returns some bands, counted from 0, in their order; raises for one that is not there."""
    count = len(pixels.data)
    if strange := [band for band in bands if not 0 <= band < count]:
        raise InvalidRequestError(
            f"band {strange[0]} is not there: bands are counted from 0, and there are {count}"
        )
    check_size(pixels.data, len(bands), pixels.data.dtype)
    names = tuple(pixels.names[band] for band in bands)
    return Pixels(pixels.data[list(bands)], pixels.valid, names)


def arithmetic(pixels: Pixels, method: int, bands: str) -> Pixels:
    """Computes one band: an expression of `b1`…, or an index of the bands, counted from 1."""
    if method == 0:
        return evaluated(pixels, bands.lower())
    formula = _INDICES.get(method)
    if formula is None:
        raise InvalidRequestError(
            f"BandArithmetic has no Method {method} here; it has {', '.join(map(str, ARITHMETIC))}"
        )
    parts = bands.replace(",", " ").split()
    if len(parts) != (count := 3 if "{2}" in formula else 2):
        raise InvalidRequestError(
            f"BandIndexes {bands[:80]!r} must have {count} parts for Method {method}"
        )
    last = _number(parts.pop()) if method == _SAVI else None
    operands = [*map(_band, parts), *([last] if last else [])]
    return evaluated(pixels, formula.format(*operands))


def _band(text: str) -> str:
    """Returns a band, counted from 1, as an expression names it."""
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequestError(f"BandIndexes has {text[:20]!r}, which is no band")
    return f"b{int(text)}"


def _number(text: str) -> str:
    """Returns a finite number that is not negative, as SAVI's L, as an expression has it."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidRequestError(f"BandIndexes has {text[:20]!r}, which is no number L of SAVI")
    return repr(number)


def ndvi(pixels: Pixels, red: int, infrared: int) -> Pixels:
    """Computes the vegetation index as 0 to 200, 100 × (index + 1), of bands counted from 0."""
    index = evaluated(pixels, _INDICES[1].format(f"b{infrared + 1}", f"b{red + 1}"))
    scaled = np.clip(np.round(100 * index.data + 100), 0, 255).astype(np.uint8)
    return Pixels(np.where(index.valid, scaled, np.uint8(0)), index.valid, ("ndvi",))


def evaluated(pixels: Pixels, expression: str) -> Pixels:
    """Evaluates an expression over `b1`…, whatever assets the bands are of."""
    names = tuple(f"b{number}" for number in range(1, len(pixels.data) + 1))
    return Expression.parse(expression).apply(Pixels(pixels.data, pixels.valid, names))


def remap(
    pixels: Pixels,
    ranges: Sequence[tuple[float, float]],
    values: Sequence[float],
    no_data: Sequence[tuple[float, float]],
    *,
    keeps_others: bool,
    holds_last: bool,
) -> Pixels:
    """Replaces values of ranges, of which the lower end is included and the upper one is not.

    The last range holds its upper end, too, if `holds_last`. Values in no range are kept, or have
    no data. The data type is that of the pixels, or a larger one that has all `values`.
    """
    data, dtype = pixels.data, _type_for(values, pixels.data.dtype)
    check_size(data, len(data), dtype)
    with np.errstate(over="ignore"):  # ends beyond the type of the data
        given = np.array([*ranges, *no_data], data.dtype if data.dtype.kind == "f" else np.float64)
    ends, numbers = np.unique(given, return_inverse=True)
    spans = [slice(2 * low + 1, 2 * high + 1) for low, high in numbers.reshape(-1, 2)]
    if holds_last:
        last = spans[len(ranges) - 1]
        spans[len(ranges) - 1] = slice(last.start, last.stop + 1)
    table = np.zeros(2 * len(ends) + 1, dtype)
    known, hidden = np.zeros((2, len(table)), np.bool_)
    for span, value in [*zip(spans, values, strict=False)][::-1]:
        table[span], known[span] = value, True
    for span in spans[len(ranges) :]:
        hidden[span] = True
    made, valid = np.empty(data.shape, dtype), pixels.valid.copy()
    for band, target in zip(data, made, strict=True):
        steps = _steps(band, ends)
        target[:] = np.where(known[steps], table[steps], band)
        valid &= ~hidden[steps] & (keeps_others | known[steps])
    made[:, ~valid] = 0
    return Pixels(made, valid, pixels.names)


def _steps(band: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.intp]:
    """Returns where values lie: 2 n + 1 at the end number n, 2 n between it and the one before.

    Values that are no numbers lie above all ends.
    """
    if band.dtype.kind in "iu" and band.dtype.itemsize <= 2:
        unsigned = np.dtype(f"u{band.dtype.itemsize}")
        every = np.arange(2 ** (8 * unsigned.itemsize), dtype=unsigned).view(band.dtype)
        steps: NDArray[np.intp] = _found(every, ends)[band.view(unsigned)]
        return steps
    return _found(band, ends)


def _found(values: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.intp]:
    return np.searchsorted(ends, values) + np.searchsorted(ends, values, side="right")


def _type_for(values: Sequence[float], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Returns a data type that has all values of another, and the given ones."""
    types = [_smallest(value, dtype) for value in values]
    found = np.result_type(dtype, *types)
    # Few readers know integers of 64 bits; float64 has all integers of 32.
    return np.dtype(np.float64) if found.kind in "iu" and found.itemsize > 4 else found


def _smallest(value: float, dtype: np.dtype[Any]) -> np.dtype[Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.kind == "f" and np.isfinite(dtype.type(value)):
            return dtype
        if value.is_integer() and abs(value) < 2**32:
            return np.min_scalar_type(int(value))
        return np.dtype(np.float32 if np.isfinite(np.float32(value)) else np.float64)
