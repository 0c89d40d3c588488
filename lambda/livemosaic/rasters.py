"""GeoTIFFs as rasters: what a header says, and windows of raw pixels.

async-geotiff reads them, GDAL those that it cannot. Both go through the same `stores.Object`, so a
file that GDAL opens can reach nothing else: no sidecar, no VRT, no URL.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import rasterio
from affine import Affine
from async_geotiff import GeoTIFF, Overview
from async_tiff import TIFF, GeoKeyDirectory, ImageFileDirectory
from async_tiff.enums import ExtraSamples, PlanarConfiguration
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from livemosaic.errors import LivemosaicError
from livemosaic.ranges import RangeFile, RangeSource
from livemosaic.stores import Object, ObjectError
from livemosaic.warp import Frame, level_frame

NOT_A_COG: Final = (
    "is not tiled, so it is no COG: convert it with `rio cogeo create in.tif out.tif`"
)
NO_PLACE: Final = "has no georeferencing, so nobody knows where its pixels lie"
GDAL_BUDGET_FACTOR: Final = 16
"""Bytes that GDAL may fetch for one read, in multiples of the header limit."""

_ALPHAS: Final = (ExtraSamples.AssociatedAlpha, ExtraSamples.UnassociatedAlpha)
_POINT: Final = 2
_USER_DEFINED: Final = 32767
_REDUCED: Final = 1
_OVERVIEW_EPSILON: Final = 0.1

WindowTuple = tuple[int, int, int, int]
"""First column, first row, width, height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one asset may cost. Beyond it is unreadable, with the number in the message."""

    block_edge: int = 8192
    bands: int = 64
    header_bytes: int = 16 * 1024 * 1024
    samples: int = 64_000_000
    """Pixels × bands decoded for one read, whole blocks counted."""
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The full resolution or one overview."""

    frame: Frame
    block: tuple[int, int]
    """Width and height of a block, in pixels."""

    def samples(self, window: WindowTuple, bands: int) -> int:
        """How many samples are decoded to read a window."""
        (left, top, width, height), (w, h) = window, self.block
        across = (left + width - 1) // w - left // w + 1
        down = (top + height - 1) // h - top // h + 1
        return across * w * down * h * bands


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What a header says."""

    frame: Frame
    levels: tuple[Level, ...]
    """Full resolution first, then coarser and coarser."""
    dtype: np.dtype[Any]
    count: int
    """All bands, alpha among them."""
    nodata: float | None
    alpha: int | None
    """Index of the alpha band, from 0."""
    masked: bool
    """Whether there is an internal mask."""
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    palette: NDArray[np.uint8] | None
    """Shape (entries, 3): red, green, blue by value."""

    def level_for(self, step: float) -> int:
        """The coarsest level that is not coarser than `step` source pixels, as GDAL's `-ovr AUTO`.

        GDAL's tolerance of a tenth is kept, so that 2 source pixels per output pixel, give or take
        the curvature of the Earth, is the first overview. Unlike GDAL's, `step` is that of the tile
        and not of the file as a whole, and of areas: degrees on Mercator far from the equator are
        read somewhat coarser in y than shown, not many times finer in x.
        """
        fits = [
            i
            for i, level in enumerate(self.levels)
            if self.frame.width / level.frame.width < step + _OVERVIEW_EPSILON
        ]
        return max(fits, default=0)


class Raster(Protocol):
    """An open GeoTIFF."""

    @property
    def profile(self) -> Profile:
        """What its header says."""
        ...

    async def read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """All bands (count, h, w) as stored, and the internal mask (h, w), True where valid."""
        ...


class DecodeError(ObjectError):
    """The bytes are there, and cannot be made sense of; another reader may."""


async def open_raster(source: Object, limits: Limits) -> Raster:
    """Read a header; ObjectError says why it cannot be had."""
    try:
        with decoding():
            return await TiffRaster.open(source, limits)
    except DecodeError:
        with decoding():
            return await GdalRaster.open(source, limits)


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever a decoder raises into DecodeError; let pass what says more.

    A panic in Rust is a BaseException of a class without an import, pyo3_runtime.PanicException;
    a cancellation and an exit are BaseExceptions too, and are not ours to stop.
    """
    try:
        yield
    except (ObjectError, LivemosaicError):
        raise
    except BaseException as e:
        if (lost := ObjectError.lost_in(e)) is not None:
            raise lost from e
        if not isinstance(e, Exception) and type(e).__name__ != "PanicException":
            raise
        raise DecodeError("cannot be decoded: it is damaged, or of an unknown kind") from e


