"""GeoTIFFs read by GDAL's GTiff driver, through our own byte ranges."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.session import DummySession
from rasterio.windows import Window

from livemosaic.cog.overviews import Level, WindowTuple
from livemosaic.cog.raster import (
    COMPLEX,
    NO_PLACE,
    NOT_A_COG,
    RPC_ONLY,
    AssetLimits,
    Profile,
    frame_of_gcps,
)
from livemosaic.cog.tiff.directories import BrokenHeaderError, Directory, iterate_directories
from livemosaic.cog.tiff.nodata import read_nodata
from livemosaic.cog.tiff.support import COMPRESSION, GRAY, PHOTOMETRIC, RGB, TILE_WIDTH
from livemosaic.geo.frame import Frame, level_frame
from livemosaic.storage.adapters import RangeFile
from livemosaic.storage.objects import Object, ObjectError

GDAL_BUDGET_FACTOR: Final = 16
"""Bytes that GDAL may fetch for one read, in multiples of the header limit."""
_HEADER_RANGES: Final = 64
"""Ranges that are kept while a header is read: GDAL opens the file anew for each overview."""
_PLAIN: Final = (0, 1, 2, 3)
"""Photometric interpretations of values that are shown as stored: grays, RGB, palette."""
_RGB: Final = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_COLORS: Final = {
    4: "a transparency mask", 5: "CMYK or other inks", 6: "YCbCr", 8: "CIELab", 9: "ICCLab",
    10: "ITULab", 32803: "a color filter array", 32844: "LogL", 32845: "LogLuv",
    34892: "linear raw",
}  # fmt: skip
_NOT_DECODED: Final = {
    34712: "JPEG 2000", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Codecs that GDAL lacks as rasterio builds it."""

ReadRange = Callable[[int, int], bytes]
"""Returns the bytes of a half-open range; fewer where the file ends."""


