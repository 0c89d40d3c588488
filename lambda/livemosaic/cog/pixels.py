"""Raw blocks of an asset → its pixels on the grid; and several assets, stacked. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.overviews import WindowTuple, choose_level
from livemosaic.cog.raster import AssetLimits, Profile
from livemosaic.cog.smooth import resample_smooth
from livemosaic.cog.tiff.nodata import Nodata, nodata_in
from livemosaic.cog.warp import Piece, Positions, locate, pieces, take
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import NoTransformError
from livemosaic.model.raster import Grid, Pixels, rows_of
from livemosaic.model.render import Read
from livemosaic.storage.objects import ObjectError

_KERNEL: Final = 3
"""Half the width of the widest kernel, Lanczos, in source or output pixels, the larger."""


Raw = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""A window as stored (all bands, h, w), and the internal mask (h, w), True where valid."""


Values = tuple[NDArray[Any], NDArray[np.bool_]]
"""Bands (bands, h, w), zero where invalid, and validity (h, w)."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadPlan:
    """What to read of an asset for a grid."""

    level: int
    positions: Positions
    pieces: tuple[Piece, ...]
    windows: tuple[WindowTuple, ...]
    """One per piece, in pixels of the level."""
    samples: int
    """Samples decoded for it: pixels × bands, whole blocks."""
    bytes: int
    """Memory for them: whole blocks, and the windows cut from them."""

    @property
    def rows(self) -> int:
        """Rows of the grid from the first to the last that the asset reaches."""
        rows = [piece.part.slices[0] for piece in self.pieces]
        return max(r.stop for r in rows) - min(r.start for r in rows) if rows else 0


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Pixels of one asset on the grid."""

    data: NDArray[Any]
    """Shape (bands, height, width); zero where `valid` is False."""
    valid: NDArray[np.bool_]
    numbers: tuple[int, ...]
    """Band numbers from 1: positions in the file, or 1 to 3 for a palette's colors."""


def choose_bands(
    profile: Profile, read: Read, asset: object, limits: AssetLimits
) -> tuple[int, ...]:
    """Returns the indices, from 0, of the bands to read: `bidx`, else all but alpha.

    `InvalidRequestError` names `asset`, as `str` has it, where it lacks one of them.
    """
    for number in read.bidx:
        if not 1 <= number <= profile.count:
            raise InvalidRequestError(
                f"band {number} does not exist: {asset} has {profile.count}, numbered from 1"
            )
    bands = tuple(n - 1 for n in read.bidx) or tuple(
        i for i in range(profile.count) if i != profile.alpha
    )
    if not 1 <= len(bands) <= limits.bands:
        raise ObjectError(
            f"would give {len(bands)} bands, and at most {limits.bands} are read: choose with bidx"
        )
    return bands


def plan_read(profile: Profile, grid: Grid, read: Read) -> ReadPlan:
    """Chooses the level and windows; ObjectError if PROJ cannot transform to the grid's CRS."""
    try:
        positions = locate(grid, profile.frame)
    except NoTransformError as e:
        raise ObjectError("is in a CRS that cannot be transformed to the map's") from e
    number = choose_level(profile.levels, positions.step / read.detail)
    level = profile.levels[number]
    parts = tuple(pieces(positions, profile.frame, level.frame))
    step = positions.step * level.frame.width / profile.frame.width
    pad = _KERNEL * (1 + int(step)) + 1 if _is_smooth(profile, read) else 0
    windows = tuple(part.window(level.frame, pad) for part in parts)
    samples = sum(level.samples(window, profile.count) for window in windows)
    return ReadPlan(
        number, positions, parts, windows, samples, 2 * samples * profile.dtype.itemsize
    )


def _is_smooth(profile: Profile, read: Read) -> bool:
    """Whether values are interpolated; a palette's are indices, which have none between them."""
    return read.resampling != "nearest" and profile.palette is None


def resample(
    plan: ReadPlan,
    raw: Sequence[Raw],
    profile: Profile,
    bands: tuple[int, ...],
    grid: Grid,
    read: Read,
) -> Layer:
    """Resamples windows, one per piece, to the grid; pixels that none covers are invalid."""
    parts = []
    for piece, window, (block, mask) in zip(plan.pieces, plan.windows, raw, strict=True):
        if _is_smooth(profile, read):
            level = profile.levels[plan.level].frame
            whole = _values(block, mask, profile, bands, read)
            part = resample_smooth(
                *whole, window, level, piece, plan.positions, profile.frame, read.resampling
            )
        else:
            flat_indices = piece.flat_indices(window)
            taken, kept = (
                take(block, flat_indices),
                None if mask is None else take(mask[None], flat_indices)[0],
            )
            part = _values(taken, kept, profile, bands, read, piece.inside)
        parts.append(part)
    shape = (grid.height, grid.width)
    if [piece.part.shape for piece in plan.pieces] == [shape]:
        (joined,) = parts
    else:
        data = np.zeros((len(bands), *shape), dtype_of_pixels(profile, read))
        joined = _joined(plan.pieces, parts, data)
    layer = Layer(*joined, tuple(i + 1 for i in bands))
    show_colors = profile.palette is not None and read.palette and not read.bidx
    return _colored(layer, profile.palette) if show_colors else layer


