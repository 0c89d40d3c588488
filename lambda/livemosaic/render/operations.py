"""What a pixel becomes of the layers that have it. Pure.

Operations that rio-tiler has (`rio_tiler.mosaic.methods`) give its values in its dtypes, less two
defects: a sum that the dtype cannot hold stays at its end, where there it starts again at 0, and
layers are of any dtypes and band counts.
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
    """Of each layer, shape (count or 1, height, width), zero where it is not valid."""
    valid: Sequence[Mask]
    """Of each layer, shape (height, width)."""
    weights: Sequence[NDArray[np.float32]]
    """Of each layer, shape (height, width), above zero where it is valid; none where no operation
    needs them."""
    shape: tuple[int, int, int]
    """Of the result."""
    dtype: np.dtype[Any]
    """Holds the values of every layer."""


Operate = Callable[[Stack], NDArray[Any]]
"""Gives an array of (bands, height, width), zero where no layer is valid."""


def minimum(stack: Stack) -> NDArray[Any]:
    """The smallest value, of each band for itself."""
    return _extreme(stack, np.minimum, _ends(stack.dtype)[1])


def maximum(stack: Stack) -> NDArray[Any]:
    """The largest value, of each band for itself."""
    return _extreme(stack, np.maximum, _ends(stack.dtype)[0])


def _extreme(stack: Stack, pick: np.ufunc, worst: Any) -> NDArray[Any]:
    data = np.full(stack.shape, worst)
    for bands, valid in zip(stack.bands, stack.valid, strict=True):
        pick(data, np.where(valid, bands, worst), out=data)
    return np.where(np.logical_or.reduce(stack.valid), data, stack.dtype.type(0))


def last_band_low(stack: Stack) -> NDArray[Any]:
    """All bands but the last, of the layer whose last band is smallest; of equals, the top one."""
    return _decided_by_last(stack, np.less)


def last_band_high(stack: Stack) -> NDArray[Any]:
    """All bands but the last, of the layer whose last band is largest; of equals, the top one."""
    return _decided_by_last(stack, np.greater)


def _decided_by_last(stack: Stack, beats: np.ufunc) -> NDArray[Any]:
    data, filled = np.zeros(stack.shape, stack.dtype), np.zeros(stack.shape[1:], np.bool_)
    for bands, valid in zip(stack.bands, stack.valid, strict=True):
        wins = valid & (~filled | beats(bands[-1], data[-1]))
        np.copyto(data, bands, where=wins)
        filled |= valid
    return data[:-1]


def count(stack: Stack) -> NDArray[Any]:
    """One band: how many layers are valid."""
    dtype = np.uint8 if len(stack.valid) < 256 else np.uint16
    return _counts(stack).astype(dtype)[np.newaxis]


def total(stack: Stack) -> NDArray[Any]:
    """The sum; integers that their dtype cannot hold stay at its smallest or largest."""
    return _cut(_summed(stack.bands, stack.shape), stack.dtype)


def mean(stack: Stack) -> NDArray[Any]:
    """The mean; integers without decimals, as from rio-tiler."""
    return _cut(_mean(stack), stack.dtype)


def median(stack: Stack) -> NDArray[Any]:
    """The value in the middle, or the mean of the two there; integers without decimals."""
    absent = [np.where(v, b, np.inf) for b, v in zip(stack.bands, stack.valid, strict=True)]
    values = np.stack([np.broadcast_to(each, stack.shape) for each in absent])
    values.sort(axis=0)
    counts = _counts(stack)[np.newaxis, np.newaxis]
    low, high = (np.take_along_axis(values, (counts - odd) // 2, 0)[0] for odd in (1, 0))
    middle = np.where(np.logical_or.reduce(stack.valid), (low + high) / 2, 0)
    return _cut(middle, stack.dtype)


def stdev(stack: Stack) -> NDArray[Any]:
    """The standard deviation of all values (divided by n, not n - 1), in float64."""
    center = _mean(stack)
    pairs = zip(stack.bands, stack.valid, strict=True)
    off = (np.where(valid, bands - center, 0.0) for bands, valid in pairs)
    variance = _summed((each**2 for each in off), stack.shape) / np.maximum(_counts(stack), 1)
    return np.sqrt(variance)


def blend(stack: Stack) -> NDArray[Any]:
    """The mean by weights; integers to the nearest."""
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
"""By the names of `rule.Operation`, but for `first` and `last`."""


def _summed(arrays: Iterable[NDArray[Any]], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """In float64, which is exact for integers of 32 bits."""
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
    """In a dtype: integers without decimals, and within what it can hold."""
    if dtype.kind in "iu":
        values = np.clip(values, *_ends(dtype))
    return values.astype(dtype, copy=False)


def _ends(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The smallest and the largest value of a dtype, in it."""
    if dtype.kind == "f":
        return dtype.type(-np.inf), dtype.type(np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.min), dtype.type(info.max)
