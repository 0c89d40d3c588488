"""Ground control points: places of some pixels of a raster that has no affine transform.

Fitted as GDAL's transformers fit them, by a polynomial of order 1 to 3 or by a thin plate spline,
whichever predicts best the points that it was not fitted to. Heights are left out, as in GDAL: each
place is one at the height of the ground, where the producer took it there.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion
from rasterio.crs import CRS

from livemosaic.geo.crs import transformer

Floats = NDArray[np.floating[Any]]
Map = Callable[[Floats], Floats]
"""Takes points of shape (n, 2) to others."""

GcpTuple = tuple[float, float, float, float]
"""Column and row, from the corner of the raster, and x and y of a ground control point."""

MAX_GCPS: Final = 10_000
_MAX_KNOTS: Final = 400
"""Points of a spline; of more, so many are taken, spread evenly, and the others tell its error."""
_ALIKE: Final = (1.1, 0.01)
"""A fit whose error is so many times the least, and so many pixels more, is as good."""
_FAR: Final = 0.25
"""Part of the raster by which a fit may leave its affine part, beside what it leaves at points."""
_CHUNK: Final = 4096
_POLAR: Final = 70.0
"""Latitude from which on longitudes may bend too much for any fit in degrees."""


class GcpError(ValueError):
    """No transform fits the ground control points; the message continues the raster's name."""


