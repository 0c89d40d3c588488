"""Pixel selection: operations on the valid layers of each pixel. Pure.

Operations that rio-tiler has (`rio_tiler.mosaic.methods`) give its values in its dtypes, with two
differences: a sum saturates where rio-tiler's overflows, and layers may be of any dtypes and band
counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.model.raster import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Layers on one grid, top first."""

    bands: Sequence[NDArray[Any]]
    """Per layer, shape (count or 1, height, width), zero where it is not valid."""
    valid: Sequence[Mask]
    """Per layer, shape (height, width)."""
    weights: Sequence[NDArray[np.float32]]
    """Per layer, shape (height, width), above zero where it is valid; empty unless blending."""
    shape: tuple[int, int, int]
    """Shape of the result."""
    dtype: np.dtype[Any]
    """A dtype that holds the values of every layer."""


Operate = Callable[[Stack], NDArray[Any]]
"""Returns shape (bands, height, width), zero where no layer is valid."""


def minimum(stack: Stack) -> NDArray[Any]:
    """Returns the smallest value of each band."""
    return _extreme(stack, np.minimum, _ends(stack.dtype)[1])


def maximum(stack: Stack) -> NDArray[Any]:
    """Returns the largest value of each band."""
    return _extreme(stack, np.maximum, _ends(stack.dtype)[0])


def _extreme(stack: Stack, pick: np.ufunc, worst: Any) -> NDArray[Any]:
    data = np.full(stack.shape, worst)
    for bands, valid in zip(stack.bands, stack.valid, strict=True):
        pick(data, np.where(valid, bands, worst), out=data)
    return np.where(np.logical_or.reduce(stack.valid), data, stack.dtype.type(0))


def last_band_low(stack: Stack) -> NDArray[Any]:
    """Takes all bands but the last of the layer whose last band is smallest (the top of equals)."""
    return _decided_by_last(stack, np.less)


def last_band_high(stack: Stack) -> NDArray[Any]:
    """Takes all bands but the last of the layer whose last band is largest (the top of equals)."""
    return _decided_by_last(stack, np.greater)


def _decided_by_last(stack: Stack, beats: np.ufunc) -> NDArray[Any]:
    data, filled = np.zeros(stack.shape, stack.dtype), np.zeros(stack.shape[1:], np.bool_)
    for bands, valid in zip(stack.bands, stack.valid, strict=True):
        wins = valid & (~filled | beats(bands[-1], data[-1]))
        np.copyto(data, bands, where=wins)
        filled |= valid
    return data[:-1]


def count(stack: Stack) -> NDArray[Any]:
    """Returns one band: the number of valid layers."""
    dtype = np.uint8 if len(stack.valid) < 256 else np.uint16
    return _counts(stack).astype(dtype)[np.newaxis]


def total(stack: Stack) -> NDArray[Any]:
    """Returns the sum; integers saturate."""
    return _cut(_summed(stack.bands, stack.shape), stack.dtype)


def mean(stack: Stack) -> NDArray[Any]:
    """Returns the mean; integers are truncated, as in rio-tiler."""
    return _cut(_mean(stack), stack.dtype)


def median(stack: Stack) -> NDArray[Any]:
    """Returns the median, the mean of the middle two of an even count; integers are truncated."""
    absent = [np.where(v, b, np.inf) for b, v in zip(stack.bands, stack.valid, strict=True)]
    values = np.stack([np.broadcast_to(each, stack.shape) for each in absent])
    values.sort(axis=0)
    counts = _counts(stack)[np.newaxis, np.newaxis]
    low, high = (np.take_along_axis(values, (counts - odd) // 2, 0)[0] for odd in (1, 0))
    middle = np.where(np.logical_or.reduce(stack.valid), (low + high) / 2, 0)
    return _cut(middle, stack.dtype)


def stdev(stack: Stack) -> NDArray[Any]:
    """Returns the standard deviation (of n, not n - 1, degrees of freedom), in float64."""
    center = _mean(stack)
    pairs = zip(stack.bands, stack.valid, strict=True)
    off = (np.where(valid, bands - center, 0.0) for bands, valid in pairs)
    variance = _summed((each**2 for each in off), stack.shape) / np.maximum(_counts(stack), 1)
    return np.sqrt(variance)


def blend(stack: Stack) -> NDArray[Any]:
    """Returns the weighted mean; integers are rounded to the nearest."""
    shares = [np.where(v, w, 0.0) for v, w in zip(stack.valid, stack.weights, strict=True)]
    weighted = (bands * share for bands, share in zip(stack.bands, shares, strict=True))
    whole = np.sum(shares, axis=0)
    mixed = _summed(weighted, stack.shape) / np.where(whole > 0, whole, 1)
    return _cut(mixed if stack.dtype.kind == "f" else np.rint(mixed), stack.dtype)


OPERATIONS: Final[Mapping[str, Operate]] = {
    "min": minimum,
    "max": maximum,
    "sum": total,
    "mean": mean,
    "median": median,
    "stdev": stdev,
    "count": count,
    "blend": blend,
    "lastbandlow": last_band_low,
    "lastbandhigh": last_band_high,
}
"""Operations by the names of `rule.Operation`, except `first` and `last`."""


def _summed(arrays: Iterable[NDArray[Any]], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Sums in float64, which is exact for integers of 32 bits."""
    summed = np.zeros(shape)
    for array in arrays:
        summed += array
    return summed


def _counts(stack: Stack) -> NDArray[np.intp]:
    counts: NDArray[np.intp] = np.sum(stack.valid, axis=0, dtype=np.intp)
    return counts


def _mean(stack: Stack) -> NDArray[np.float64]:
    return _summed(stack.bands, stack.shape) / np.maximum(_counts(stack), 1)


def _cut(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Converts to a dtype; integers are truncated and saturate."""
    if dtype.kind in "iu":
        low, high = map(np.float64, _ends(dtype))
        # float64 rounds the largest 64-bit integers up to one that does not fit.
        fits = int(high) <= np.iinfo(dtype).max
        values = np.clip(values, low, high if fits else np.nextafter(high, 0))
    return values.astype(dtype, copy=False)


def _ends(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Returns the smallest and the largest value of a dtype."""
    if dtype.kind == "f":
        return dtype.type(-np.inf), dtype.type(np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.min), dtype.type(info.max)
