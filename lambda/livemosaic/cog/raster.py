"""GeoTIFFs as rasters: what a header says, and what reading one may cost.

`tiff` reads them with async-geotiff, `gdal` those that it cannot. Both go through the same
`stores.Object`, so a file that GDAL opens can reach nothing else: no sidecar, no VRT, no URL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import LivemosaicError
from livemosaic.geo.frame import Frame
from livemosaic.storage.objects import COALESCE_GAP, ObjectError

NOT_A_COG: Final = (
    "is not tiled, so it is no COG: convert it with `rio cogeo create in.tif out.tif`"
)
NO_PLACE: Final = "has no georeferencing, so nobody knows where its pixels lie"

_OVERVIEW_EPSILON: Final = 0.1

WindowTuple = tuple[int, int, int, int]
"""First column, first row, width, height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLimits:
    """What one asset may cost. Beyond it is unreadable, with the number in the message."""

    block_edge: int = 8192
    bands: int = 64
    header_bytes: int = 16 * 1024 * 1024
    samples: int = 64_000_000
    """Pixels × bands decoded for one read, whole blocks counted."""
    bytes_at_once: int = 256 * 1024 * 1024
    """Decoded, of all reads together: the others wait. One that needs more alone is unreadable."""
    seconds: float = 30.0
    gap: int = COALESCE_GAP
    """Bytes between two ranges that are rather read than a second request made."""


@dataclass(frozen=True, slots=True)
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