class UnsupportedError(Exception):
    """Something that async-geotiff cannot do, or does wrong; GDAL may."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffRaster:
    """A GeoTIFF read by async-geotiff. Knows no event loop."""

    profile: Profile
    _levels: tuple[GeoTIFF | Overview, ...]

    @classmethod
    async def open(cls, source: Object, limits: Limits) -> "TiffRaster":
        """Read a header in as few requests as it takes."""
        ranges = RangeSource(source, header_bytes=limits.header_bytes)
        tiff = await TIFF.open("", store=ranges)
        ranges.header_done()
        _refuse_untiled(tiff.ifds[0])
        # async-geotiff would warn, and fail an assertion when the overview is read.
        if any(ifd.tile_width is None for ifd in tiff.ifds):
            raise UnsupportedError("an overview or mask without tiles")
        geotiff = GeoTIFF(tiff)
        levels: tuple[GeoTIFF | Overview, ...] = (geotiff, *_overviews(geotiff))
        frame = Frame(await _crs(geotiff, source, limits), _transform(geotiff.ifd), *_size(geotiff))
        return cls(_tiff_profile(geotiff, frame, levels), levels)

    async def read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """See `Raster`."""
        image = self._levels[level]
        _refuse_bombs(image, window, self.profile)
        wanted = _blocks(window, (image.tile_width, image.tile_height))
        data, mask = await asyncio.gather(
            _fetch(image.ifd, wanted), _fetch(image.mask_ifd, wanted) if image.mask_ifd else _none()
        )
        return await asyncio.to_thread(self._assemble, image, wanted, window, data, mask)

    def _assemble(
        self,
        image: GeoTIFF | Overview,
        wanted: list[tuple[int, int]],
        window: WindowTuple,
        data: list[NDArray[Any]],
        mask: list[NDArray[Any]] | None,
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        planar = image.ifd.planar_configuration == PlanarConfiguration.Planar
        bands = [block if planar else np.moveaxis(block, -1, 0) for block in data]
        out = np.empty((self.profile.count, window[3], window[2]), self.profile.dtype)
        _paste(bands, wanted, window, out)
        if mask is None:
            return out, None
        real = np.empty((1, window[3], window[2]), np.bool_)
        _paste([block[None, :, :, 0] != 0 for block in mask], wanted, window, real)
        return out, real[0]


async def _none() -> None:
    return None


async def _fetch(ifd: ImageFileDirectory, wanted: list[tuple[int, int]]) -> list[NDArray[Any]]:
    """Decoded blocks in TIFF's own order of axes; decoding is in async-tiff's threads.

    Not `GeoTIFF.read`: that assembles on the event loop, and works out a transform per block.
    """
    blocks = await ifd.fetch_tiles(wanted)
    return [np.asarray(a) for a in await asyncio.gather(*(block.decode() for block in blocks))]


def _blocks(window: WindowTuple, block: tuple[int, int]) -> list[tuple[int, int]]:
    """Column and row of each block that a window touches."""
    (left, top, width, height), (w, h) = window, block
    across = range(left // w, (left + width - 1) // w + 1)
    down = range(top // h, (top + height - 1) // h + 1)
    return [(x, y) for y in down for x in across]


def _paste(
    blocks: list[NDArray[Any]],
    wanted: list[tuple[int, int]],
    window: WindowTuple,
    out: NDArray[Any],
) -> None:
    """Copy the parts of blocks (bands, h, w) that lie in a window to it."""
    left, top, width, height = window
    for (x, y), block in zip(wanted, blocks, strict=True):
        count, h, w = block.shape
        if count != len(out) or (block.dtype != out.dtype and out.dtype != np.bool_):
            raise UnsupportedError("blocks that are not as the header says")
        x0, y0 = x * w - left, y * h - top
        out[:, max(y0, 0) : min(y0 + h, height), max(x0, 0) : min(x0 + w, width)] = block[
            :, max(-y0, 0) : height - y0, max(-x0, 0) : width - x0
        ]


def _size(image: GeoTIFF | Overview) -> tuple[int, int]:
    return image.width, image.height


def _refuse_untiled(ifd: ImageFileDirectory) -> None:
    if ifd.tile_width is None or ifd.tile_height is None:
        raise ObjectError(NOT_A_COG)
    if ifd.geo_key_directory is None or (
        ifd.model_transformation is None and ifd.model_pixel_scale is None
    ):
        raise ObjectError(NO_PLACE)


def _overviews(geotiff: GeoTIFF) -> list[Overview]:
    """Reduced images only, not other pages; and masked ones only, where the full image is."""
    return [
        overview
        for overview in geotiff.overviews
        if (overview.ifd.new_subfile_type or 0) & _REDUCED
        and overview.ifd.samples_per_pixel == geotiff.count
        and (geotiff.mask_ifd is None or overview.mask_ifd is not None)
    ]


def _tiff_profile(
    geotiff: GeoTIFF, frame: Frame, levels: tuple[GeoTIFF | Overview, ...]
) -> Profile:
    """ValueError and the like where the header is beyond async-geotiff."""
    if geotiff.dtype is None:
        raise UnsupportedError("bits per sample that numpy has no type for")
    if any(_mask_is_cut_otherwise(level) for level in levels):
        raise UnsupportedError("a mask whose tiles are not those of the image")
    _ = geotiff.colorinterp  # raises for the photometric interpretations it cannot read
    return Profile(
        frame=frame,
        levels=tuple(
            Level(level_frame(frame, *_size(level)), (level.tile_width, level.tile_height))
            for level in levels
        ),
        dtype=np.dtype(geotiff.dtype),
        count=geotiff.count,
        nodata=geotiff.nodata,
        alpha=_alpha(geotiff),
        masked=geotiff.mask_ifd is not None,
        scales=geotiff.scales,
        offsets=geotiff.offsets,
        palette=geotiff.colormap.as_array() if geotiff.colormap else None,
    )


def _mask_is_cut_otherwise(level: GeoTIFF | Overview) -> bool:
    mask = level.mask_ifd
    return mask is not None and (
        (mask.tile_width, mask.tile_height) != (level.tile_width, level.tile_height)
    )


def _alpha(geotiff: GeoTIFF) -> int | None:
    """async-geotiff sees alpha beside red, green, blue only; GDAL and the tag say more."""
    named = [i for i, c in enumerate(geotiff.colorinterp) if c.name == "ALPHA"]
    extra = geotiff.ifd.extra_samples or []
    first = geotiff.count - len(extra)
    tagged = [first + i for i, sample in enumerate(extra) if sample in _ALPHAS]
    return next(iter(named + tagged), None)


def _transform(ifd: ImageFileDirectory) -> Affine:
    """GeoTIFF 1.1, 7.3. async-geotiff takes every tie point for one of pixel (0, 0)."""
    if ifd.model_transformation is not None:
        m = ifd.model_transformation
        corner = Affine(m[0], m[1], m[3], m[4], m[5], m[7])
    elif ifd.model_pixel_scale is not None and ifd.model_tiepoint is not None:
        (dx, dy, *_), (col, row, _, x, y, *_) = ifd.model_pixel_scale, ifd.model_tiepoint
        corner = Affine(dx, 0, x, 0, -dy, y) @ Affine.translation(-col, -row)
    else:
        raise ObjectError(NO_PLACE)
    if not corner.determinant or not np.isfinite(tuple(corner)).all():
        raise ObjectError(NO_PLACE)
    keys = ifd.geo_key_directory
    is_point = keys is not None and keys.raster_type == _POINT
    return corner @ Affine.translation(-0.5, -0.5) if is_point else corner


async def _crs(geotiff: GeoTIFF, source: Object, limits: Limits) -> CRS:
    """By EPSG code; a CRS spelled out in keys is left to GDAL.

    async-geotiff spells out some of them wrongly and says nothing: a false easting in feet puts the
    raster thousands of kilometres away.
    """
    code = _epsg(geotiff.ifd.geo_key_directory)
    try:
        if code is not None:
            return CRS.from_epsg(code)
    except (RasterioError, CRSError):
        pass  # not a code of EPSG's: some software writes ESRI's there, which GDAL knows
    return (await GdalRaster.open(source, limits)).profile.frame.crs


def _epsg(keys: GeoKeyDirectory | None) -> int | None:
    if keys is None:
        return None
    code = {1: keys.projected_type, 2: keys.geographic_type}.get(keys.model_type or 0)
    return code if code not in (None, 0, _USER_DEFINED) else None


def _refuse_bombs(image: GeoTIFF | Overview, window: WindowTuple, profile: Profile) -> None:
    """Blocks of more bytes compressed than not, before they are fetched; sparse ones are GDAL's."""
    w, h = image.tile_width, image.tile_height
    plain = w * h * profile.count * profile.dtype.itemsize
    for x, y in _blocks(window, (w, h)):
        found = image.ifd.tile_byte_range(x, y)
        ranges = found if isinstance(found, list) else [found]
        if any(stop <= start for start, stop in ranges):
            raise UnsupportedError("sparse blocks")
        size = sum(stop - start for start, stop in ranges)
        if size > 2 * plain + 65536:
            raise ObjectError(f"holds a block of {size:,} bytes for {plain:,} of pixels")