@dataclass(frozen=True, slots=True, eq=False)
class GdalRaster:
    """A GeoTIFF read by GDAL's GTiff driver, in a thread; opened anew for each read."""

    profile: Profile
    _source: Object
    _size: int
    _budget: int
    _numbers: tuple[int, ...]
    """GDAL's number of each level: 0, then of its overviews, from 1."""

    @classmethod
    async def open(cls, source: Object, limits: AssetLimits) -> "GdalRaster":
        """Reads the header; ObjectError explains why it cannot be read."""
        return await asyncio.to_thread(cls._open, source, limits)

    @classmethod
    def _open(cls, source: Object, limits: AssetLimits) -> "GdalRaster":
        size = source.size_blocking()
        read = lru_cache(maxsize=_HEADER_RANGES)(source.read_blocking)
        directory = _first_directory(read, size)
        if codec := _NOT_DECODED.get(directory.number(COMPRESSION, 1)):
            raise ObjectError(f"is compressed with {codec}, which is not decoded: convert it")
        with _gdal(read, size, limits.header_bytes) as dataset:
            profile = _gdal_profile(dataset, directory)
            count = len(dataset.overviews(1))
        found = [
            (i + 1, level)
            for i in range(count)
            if (level := _overview(read, size, limits.header_bytes, i, profile)) is not None
        ]
        budget = limits.header_bytes * GDAL_BUDGET_FACTOR
        levels = (*profile.levels, *(level for _, level in found))
        numbers = (0, *(number for number, _ in found))
        return cls(replace(profile, levels=levels), source, size, budget, numbers)

    async def read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Returns all bands (count, h, w) as stored, and the mask (h, w), True where valid."""
        return await asyncio.to_thread(self._read, level, window)

    async def fetch(
        self, level: int, window: WindowTuple
    ) -> Callable[[], tuple[NDArray[Any], NDArray[np.bool_] | None]]:
        """Returns a function that returns what `read` has read."""
        raw = await self.read(level, window)
        return lambda: raw

    def _read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        number = self._numbers[level]
        chosen = {"OVERVIEW_LEVEL": number - 1} if number else {}
        with _gdal(self._source.read_blocking, self._size, self._budget, **chosen) as dataset:
            data = dataset.read(window=Window(*window))
            masked = self.profile.masked
            mask = dataset.read_masks(1, window=Window(*window)) > 0 if masked else None
            return data, mask


class _GdalFile(RangeFile):
    """An object as GDAL's file: a read that fails, or exceeds the budget in bytes, has no bytes.

    That is an error to GDAL, too; an exception would surface anywhere in rasterio.
    """

    def __init__(self, read: ReadRange, size: int, budget: int) -> None:
        super().__init__(self._fetch_within_budget, size)
        self._read_range = read
        self._limit = self._budget = budget
        self.failure: ObjectError | None = None
        """Why the last read failed."""

    def read(self, size: int = -1) -> bytes:
        """Returns the bytes from the position on; none after a failure."""
        try:
            return super().read(size)
        except ObjectError as error:
            self.failure = error
            return b""

    def _fetch_within_budget(self, start: int, stop: int) -> bytes:
        self._budget -= stop - start
        if self._budget < 0:
            raise ObjectError(
                f"needs more than {self._limit:,} bytes at once, the most that is read"
            )
        return self._read_range(start, stop)


@contextmanager
def _gdal(read: ReadRange, size: int, budget: int, **options: int) -> Iterator[Any]:
    """A rasterio dataset over an object; ObjectError if it cannot be opened or read."""
    files: list[_GdalFile] = []

    def opener(_path: str, mode: str = "rb") -> _GdalFile:
        del mode
        files.append(_GdalFile(read, size, budget))
        return files[-1]

    try:
        # GTiff alone, and no search for sidecars: nothing in the file can name another one. No AWS
        # session either: rasterio would make one of credentials in the environment each time.
        with (
            rasterio.Env(
                DummySession(), GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"
            ),
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


def _first_directory(read: ReadRange, size: int) -> Directory:
    file = RangeFile(read, size)

    def fetch(start: int, stop: int) -> bytes:
        file.seek(start)
        body = file.read(stop - start)
        if len(body) < stop - start:
            raise BrokenHeaderError(f"cut short at byte {stop}")
        return body

    return next(iterate_directories(fetch))


def _overview(read: ReadRange, size: int, budget: int, number: int, full: Profile) -> Level | None:
    """Returns an overview, as a level.

    None for one without a mask if the full image has one, and for one of another data type.
    """
    with _gdal(read, size, budget, OVERVIEW_LEVEL=number) as dataset:
        if (full.masked and not _is_masked(dataset)) or set(dataset.dtypes) != {full.dtype.name}:
            return None
        frame = level_frame(full.frame, dataset.width, dataset.height)
        return Level(frame, dataset.block_shapes[0][::-1])


def _is_masked(dataset: Any) -> bool:
    flags = dataset.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _refuse_raw_colors(dataset: Any, directory: Directory) -> None:
    """Refuses colors that are neither plain nor converted to RGB by libtiff or a codec."""
    number = directory.number(PHOTOMETRIC, GRAY)
    if number not in _PLAIN and dataset.colorinterp[:3] != _RGB:
        name = _COLORS.get(number, f"photometric interpretation {number}")
        raise ObjectError(
            f"has colors that are not converted to RGB ({name}, {dataset.dtypes[0]}): "
            "convert the file, or publish its bands as gray"
        )


def _gdal_profile(dataset: Any, directory: Directory) -> Profile:
    frame = _gdal_frame(dataset)
    block = dataset.block_shapes[0][::-1]
    if TILE_WIDTH not in directory.fields:
        raise ObjectError(NOT_A_COG)
    if len(set(dataset.dtypes)) != 1:
        raise ObjectError("mixes data types")
    if dataset.dtypes[0].startswith("complex"):
        raise ObjectError(COMPLEX)
    _refuse_raw_colors(dataset, directory)
    dtype = np.dtype(dataset.dtypes[0])
    alphas = [i for i, c in enumerate(dataset.colorinterp) if c == ColorInterp.alpha]
    return Profile(
        frame=frame,
        levels=(Level(frame, block),),
        dtype=dtype,
        count=dataset.count,
        nodata=read_nodata(directory, dtype),
        alpha=alphas[0] if alphas else None,
        masked=_is_masked(dataset),
        scales=dataset.scales,
        offsets=dataset.offsets,
        palette=_gdal_palette(dataset) if directory.number(PHOTOMETRIC, GRAY) != RGB else None,
    )


def _gdal_frame(dataset: Any) -> Frame:
    size = dataset.width, dataset.height
    if dataset.crs is not None and not dataset.transform.is_identity:
        return Frame(dataset.crs, dataset.transform, *size)
    points, crs = dataset.gcps
    if crs is None or len(points) < 2:
        raise ObjectError(RPC_ONLY if dataset.rpcs else NO_PLACE)
    return frame_of_gcps(((p.col, p.row, p.x, p.y) for p in points), crs, *size)


def _gdal_palette(dataset: Any) -> NDArray[np.uint8] | None:
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    colors = dataset.colormap(1)
    return np.array([colors[i][:3] for i in range(max(colors) + 1)], np.uint8)
