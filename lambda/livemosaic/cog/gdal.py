"""GeoTIFFs read by GDAL's GTiff driver, through our own byte ranges."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.session import DummySession
from rasterio.windows import Window

from livemosaic.cog.overviews import Level, WindowTuple
from livemosaic.cog.raster import NO_PLACE, NOT_A_COG, AssetLimits, Profile
from livemosaic.geo.frame import Frame, level_frame
from livemosaic.storage.adapters import RangeFile
from livemosaic.storage.objects import Object, ObjectError

GDAL_BUDGET_FACTOR: Final = 16
"""Bytes that GDAL may fetch for one read, in multiples of the header limit."""


@dataclass(frozen=True, slots=True, eq=False)
class GdalRaster:
    """A GeoTIFF read by GDAL's GTiff driver, in a thread; opened anew for each read."""

    profile: Profile
    _source: Object
    _size: int
    _budget: int

    @classmethod
    async def open(cls, source: Object, limits: AssetLimits) -> "GdalRaster":
        """Reads the header; ObjectError explains why it cannot be read."""
        return await asyncio.to_thread(cls._open, source, limits)

    @classmethod
    def _open(cls, source: Object, limits: AssetLimits) -> "GdalRaster":
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
        """Returns all bands (count, h, w) as stored, and the mask (h, w), True where valid."""
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


class _GdalFile(RangeFile):
    """An object as GDAL's file: a read that fails, or exceeds the budget in bytes, has no bytes.

    That is an error to GDAL, too; an exception would surface anywhere in rasterio.
    """

    def __init__(self, source: Object, size: int, budget: int) -> None:
        super().__init__(self._fetch_within_budget, size)
        self._source = source
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
        return self._source.read_blocking(start, stop)


@contextmanager
def _gdal(source: Object, size: int, budget: int, **options: int) -> Iterator[Any]:
    """A rasterio dataset over an object; ObjectError if it cannot be opened or read."""
    files: list[_GdalFile] = []

    def opener(_path: str, mode: str = "rb") -> _GdalFile:
        del mode
        files.append(_GdalFile(source, size, budget))
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
