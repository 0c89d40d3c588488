"""GeoTIFFs read by async-geotiff, and by async-tiff where it does too much or too little."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from affine import Affine
from async_geotiff import GeoTIFF, Overview
from async_tiff import TIFF, ImageFileDirectory
from async_tiff.enums import PlanarConfiguration
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cog.blocks import fetch, is_bounded
from livemosaic.cog.overviews import Level, WindowTuple
from livemosaic.cog.raster import (
    NO_PLACE,
    NOT_A_COG,
    RPC_ONLY,
    AssetLimits,
    DecodeError,
    Profile,
    UnsupportedError,
    decoding,
    frame_of_gcps,
)
from livemosaic.cog.tiff.bands import read_bands
from livemosaic.cog.tiff.directories import Directory, read_directories
from livemosaic.cog.tiff.geokeys import read_crs
from livemosaic.cog.tiff.nodata import read_nodata
from livemosaic.cog.tiff.palette import read_palette
from livemosaic.cog.tiff.support import reason_for_gdal
from livemosaic.geo.frame import Frame, level_frame
from livemosaic.geo.gcps import GcpTuple
from livemosaic.storage.adapters import InMemoryObject, RangeSource
from livemosaic.storage.cache import Recent, SharedObject, Span
from livemosaic.storage.objects import Object, ObjectError

PREFETCH: Final = 32 * 1024
"""Bytes of the first request for a header, which few need more than."""

_POINT: Final = 2
_REDUCED: Final = 1
_RPC: Final = 50844
"""The tag of rational polynomial coefficients (RPCs in GeoTIFF)."""


_Raw = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""All bands (count, h, w) as stored, and the mask (h, w), True where valid."""
_Blocks = dict[tuple[int, int], NDArray[Any]]
"""Decoded blocks by column and row; sparse ones are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffRaster:
    """A GeoTIFF read by async-geotiff. Knows no event loop."""

    profile: Profile
    _levels: tuple[GeoTIFF | Overview, ...]
    _source: SharedObject

    @classmethod
    async def open(
        cls,
        source: Object,
        limits: AssetLimits,
        header: bytes | None = None,
        recent: Recent | None = None,
    ) -> "TiffRaster":
        """Reads the header in as few requests as possible: none if its `leading_bytes` are given.

        Blocks are kept in `recent` for a while.
        """
        start = source if header is None else InMemoryObject(header)
        ranges = RangeSource(start, header_bytes=limits.header_bytes)
        directory, tiff = await _open(ranges, len(header or b"") or PREFETCH)
        shared = SharedObject(source, recent or Recent(0), limits.gap)
        ranges.header_done(shared)
        _refuse_untiled(tiff.ifds[0])
        # async-geotiff would warn, and fail an assertion when the overview is read.
        if any(ifd.tile_width is None for ifd in tiff.ifds):
            raise UnsupportedError("an overview or mask without tiles")
        geotiff = GeoTIFF(tiff)
        levels: tuple[GeoTIFF | Overview, ...] = (geotiff, *_overviews(geotiff))
        crs, gcps, size = _crs(directory), _gcps(geotiff.ifd), _size(geotiff)
        if gcps:
            frame = await asyncio.to_thread(frame_of_gcps, gcps, crs, *size)
        else:
            frame = Frame(crs, _transform(geotiff.ifd), *size)
        return cls(_tiff_profile(geotiff, directory, frame, levels), levels, shared)

    async def read(self, level: int, window: WindowTuple) -> _Raw:
        """Returns all bands (count, h, w) as stored, and the mask (h, w), True where valid."""
        return await asyncio.to_thread(await self.fetch(level, window))

    async def fetch(self, level: int, window: WindowTuple) -> Callable[[], _Raw]:
        """Returns a function that assembles the window, as `read` returns it, of its blocks."""
        image = self._levels[level]
        wanted = _blocks(window, (image.tile_width, image.tile_height))
        most = _plain(image, self.profile)
        found = [(ifd, _stored(ifd, wanted, most)) for ifd in _ifds(image)]
        spans = [span for _, stored in found for of_block in stored.values() for span in of_block]
        async with self._source.holding(spans):
            data, *mask = await asyncio.gather(
                *(_fetch(ifd, list(stored), window, most) for ifd, stored in found)
            )
        return partial(self._assemble, image, window, data, *mask)

    def _assemble(
        self,
        image: GeoTIFF | Overview,
        window: WindowTuple,
        data: _Blocks,
        mask: _Blocks | None = None,
    ) -> _Raw:
        planar = image.ifd.planar_configuration == PlanarConfiguration.Planar
        bands = {at: block if planar else np.moveaxis(block, -1, 0) for at, block in data.items()}
        shape = (self.profile.count, window[3], window[2])
        whole = len(data) == len(_blocks(window, (image.tile_width, image.tile_height)))
        out = np.empty(shape, self.profile.dtype) if whole else _unstored(shape, self.profile)
        _paste(bands, window, out)
        if mask is None:
            return out, None
        real = np.zeros((1, window[3], window[2]), np.bool_)
        _paste({at: block[None, :, :, 0] != 0 for at, block in mask.items()}, window, real)
        return out, real[0]


async def leading_bytes(source: Object, limits: AssetLimits) -> bytes | None:
    """Returns the bytes that open a COG; None unless its header is contiguous at the start."""
    ranges = RangeSource(source, header_bytes=limits.header_bytes)
    try:
        with decoding():
            _, tiff = await _open(ranges, PREFETCH)
            leading = bytes(ranges.head[: tiff.header_byte_size])
            await TiffRaster.open(InMemoryObject(leading), limits, leading)
    except DecodeError:
        return None
    return leading


async def _open(ranges: RangeSource, first: int) -> tuple[Directory, TIFF]:
    """Reads the header; UnsupportedError if GDAL has to, before async-tiff could misread it."""
    directories = await read_directories(ranges.leading, first)
    reason = reason_for_gdal(directories)
    if reason:
        raise UnsupportedError(reason)
    return directories[0], await TIFF.open("", store=ranges, prefetch=len(ranges.head))


def _blocks(window: WindowTuple, block: tuple[int, int]) -> list[tuple[int, int]]:
    """Returns (column, row) of each block that intersects a window."""
    (left, top, width, height), (w, h) = window, block
    across = range(left // w, (left + width - 1) // w + 1)
    down = range(top // h, (top + height - 1) // h + 1)
    return [(x, y) for y in down for x in across]


def _stored(
    ifd: ImageFileDirectory, wanted: list[tuple[int, int]], plain: int
) -> dict[tuple[int, int], list[Span]]:
    """Returns the byte ranges of blocks, without sparse ones, which are not stored."""
    found = {block: _spans(ifd, block, plain) for block in wanted}
    return {block: spans for block, spans in found.items() if spans}


def _spans(ifd: ImageFileDirectory, block: tuple[int, int], plain: int) -> list[Span]:
    """Returns the byte ranges of a block: one, or one per band; none of a sparse block.

    ObjectError, before it is fetched, if a block is larger compressed than decoded.
    """
    found = ifd.tile_byte_range(*block)
    spans = found if isinstance(found, list) else [found]
    stored = [stop > start for start, stop in spans]
    if not any(stored):
        return []
    if not all(stored):
        raise UnsupportedError("blocks that are sparse in some bands")
    size = sum(stop - start for start, stop in spans)
    if size > 2 * plain + 65536:
        raise ObjectError(f"holds a block of {size:,} bytes for {plain:,} of pixels")
    return spans


async def _fetch(
    ifd: ImageFileDirectory, stored: list[tuple[int, int]], window: WindowTuple, most: int
) -> _Blocks:
    """Returns blocks, each as far down as the window reaches."""
    if not stored:
        return {}
    height, below = ifd.tile_height or 0, window[1] + window[3]
    lines = [min(height, below - y * height) for _, y in stored]
    return dict(zip(stored, await fetch(ifd, stored, lines, most), strict=True))


def _unstored(shape: tuple[int, ...], profile: Profile) -> NDArray[Any]:
    """Returns the values of sparse blocks, as GDAL has them: nodata, or zero where there is none.

    UnsupportedError for a nodata value that the type does not hold, and that GDAL converts.
    """
    value = np.array(profile.nodata or 0)
    with np.errstate(all="ignore"):
        held = value.astype(profile.dtype)
    if held != value and not (np.isnan(value) and profile.dtype.kind == "f"):
        raise UnsupportedError("sparse blocks, and a nodata value that is out of range")
    return np.full(shape, held, profile.dtype)


def _paste(blocks: _Blocks, window: WindowTuple, out: NDArray[Any]) -> None:
    """Copies the parts of blocks (bands, h, w) that lie in a window to `out`."""
    left, top, width, height = window
    for (x, y), block in blocks.items():
        count, h, w = block.shape
        if count != len(out) or (block.dtype != out.dtype and out.dtype != np.bool_):
            raise UnsupportedError("blocks that do not match the header")
        x0, y0 = x * w - left, y * h - top
        out[:, max(y0, 0) : min(y0 + h, height), max(x0, 0) : min(x0 + w, width)] = block[
            :, max(-y0, 0) : height - y0, max(-x0, 0) : width - x0
        ]


def _size(image: GeoTIFF | Overview) -> tuple[int, int]:
    return image.width, image.height


def _refuse_untiled(ifd: ImageFileDirectory) -> None:
    if ifd.tile_width is None or ifd.tile_height is None:
        raise ObjectError(NOT_A_COG)
    placed = ifd.model_transformation or ifd.model_pixel_scale or _gcps(ifd)
    if ifd.geo_key_directory is None or not placed:
        raise ObjectError(RPC_ONLY if _RPC in ifd.other_tags else NO_PLACE)


def _overviews(geotiff: GeoTIFF) -> list[Overview]:
    """Returns reduced images, not other pages: of the full image's bands and data type.

    Only masked ones if the full image is masked.
    """
    return [
        overview
        for overview in geotiff.overviews
        if (overview.ifd.new_subfile_type or 0) & _REDUCED
        and overview.ifd.samples_per_pixel == geotiff.count
        and _type(overview.ifd) == _type(geotiff.ifd)
        and (geotiff.mask_ifd is None or overview.mask_ifd is not None)
    ]


def _type(ifd: ImageFileDirectory) -> tuple[Any, Any]:
    return set(ifd.bits_per_sample), set(ifd.sample_format)  # some state them once for all bands


def _tiff_profile(
    geotiff: GeoTIFF, directory: Directory, frame: Frame, levels: tuple[GeoTIFF | Overview, ...]
) -> Profile:
    """Describes the file; ValueError and the like if async-geotiff cannot read its header."""
    if geotiff.dtype is None:
        raise UnsupportedError("bits per sample that numpy has no type for")
    if not all(is_bounded(ifd) for level in levels for ifd in _ifds(level)):
        raise UnsupportedError("a compression that nothing here bounds")
    if any(_mask_is_cut_otherwise(level) for level in levels):
        raise UnsupportedError("a mask whose tiles differ from the image's")
    bands = read_bands(directory)
    return Profile(
        frame=frame,
        levels=tuple(
            Level(level_frame(frame, *_size(level)), (level.tile_width, level.tile_height))
            for level in levels
        ),
        dtype=np.dtype(geotiff.dtype),
        count=geotiff.count,
        nodata=read_nodata(directory, np.dtype(geotiff.dtype)),
        alpha=bands.alpha,
        masked=geotiff.mask_ifd is not None,
        scales=bands.scales,
        offsets=bands.offsets,
        palette=read_palette(directory),
    )


def _ifds(image: GeoTIFF | Overview) -> list[ImageFileDirectory]:
    """Returns the directories of the image and of its mask."""
    return [ifd for ifd in (image.ifd, image.mask_ifd) if ifd is not None]


def _mask_is_cut_otherwise(level: GeoTIFF | Overview) -> bool:
    mask = level.mask_ifd
    return mask is not None and (
        (mask.tile_width, mask.tile_height) != (level.tile_width, level.tile_height)
    )


def _gcps(ifd: ImageFileDirectory) -> list[GcpTuple]:
    """Returns ground control points of a file that has no transform; as GDAL's GTiff driver."""
    scale, points = ifd.model_pixel_scale or (), np.array(ifd.model_tiepoint or (), float)
    scaled = len(scale) >= 2 and scale[0] and scale[1]
    if scaled or ifd.model_transformation or len(points) < 12 or len(points) % 6:
        return []
    keys = ifd.geo_key_directory
    half = 0.5 if keys is not None and keys.raster_type == _POINT else 0.0
    return [
        (col + half, row + half, x, y) for col, row, _, x, y, _ in points.reshape(-1, 6).tolist()
    ]