@dataclass(frozen=True, slots=True, eq=False)
class GcpTransform:
    """A transform between pixels and places of a raster, fitted to ground control points."""

    crs: CRS
    """Of the places: that of the points, or a plane around a pole where that fits better."""
    method: str
    """`polynomial of order 2` or `thin plate spline`."""
    count: int
    error: float
    """Root mean square, in pixels, by which a fit to the other points misses a point; NaN of three
    points, which any fit meets."""
    affine: Affine
    """The affine transform that fits best, pixel corner (column, row) → CRS (x, y)."""
    _to_map: Map
    _to_pixel: Map
    _middle: float | None
    """Longitude in the middle of the raster, around which it lies; None in a projected CRS."""
    _apart: float
    """The largest distance in pixels of a sound position from the affine one."""

    @property
    def fit(self) -> str:
        """The method and its error, for people."""
        return f"{self.method} through {self.count} GCPs, RMS error {self.error:.2g} pixels"

    def to_map(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Returns x and y of pixels; longitudes may run on beyond ±180."""
        x, y = self._to_map(np.column_stack([np.ravel(cols), np.ravel(rows)])).T
        return x.reshape(np.shape(cols)), y.reshape(np.shape(cols))

    def to_pixel(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Returns columns and rows of places; NaN where no fit means anything."""
        flat = np.column_stack([np.ravel(x), np.ravel(y)])
        if self._middle is not None:
            flat[:, 0] = self._middle + _wrapped(flat[:, 0] - self._middle)
        found = self._to_pixel(flat)
        roughly = np.column_stack(~self.affine @ (flat[:, 0], flat[:, 1]))
        found[~(np.hypot(*(found - roughly).T) <= self._apart)] = np.nan
        return found[:, 0].reshape(np.shape(x)), found[:, 1].reshape(np.shape(x))


@lru_cache(maxsize=256)
def gcp_transform(gcps: tuple[GcpTuple, ...], crs: CRS, width: int, height: int) -> GcpTransform:
    """Fits a transform to points (column, row, x, y) of a raster; raises `GcpError` if none fits.

    Cached: bands in separate files have the same points.
    """
    points = np.unique(np.array(gcps, float).reshape(-1, 4), axis=0)
    if not np.isfinite(points).all() or not 3 <= len(points) <= MAX_GCPS:
        raise GcpError(f"has {len(points):,} ground control points; 3 to {MAX_GCPS:,} are needed")
    found = _best(points, crs, (width, height))
    if crs.is_geographic and np.abs(points[:, 3]).max() > _POLAR:
        plane = _plane(points, crs)
        x, y = transformer(crs, plane).transform(points[:, 2], points[:, 3])
        flat = _best(np.column_stack([points[:, :2], x, y]), plane, (width, height))
        return flat if flat.error < found.error / 2 else found
    return found


def _best(points: Floats, crs: CRS, size: tuple[int, int]) -> GcpTransform:
    pixels, places, middle = points[:, :2], points[:, 2:].copy(), None
    if crs.is_geographic:
        turns = np.exp(1j * np.radians(places[:, 0])).mean()
        middle = float(np.degrees(np.angle(turns)))
        places[:, 0] = middle + _wrapped(places[:, 0] - middle)
    straight = _polynomial(1, pixels, places)
    fits = list(_fits(places, pixels))
    if straight is None or not fits:
        raise GcpError("has ground control points that lie on one line")
    least = min(fit.error for fit in fits)
    times, more = _ALIKE
    good = [fit for fit in fits if not fit.error > times * least + more]
    best = min(
        good, key=lambda fit: round(fit.residual, 2)
    )  # the first, so the simplest, of equals
    affine = _affine(straight)
    roughly = np.column_stack(~affine @ (places[:, 0], places[:, 1]))
    apart = float(np.hypot(*(roughly - pixels).T).max())
    back = best.make(pixels, places) or straight
    return GcpTransform(
        crs,
        best.method,
        len(points),
        best.error,
        affine,
        back.map,
        best.map,
        middle,
        2 * apart + _FAR * max(size),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A map of points to others, fitted to pairs."""

    method: str
    map: Map
    residual: float
    """Root mean square of what the fit misses at the points."""
    error: float
    """The same of fits that each leave out the point."""
    make: "_Maker"
    """Fits a map of the same kind."""


_Maker = Callable[[Floats, Floats], _Fit | None]


def _fits(source: Floats, target: Floats) -> Iterator[_Fit]:
    """Yields possible fits, the simplest first."""
    makers: list[_Maker] = [*(partial(_polynomial, order) for order in (1, 2, 3)), _spline]
    yield from (fit for make in makers if (fit := make(source, target)) is not None)


def _polynomial(order: int, source: Floats, target: Floats) -> _Fit | None:
    shift, scale = _frame(source)
    basis = _powers((source - shift) / scale, order)
    terms = basis.shape[1]
    if len(source) < terms or (order > 1 and len(source) == terms):
        return None
    left, singular, _ = np.linalg.svd(basis, full_matrices=False)
    if singular[-1] < 1e-9 * singular[0]:
        return None
    weights = np.linalg.lstsq(basis, target, rcond=None)[0]
    missed = target - basis @ weights
    free = 1 - (left**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = missed / free[:, None]
    error = _rms(alone) if len(source) > terms else math.nan
    return _Fit(
        f"polynomial of order {order}",
        lambda xy: _powers((xy - shift) / scale, order) @ weights,
        _rms(missed),
        error,
        partial(_polynomial, order),
    )


def _spline(source: Floats, target: Floats) -> _Fit | None:
    """Fits a thin plate spline, which meets its points."""
    if len(source) < 4 or len(np.unique(source, axis=0)) < len(source):
        return None
    chosen = np.unique(np.linspace(0, len(source) - 1, min(len(source), _MAX_KNOTS)).astype(int))
    shift, scale = _frame(source)
    knots, count = (source[chosen] - shift) / scale, len(chosen)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(knots, knots)
    system[:count, count:] = _powers(knots, 1)
    system[count:, :count] = system[:count, count:].T
    try:
        inverse = np.linalg.inv(system)
    except np.linalg.LinAlgError:
        return None
    weights = inverse[:, :count] @ target[chosen]

    def follow(xy: Floats) -> Floats:
        at = (xy - shift) / scale
        parts = [at[start : start + _CHUNK] for start in range(0, len(at), _CHUNK)]
        found = [
            _kernel(p, knots) @ weights[:count] + _powers(p, 1) @ weights[count:] for p in parts
        ]
        return np.concatenate(found) if found else np.empty((0, 2))

    # Of a spline, what a fit without a point misses there is known without fitting (Rippa 1999).
    missed = weights[:count] / np.diag(inverse)[:count, None]
    others = np.delete(np.arange(len(source)), chosen)
    residual = follow(source) - target
    if not _rms(residual[chosen]) <= 1e-6 * (1 + float(np.ptp(target))):
        return None  # points so close that the system cannot be solved
    error = _rms(residual[others]) if len(others) else _rms(missed)
    return _Fit("thin plate spline", follow, _rms(residual), error, _spline)


def _kernel(at: Floats, knots: Floats) -> Floats:
    """Returns r² log r² of the distances between points and knots."""
    squares = (at[:, None, 0] - knots[:, 0]) ** 2 + (at[:, None, 1] - knots[:, 1]) ** 2
    found: Floats = squares * np.log(np.maximum(squares, 1e-300))
    return found


def _powers(xy: Floats, order: int) -> Floats:
    x, y = xy.T
    return np.column_stack([x ** (n - k) * y**k for n in range(order + 1) for k in range(n + 1)])


def _frame(source: Floats) -> tuple[Floats, float]:
    """Returns a shift and a scale, one for both axes, by which points lie around 0."""
    low, high = source.min(axis=0), source.max(axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 or 1.0


def _affine(fit: _Fit) -> Affine:
    origin, right, down = fit.map(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    (a, d), (b, e) = right - origin, down - origin
    return Affine(a, b, origin[0], d, e, origin[1])


def _rms(missed: Floats) -> float:
    return float(np.sqrt((missed**2).sum(axis=1).mean()))


def _wrapped(lon: Floats) -> Floats:
    wrapped: Floats = (lon + 180) % 360 - 180
    return wrapped


def _plane(points: Floats, crs: CRS) -> CRS:
    """Returns an equal-area plane around the middle of points in degrees."""
    lon, lat = np.radians(points[:, 2:]).T
    x, y, z = (
        (np.cos(lat) * np.cos(lon)).mean(),
        (np.cos(lat) * np.sin(lon)).mean(),
        np.sin(lat).mean(),
    )
    middle = LambertAzimuthalEqualAreaConversion(
        math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))
    )
    geodetic = pyproj.CRS.from_wkt(crs.to_wkt())
    return CRS.from_wkt(pyproj.crs.ProjectedCRS(middle, geodetic_crs=geodetic).to_wkt())
