"""Rasters: grids of pixels, the pixels on them, and what stored numbers mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

Mask = NDArray[np.bool_]
"""Shape (height, width) of a grid."""

BBox = tuple[float, float, float, float]
"""Left, bottom, right, top, in the CRS that the name or docstring says."""

LonLat = tuple[float, float]
"""Longitude and latitude, in degrees."""
USUAL_MAXZOOM: Final = 22
"""The deepest zoom of tiles where nothing says another one."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of a response: a north-up raster in some CRS."""

    crs: CRS
    bounds: BBox
    """Outer edges in `crs`, x before y."""
    width: int
    height: int
    world: float | None = None
    """Units of x around the world, for a grid that goes on beyond its edge."""

    @property
    def transform(self) -> Affine:
        """Pixel corner (column, row) → CRS (x, y)."""
        return _transform(self.bounds, self.width, self.height)

    @property
    def to_pixel(self) -> Affine:
        """CRS (x, y) → pixel corner (column, row)."""
        return _to_pixel(self.bounds, self.width, self.height)

    def grown(self, left: int, top: int, right: int, bottom: int) -> "Grid":
        """Returns the grid with so many pixels more on each side; fewer where they are negative."""
        x0, y0, x1, y1 = self.bounds
        x, y = (x1 - x0) / self.width, (y1 - y0) / self.height
        return replace(
            self,
            bounds=(x0 - left * x, y0 - bottom * y, x1 + right * x, y1 + top * y),
            width=self.width + left + right,
            height=self.height + top + bottom,
        )


@lru_cache(maxsize=64)
def _transform(bounds: BBox, width: int, height: int) -> Affine:
    left, bottom, right, top = bounds
    return Affine((right - left) / width, 0, left, 0, (bottom - top) / height, top)


@lru_cache(maxsize=64)
def _to_pixel(bounds: BBox, width: int, height: int) -> Affine:
    inverse: Affine = ~_transform(bounds, width, height)
    return inverse


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Pixels of a grid as runs along its rows: small, and nearly as fast as a mask."""

    ends: NDArray[np.int64]
    """Shape (2n,), sorted: where each run begins, and one past its last pixel, counted row by row
    from the top left pixel. Runs never overlap; they may touch, and may be empty."""

    def __bool__(self) -> bool:
        """Whether there is any pixel."""
        return bool((self.ends[::2] < self.ends[1::2]).any())

    @property
    def count(self) -> int:
        """How many pixels there are."""
        return int((self.ends[1::2] - self.ends[::2]).sum())

    def mask(self, height: int, width: int) -> Mask:
        """Returns the pixels as a mask of their grid."""
        lengths = np.empty(len(self.ends) + 1, np.int64)
        lengths[:-1], lengths[-1] = self.ends, height * width
        lengths[1:] -= self.ends
        are_inside = np.zeros(len(lengths), np.bool_)
        are_inside[1::2] = True
        return are_inside.repeat(lengths).reshape(height, width)

    @classmethod
    def of(cls, mask: Mask) -> "Runs":
        """Returns the pixels of a mask."""
        return cls(np.flatnonzero(np.diff(mask.ravel(), prepend=False, append=False)))

    @classmethod
    def union(cls, several: Sequence["Runs"]) -> "Runs":
        """Returns the pixels that any of several has."""
        if len(several) == 1:
            return several[0]
        ends = np.concatenate([np.zeros(0, np.int64), *(runs.ends for runs in several)])
        steps = 1 - 2 * (np.arange(len(ends)) & 1)
        order = ends.argsort(kind="stable")
        steps = steps[order]
        depths = steps.cumsum()
        return cls(ends[order][(depths == 0) | ((depths == 1) & (steps == 1))])


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Pixels on a `Grid`."""

    data: NDArray[Any]
    """Shape (bands, height, width); zero where `valid` is False."""
    valid: NDArray[np.bool_]
    """Shape (height, width); True where the pixel is real (the inverse of numpy.ma)."""
    names: tuple[str, ...]
    """One per band: `b1`, or `red_b1` where several assets are stacked."""
    valid_of: tuple[NDArray[np.bool_], ...] = ()
    """Validity of each asset, where they differ: a pixel is valid where all of them are."""

    def __post_init__(self) -> None:
        if self.data.shape[1:] != self.valid.shape or len(self.names) != self.data.shape[0]:
            raise ValueError(
                f"data {self.data.shape}, valid {self.valid.shape} and names {self.names} disagree"
            )


def rows_of(valid: NDArray[np.bool_]) -> slice:
    """Returns the rows of a mask (height, width) from the first to the last with a valid pixel.

    Rows of new zeros outside of them take no memory as long as nothing is written there.
    """
    rows = np.flatnonzero(valid.any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def trimmed(
    pixels: Pixels, grid: Grid, left: int, top: int, right: int, bottom: int
) -> tuple[Pixels, Grid]:
    """Returns pixels without so many of them on each side, and their grid."""
    inner = slice(top, grid.height - bottom), slice(left, grid.width - right)
    kept = Pixels(pixels.data[:, *inner], pixels.valid[inner], pixels.names)
    return kept, grid.grown(-left, -top, -right, -bottom)


@dataclass(frozen=True, slots=True)
class BandEncoding:
    """The encoding of one band: its value is the stored number × `scale` + `offset`."""

    nodata: float | None = None
    """The stored number of pixels without data; an int where it is one, so that 64 bits stay exact.
    None where there is none."""
    scale: float = 1.0
    offset: float = 0.0


Encoding = tuple[BandEncoding, ...]
"""The bands of an asset, in the order of the file; one entry alone is that of every band."""

PLAIN: Final = BandEncoding()


def band_of(encoding: Encoding, index: int) -> BandEncoding:
    """Returns the encoding of a band, counted from 0; a plain one beyond the stated ones."""
    if len(encoding) == 1:
        return encoding[0]
    return encoding[index] if index < len(encoding) else PLAIN


def encodings_to_text(encodings: Mapping[str, Encoding]) -> str:
    """Returns the encodings of assets as rows of the table keep them; empty where all are plain.

    JSON, as short as can be since each row of a scene repeats it: assets by equal encoding, a band
    as `[nodata, scale, offset]` without what is plain at its end.
    """
    assets: dict[Encoding, list[str]] = {}
    for asset, encoding in encodings.items():
        shortened = _without_repeats(encoding)
        if shortened != (PLAIN,):
            assets.setdefault(shortened, []).append(asset)
    groups = [[[_to_json(band) for band in bands], names] for bands, names in assets.items()]
    return json.dumps(groups, separators=(",", ":"), ensure_ascii=False) if groups else ""


@lru_cache(1024)
def encodings_from_text(text: str) -> Mapping[str, Encoding]:
    """Returns the encodings of assets, by their keys, as `encodings_to_text` wrote them."""
    groups = json.loads(text) if text else ()
    return {
        name: tuple(BandEncoding(*band) for band in bands)
        for bands, names in groups
        for name in names
    }


def _without_repeats(encoding: Encoding) -> Encoding:
    return encoding[:1] if len(set(encoding)) == 1 else encoding or (PLAIN,)


def _to_json(band: BandEncoding) -> list[float | None]:
    values = list(astuple(band))
    while values and values[-1] == astuple(PLAIN)[len(values) - 1]:
        values.pop()
    return values