def _transform(ifd: ImageFileDirectory) -> Affine:
    """Returns pixel → CRS (GeoTIFF 1.1, 7.3) as GDAL has it; async-geotiff ties pixel (0, 0).

    A scale outranks a matrix, and the first tie point others. A negative scale of y is north-up all
    the same: against the standard, but it is what its writers meant.
    """
    scale, tie, m = ifd.model_pixel_scale or (), ifd.model_tiepoint or (), ifd.model_transformation
    if len(scale) >= 2 and scale[0] and scale[1]:
        if len(tie) < 6:
            raise ObjectError(NO_PLACE)
        col, row, _, x, y, *_ = tie
        corner = Affine(scale[0], 0, x, 0, -abs(scale[1]), y) @ Affine.translation(-col, -row)
    elif m is not None and len(m) == 16:
        corner = Affine(m[0], m[1], m[3], m[4], m[5], m[7])
    else:
        raise ObjectError(NO_PLACE)
    if not corner.determinant or not np.isfinite(tuple(corner)).all():
        raise ObjectError(NO_PLACE)
    keys = ifd.geo_key_directory
    is_point = keys is not None and keys.raster_type == _POINT
    return corner @ Affine.translation(-0.5, -0.5) if is_point else corner


def _crs(directory: Directory) -> CRS:
    """Returns the CRS that GDAL makes of the keys.

    async-geotiff silently misreads some of them: a false easting in feet puts the raster thousands
    of kilometres away.
    """
    crs = read_crs(directory)
    if crs is None:
        raise ObjectError(NO_PLACE)
    return crs


def _plain(image: GeoTIFF | Overview, profile: Profile) -> int:
    """Returns the bytes of a decoded block."""
    return image.tile_width * image.tile_height * profile.count * profile.dtype.itemsize
