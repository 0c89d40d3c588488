"""Statistics of an area, block by block, in bounded memory. Pure.

Each band has a table of its values: how many pixels have each, and how much of them is covered.
All results of `rio_tiler.utils.get_array_statistics` follow from it, and tables can be joined.
Continuous data may have too many values: then the table drops the last bits of their mantissas, as
few as it can. Least, largest, count, sum, mean and deviation stay exact.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.render.stack.bands import common_bands

MAX_VALUES: Final = 1 << 20
"""Distinct values of a band that are kept apart: as many as a block of `zonal` has pixels."""
_MAX_TOGETHER: Final = 4 * MAX_VALUES
"""Of all bands of an area, at 24 bytes each."""
MAX_CATEGORIES: Final = 10_000
_COUNTED: Final = 2
"""Bytes of integers that are counted without sorting them."""
_FIRST_BITS: Final = 20
"""Bits of the mantissa that are left when some must go, if so few values have no more."""

Coverage = NDArray[np.float32]
"""Shape (height, width): how much of each pixel lies in the area, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The statistics that a request wants."""

    categorical: bool = False
    """Count the pixels of each value, or of `categories`, where else the histogram is."""
    categories: tuple[float, ...] = ()
    percentiles: tuple[int, ...] = (2, 98)
    bins: int | tuple[float, ...] = 10
    """How many, or their edges, ascending; see `numpy.histogram`."""
    range: tuple[float, float] | None = None
    """Least and largest value in the histogram; None is that of the values."""


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The values of one band."""

    keys: NDArray[Any]
    """Distinct, ascending."""
    counts: NDArray[np.int64]
    """Pixels of each."""
    weights: NDArray[np.float64]
    """Pixels of each, weighted by how much they are covered."""
    bits: int | None = None
    """Of the mantissa of keys, the rest is zero; None where keys are the values themselves."""

    @classmethod
    def of(cls, values: NDArray[Any], weights: NDArray[Any]) -> "_Table":
        """The table of pixels; both arrays have shape (n,)."""
        if values.size and values.dtype.kind in "ui" and values.dtype.itemsize <= _COUNTED:
            return cls._of_few(values, weights)
        keys, where, counts = np.unique(values, return_inverse=True, return_counts=True)
        return cls(keys, counts, _sums(where, weights, len(keys)))

    @classmethod
    def _of_few(cls, values: NDArray[Any], weights: NDArray[Any]) -> "_Table":
        """The same of at most 65,536 values, several times as fast: without sorting pixels."""
        least = int(values.min())
        where = values.astype(np.intp) - least
        counts = np.bincount(where)
        there = counts.nonzero()[0]
        sums = _sums(where, weights, len(counts))[there]
        return cls((there + least).astype(values.dtype), counts[there], sums)

    def joined(self, other: "_Table") -> "_Table":
        bits = min((t.bits for t in (self, other) if t.bits is not None), default=None)
        tables = [self.cut(bits), other.cut(bits)]
        keys, where = np.unique(np.concatenate([t.keys for t in tables]), return_inverse=True)
        counts = _sums(where, np.concatenate([t.counts for t in tables]), len(keys))
        weights = _sums(where, np.concatenate([t.weights for t in tables]), len(keys))
        return _Table(keys, counts.astype(np.int64), weights, bits)

    def within(self, most: int) -> "_Table":
        """Shortens keys, if more than `most`, to half as many, so that not every block does so."""
        if len(self.keys) <= most:
            return self
        bits = min(self.bits or _FIRST_BITS, _FIRST_BITS)
        while bits and np.count_nonzero(np.diff(_cut(self.keys, bits))) >= most // 2:
            bits -= 1
        return self.cut(bits)

    def cut(self, bits: int | None) -> "_Table":
        if bits == self.bits:
            return self
        keys, first = np.unique(_cut(self.keys, bits), return_index=True)
        counts = np.add.reduceat(self.counts, first)
        return _Table(keys, counts, np.add.reduceat(self.weights, first), bits)

    @property
    def values(self) -> NDArray[Any]:
        """The values of the keys; a shortened key is the middle of its range, zero stays zero."""
        if self.bits is None:
            return self.keys
        return np.where(self.keys == 0, self.keys, self.keys / 2 + _end(self.keys, self.bits) / 2)