@dataclass(frozen=True, slots=True, eq=False)
class GdalRaster:
    """A GeoTIFF read by GDAL's GTiff driver, in a thread; opened anew for each read."""

    profile: Profile
    _source: Object
    _size: int
    _budget: int

    @classmethod
    async def open(cls, source: Object, limits: Limits) -> "GdalRaster":
        """Read a header; ObjectError says why it cannot be had."""
        return await asyncio.to_thread(cls._open, source, limits)

    @classmethod
    def _open(cls, source: Object, limits: Limits) -> "GdalRaster":
        size = source.size_blocking()
        with _gdal(source, size, limits.header_bytes) as dataset:
            profile = _gdal_profile(dataset)
            sizes = [profile.levels[0]]
            overviews = len(dataset.overviews(1))
        for i in range(overviews):
            with _gdal(source, size, limits.header_bytes, OVERVIEW_LEVEL=i) as overview:
                frame = level_frame(profile.frame, overview.width, overview.height)
                sizes.append(Level(frame, overview.block_shapes[0][::-1]))
        budget = limits.header_bytes * GDAL_BUDGET_FACTOR
        return cls(replace(profile, levels=tuple(sizes)), source, size, budget)

    async def read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """See `Raster`."""
        return await asyncio.to_thread(self._read, level, window)

    def _read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        chosen = {"OVERVIEW_LEVEL": level - 1} if level else {}
        with _gdal(self._source, self._size, self._budget, **chosen) as dataset:
            data = dataset.read(window=Window(*window))
            masked = self.profile.masked
            mask = dataset.read_masks(1, window=Window(*window)) > 0 if masked else None
            return data, mask


