"""GeoTIFFs as rasters: their profile, and limits on reading one.

`geotiff` reads them with async-geotiff; `gdal` reads the rest. Both go through the same
`objects.Object`, so a file that GDAL opens can reach nothing else: no sidecar, no VRT, no URL.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cog.overviews import Level, WindowTuple
from livemosaic.cog.tiff.nodata import Nodata
from livemosaic.errors import LivemosaicError
from livemosaic.geo.crs import NoTransformError
from livemosaic.geo.frame import Frame
from livemosaic.geo.gcps import GcpError, GcpTuple, gcp_transform
from livemosaic.model.raster import Encoding, band_of
from livemosaic.storage.coalesce import COALESCE_GAP
from livemosaic.storage.objects import ObjectError

NOT_A_COG: Final = (
    "is not tiled, so it is no COG: convert it with `rio cogeo create in.tif out.tif`"
)
COMPLEX: Final = "holds complex numbers, which no map shows"
NO_PLACE: Final = "has no georeferencing, so nobody knows where its pixels lie"
RPC_ONLY: Final = (
    "has only rational polynomial coefficients (RPC) for georeferencing, which need a terrain "
    "model: orthorectify it with `gdalwarp -rpc`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLimits:
    """Limits of one asset; one beyond them is unreadable, with the number in the message."""

    block_edge: int = 8192
    bands: int = 64
    header_bytes: int = 16 * 1024 * 1024
    samples: int = 64_000_000
    """Pixels × bands decoded for one read, whole blocks counted."""
    bytes_at_once: int = 256 * 1024 * 1024
    """Decoded by all reads together: others wait. A read that alone needs more is unreadable."""
    seconds: float = 30.0
    gap: int = COALESCE_GAP
    """Bytes between two ranges up to which one request reads both."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A GeoTIFF's header: size, bands, data type and place."""

    frame: Frame
    levels: tuple[Level, ...]
    """Full resolution first, then ever coarser."""
    dtype: np.dtype[Any]
    count: int
    """All bands, including alpha."""
    nodata: Nodata | None
    alpha: int | None
    """Index of the alpha band, from 0."""
    masked: bool
    """Whether there is an internal mask."""
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    palette: NDArray[np.uint8] | None
    """Shape (entries, 3): red, green, blue by value."""
    nodata_of_bands: tuple[float | None, ...] = ()
    """Nodata of each band where they differ, which only a STAC Item states; else empty."""

    def completed(self, encoding: Encoding) -> "Profile":
        """Returns the profile with what a STAC Item states, where the file says nothing.

        A nodata value, an internal mask or an alpha band of the file outranks the Item's nodata. A
        scale or an offset of any band outranks all of the Item's.
        """
        if not encoding:
            return self
        stated = [band_of(encoding, index) for index in range(self.count)]
        own: dict[str, Any] = {}
        if self.nodata is None and self.alpha is None and not self.masked:
            own |= _nodata([band.nodata for band in stated])
        if set(self.scales) <= {1} and set(self.offsets) <= {0}:
            own["scales"] = tuple(band.scale for band in stated)
            own["offsets"] = tuple(band.offset for band in stated)
        return replace(self, **own)


def _nodata(of_bands: list[float | None]) -> dict[str, Any]:
    if len(set(of_bands)) == 1:
        return {"nodata": of_bands[0]}
    return {"nodata_of_bands": tuple(of_bands)}


def frame_of_gcps(gcps: Iterable[GcpTuple], crs: CRS, width: int, height: int) -> Frame:
    """Returns the frame of a raster with ground control points; ObjectError if none fits them."""
    try:
        return Frame.of_gcps(gcp_transform(tuple(gcps), crs, width, height), width, height)
    except (GcpError, NoTransformError) as error:
        raise ObjectError(str(error)) from error


class Raster(Protocol):
    """An open GeoTIFF."""

    @property
    def profile(self) -> Profile:
        """The file's header."""
        ...

    async def read(
        self, level: int, window: WindowTuple
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Returns all bands (count, h, w) as stored, and the mask (h, w), True where valid."""
        ...

    async def fetch(
        self, level: int, window: WindowTuple
    ) -> Callable[[], tuple[NDArray[Any], NDArray[np.bool_] | None]]:
        """Returns a function that returns what `read` does, for the thread that goes on with it."""
        ...


class DecodeError(ObjectError):
    """The bytes were read but cannot be decoded; another reader may succeed."""


class UnsupportedError(Exception):
    """The file has a feature that async-geotiff lacks or gets wrong; GDAL may read it."""


@contextmanager
def decoding() -> Iterator[None]:
    """Turns whatever a decoder raises into DecodeError; more specific errors pass.

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