def _sums(where: NDArray[np.intp], values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Sums by key; exact for integers, which stay far below 2⁵³."""
    return np.bincount(where, values, length).astype(np.float64, copy=False)


def _cut(keys: NDArray[Any], bits: int | None) -> NDArray[Any]:
    """Truncates towards zero, so that order is kept, and cutting twice equals cutting once."""
    keys, unsigned, rest = _as_bits(keys, bits)
    cut: NDArray[Any] = (unsigned & ~rest).view(keys.dtype)
    return cut


def _end(keys: NDArray[Any], bits: int | None) -> NDArray[Any]:
    """Returns the value farthest from zero that `_cut` turns into each key."""
    keys, unsigned, rest = _as_bits(keys, bits)
    end: NDArray[Any] = (unsigned | rest).view(keys.dtype)
    return end


def _as_bits(keys: NDArray[Any], bits: int | None) -> tuple[NDArray[Any], NDArray[Any], Any]:
    keys = keys if keys.dtype in (np.float32, np.float64) else keys.astype(np.float64)
    unsigned = keys.view(f"u{keys.itemsize}")
    spare = 0 if bits is None else np.finfo(keys.dtype).nmant - bits
    return keys, unsigned, unsigned.dtype.type((1 << spare) - 1)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Extremes, sum and squares of weighted values."""

    least: float = np.inf
    largest: float = -np.inf
    weight: float = 0.0
    sum: float = 0.0
    squares: float = 0.0
    """Weighted sum of squared distances from the mean."""

    @classmethod
    def of(cls, table: _Table) -> "_Moments":
        if not len(table.keys):
            return cls()
        values, weight = table.keys.astype(np.float64), float(table.weights.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(table.weights @ values)
            squares = float(table.weights @ np.square(values - total / weight))
        return cls(float(values[0]), float(values[-1]), weight, total, squares)

    def joined(self, other: "_Moments") -> "_Moments":
        """Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm, 1979."""
        if not (self.weight and other.weight):
            return self if self.weight else other
        weight = self.weight + other.weight
        apart = other.sum / other.weight - self.sum / self.weight
        return _Moments(
            min(self.least, other.least),
            max(self.largest, other.largest),
            weight,
            self.sum + other.sum,
            self.squares + other.squares + apart * apart * self.weight * other.weight / weight,
        )

    def summary(self) -> dict[str, float | None]:
        if not self.weight:
            return {**dict.fromkeys(("min", "max", "mean", "std")), "count": 0.0, "sum": 0.0}
        return {
            "min": self.least,
            "max": self.largest,
            "mean": _finite(self.sum / self.weight),
            "count": self.weight,
            "sum": _finite(self.sum),
            "std": _finite(math.sqrt(self.squares / self.weight)),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    table: _Table
    moments: _Moments

    @classmethod
    def of(cls, values: NDArray[Any], weights: NDArray[Any]) -> "_Band":
        finite = np.isfinite(values)
        if not finite.all():
            values, weights = values[finite], weights[finite]
        table = _Table.of(values, weights)
        return cls(table, _Moments.of(table))

    def joined(self, other: "_Band") -> "_Band":
        return _Band(self.table.joined(other.table), self.moments.joined(other.moments))

    def within(self, most: int) -> "_Band":
        return replace(self, table=self.table.within(most))


@dataclass(slots=True)
class Tally:
    """Statistics of the blocks of an area that have been added."""

    pixels: int = 0
    """Of all blocks, also the ones beside the area."""
    covered: int = 0
    """Pixels that the area touches."""
    names: tuple[str, ...] = ()
    max_values: int = MAX_VALUES
    _bands: list[_Band] = field(default_factory=list)

    def add(self, coverage: Coverage, pixels: Pixels | None) -> None:
        """Adds a block, and its pixels if there are any.

        Blocks may differ in their bands, as scenes of an image may: see `render.stack.bands`.
        """
        touched = coverage > 0
        self.covered += int(np.count_nonzero(touched))
        if pixels is None:
            return
        chosen = pixels.valid & touched
        weights = coverage[chosen]
        bands = [_Band.of(band[chosen], weights) for band in pixels.data]
        names = pixels.names
        if self._bands:
            names, (before, here) = common_bands([self.names, names])
            pairs = zip(before, here, strict=True)
            bands = [self._bands[a].joined(bands[b]) for a, b in pairs]
        most = min(self.max_values, _MAX_TOGETHER // len(bands))
        self._bands = [band.within(most) for band in bands]
        self.names = names

    @property
    def bytes(self) -> int:
        """The memory that the tables of all bands take."""
        tables = (band.table for band in self._bands)
        return sum(t.keys.nbytes + t.counts.nbytes + t.weights.nbytes for t in tables)

    def statistics(self, wanted: Wanted) -> list[tuple[str, dict[str, Any]]]:
        """Returns each band's name and fields of `rio_tiler.models.BandStatistics`; None for NaN.

        `approximate` is the largest relative error of percentiles and median, where values were
        rounded; histogram, majority, minority and unique then count rounded values.
        Raises `InvalidRequestError` where there are too many values to be categories.
        """
        return [
            (name, self._described(band, wanted))
            for name, band in zip(self.names, self._bands, strict=True)
        ]

    def _described(self, band: _Band, wanted: Wanted) -> dict[str, Any]:
        table, moments = band.table, band.moments
        valid = int(table.counts.sum())
        shown = {
            **moments.summary(),
            **_of_table(table, moments, wanted),
            "valid_percent": round(100 * min(valid / self.covered, 1), 2) if self.covered else 0.0,
            "masked_pixels": float(self.pixels - valid),
            "valid_pixels": float(valid),
        }
        if table.bits is not None:
            shown["approximate"] = 2.0 ** -(table.bits + 1)
        return shown


def _of_table(table: _Table, moments: _Moments, wanted: Wanted) -> dict[str, Any]:
    values = table.values
    if table.bits is not None:
        ends = moments.least, moments.largest
        values, wanted = values.clip(*ends), replace(wanted, range=wanted.range or ends)
    quantiles = {"median": 0.5, **{f"percentile_{p}": p / 100 for p in wanted.percentiles}}
    count = _categories if wanted.categorical else _histogram
    found = {"unique": float(len(values)), "histogram": count(values, table, wanted)}
    if not len(values):
        return found | dict.fromkeys(("majority", "minority", *quantiles))
    heap = np.cumsum(table.weights)
    places = {name: np.searchsorted(heap, part * heap[-1]) for name, part in quantiles.items()}
    places |= {"majority": table.counts.argmax(), "minority": table.counts.argmin()}
    return found | {name: float(values[place]) for name, place in places.items()}


def _histogram(values: NDArray[Any], table: _Table, wanted: Wanted) -> list[list[Any]]:
    """Returns the pixels of each bin, and the edges."""
    with np.errstate(over="ignore"):
        if len(values) and not np.isfinite(values[-1] - values[0]):
            return [[], []]  # numpy cannot: the bins would be wider than a number
    try:
        pixels, edges = np.histogram(values, wanted.bins, wanted.range, weights=table.counts)
    except ValueError:
        return [[], []]  # the bins would be narrower than the numbers there are
    return [pixels.astype(np.int64).tolist(), edges.tolist()]


def _categories(values: NDArray[Any], table: _Table, wanted: Wanted) -> list[list[Any]]:
    """Returns the pixels of each category, and the categories."""
    if table.bits is not None or (len(values) > MAX_CATEGORIES and not wanted.categories):
        raise InvalidRequestError(
            f"there are {len(values):,} values, at most {MAX_CATEGORIES:,} can be categories; ask "
            "without categorical"
        )
    pixels = dict(zip(values.tolist(), table.counts.tolist(), strict=True))
    categories = [int(c) if c == int(c) else c for c in wanted.categories] or list(pixels)
    return [[pixels.get(category, 0) for category in categories], categories]