@contextmanager
def _gdal(source: Object, size: int, budget: int, **options: int) -> Iterator[Any]:
    """A rasterio dataset over an object; ObjectError if it cannot be opened or read."""
    files: list[RangeFile] = []

    def opener(_path: str, mode: str = "rb") -> RangeFile:
        del mode
        files.append(RangeFile(source.read_blocking, size, budget=budget))
        return files[-1]

    try:
        # GTiff alone, and no search for sidecars: nothing in the file can name another one.
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
            rasterio.open(
                f"{uuid.uuid4().hex}.tif",  # a name of its own: openers are registered by name
                driver="GTiff",
                opener=opener,
                **options,
            ) as dataset,
        ):
            yield dataset
    except NotGeoreferencedWarning as e:  # raised only where warnings are errors
        raise ObjectError(NO_PLACE) from e
    except Exception as e:
        failures = [f.failure for f in files if f.failure is not None]
        raise (failures[0] if failures else e) from e


def _gdal_profile(dataset: Any) -> Profile:
    if dataset.crs is None or dataset.transform.is_identity:
        raise ObjectError(NO_PLACE)
    block = dataset.block_shapes[0][::-1]
    if not dataset.profile.get("tiled"):
        raise ObjectError(NOT_A_COG)
    if len(set(dataset.dtypes)) != 1:
        raise ObjectError("mixes data types")
    alphas = [i for i, c in enumerate(dataset.colorinterp) if c == ColorInterp.alpha]
    flags = dataset.mask_flag_enums[0]
    frame = Frame(dataset.crs, dataset.transform, dataset.width, dataset.height)
    return Profile(
        frame=frame,
        levels=(Level(frame, block),),
        dtype=np.dtype(dataset.dtypes[0]),
        count=dataset.count,
        nodata=dataset.nodata,
        alpha=alphas[0] if alphas else None,
        masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        scales=dataset.scales,
        offsets=dataset.offsets,
        palette=_gdal_palette(dataset),
    )


def _gdal_palette(dataset: Any) -> NDArray[np.uint8] | None:
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    colors = dataset.colormap(1)
    return np.array([colors[i][:3] for i in range(max(colors) + 1)], np.uint8)