def _joined(pieces: Sequence[Piece], parts: Sequence[Values], data: NDArray[Any]) -> Values:
    """Joins disjoint pieces of one grid in `data`, which is zero."""
    valid = np.zeros(data.shape[1:], np.bool_)
    for piece, (values, real) in zip(pieces, parts, strict=True):
        rows, cols = piece.part.slices
        np.copyto(data[:, rows, cols], values, where=real)
        valid[rows, cols] |= real
    return data, valid


def dtype_of_pixels(profile: Profile, read: Read) -> np.dtype[Any]:
    """Returns the dtype of pixels: the stored one, so that 64-bit integers stay exact.

    But interpolated they are float64, in which GDAL's warper computes.
    """
    if read.unscale:
        return np.dtype(np.float32)
    stored = profile.dtype
    wide = stored.kind in "iu" and stored.itemsize == 8
    return np.dtype(np.float64) if wide and _is_smooth(profile, read) else stored


def _values(
    raw: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    profile: Profile,
    bands: tuple[int, ...],
    read: Read,
    inside: NDArray[np.bool_] | None = None,
) -> Values:
    """Returns chosen bands of `raw` (all bands, …), zero where invalid, and their validity."""
    chosen = raw if bands == tuple(range(len(raw))) else raw[list(bands)]
    valid = _validity(chosen, raw, mask, profile, bands, read)
    if inside is not None:
        valid &= inside
    if read.unscale:
        values = _unscaled(chosen, profile, bands)
    else:
        values = chosen.astype(dtype_of_pixels(profile, read), copy=False)
    return (values if valid.all() else np.where(valid, values, values.dtype.type(0))), valid


def _validity(
    chosen: NDArray[Any],
    raw: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    profile: Profile,
    bands: tuple[int, ...],
    read: Read,
) -> NDArray[np.bool_]:
    """Returns True where valid. As in GDAL, the internal mask outranks the nodata value.

    A pixel is nodata if all its bands are: (0, 0, 255) is a blue, though black is nodata. It is
    invalid if any is NaN, which nothing downstream can draw.
    """
    valid = np.ones(raw.shape[1:], np.bool_) if mask is None else mask.copy()
    if profile.alpha is not None:
        valid &= raw[profile.alpha] != 0
    nodata = profile.nodata if read.nodata is None and mask is None else read.nodata
    same = None if nodata is None else nodata_in(chosen, nodata)
    if same is not None:
        valid &= ~same.all(axis=0)
    if profile.nodata_of_bands and read.nodata is None:
        of_bands = [profile.nodata_of_bands[index] for index in bands]
        valid &= np.any(list(map(_is_data, chosen, of_bands)), axis=0)
    if chosen.dtype.kind == "f":
        valid &= ~np.isnan(chosen).any(axis=0)
    return valid


def _is_data(band: NDArray[Any], nodata: Nodata | None) -> NDArray[np.bool_]:
    same = None if nodata is None else nodata_in(band, nodata)
    return np.ones(band.shape, np.bool_) if same is None else ~same


def _unscaled(
    values: NDArray[Any], profile: Profile, bands: tuple[int, ...]
) -> NDArray[np.floating[Any]]:
    shape = (-1,) + (1,) * (values.ndim - 1)
    scale = np.array([profile.scales[i] for i in bands]).reshape(shape)
    offset = np.array([profile.offsets[i] for i in bands]).reshape(shape)
    with np.errstate(over="ignore", invalid="ignore"):  # nodata may be huge; it becomes zero later
        unscaled: NDArray[np.floating[Any]] = (values * scale + offset).astype(np.float32)
    return unscaled


def _colored(layer: Layer, palette: NDArray[np.uint8] | None) -> Layer:
    """Maps palette indices to red, green, blue; indices without a color are invalid."""
    assert palette is not None  # noqa: S101
    index = layer.data[0].astype(np.intp)
    valid = layer.valid & (index < len(palette))
    colors = np.moveaxis(palette[np.where(valid, index, 0)], -1, 0)
    return Layer(np.where(valid, colors, np.uint8(0)), valid, (1, 2, 3))


def stack(assets: Sequence[str], layers: Sequence[Layer]) -> Pixels:
    """Concatenates layers' bands in order; valid where all are, in a dtype that holds all."""
    if len(layers) == 1:
        (layer,) = layers
        return Pixels(layer.data, layer.valid, tuple(f"b{n}" for n in layer.numbers))
    dtype = np.result_type(*(layer.data.dtype for layer in layers))
    valid_of = tuple(layer.valid for layer in layers)
    differ = not all(np.array_equal(own, valid_of[0]) for own in valid_of[1:])
    valid = np.logical_and.reduce(valid_of) if differ else valid_of[0]
    data = np.zeros((sum(len(layer.data) for layer in layers), *valid.shape), dtype)
    rows, first = rows_of(valid), 0
    for layer in layers:
        own = data[first : first + len(layer.data), rows]
        np.copyto(own, layer.data[:, rows], where=valid[rows] if differ else True)
        first += len(layer.data)
    names = tuple(
        f"{asset}_b{n}" for asset, layer in zip(assets, layers, strict=True) for n in layer.numbers
    )
    return Pixels(data, valid, names, valid_of if differ else ())
