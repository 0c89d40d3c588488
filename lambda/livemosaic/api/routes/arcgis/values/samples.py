"""What the values of a mosaic are like, by a sample: for service descriptions and stretches."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from cachetools import TTLCache
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.api.documents.sample import SampleImage, sample_of
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import COMPUTED, DEFAULT, Rule
from livemosaic.render.functions.colors import BandRange
from livemosaic.services import Services

_KEPT_S: Final = 60.0
_MOSAICS: Final = 512
_OWN: Final = Read(palette=False)
"""Values as files have them, for descriptions."""
_PIXEL_TYPES: Final = {
    "bool": "U1", "uint8": "U8", "int8": "S8", "uint16": "U16", "int16": "S16", "uint32": "U32",
    "int32": "S32", "float32": "F32", "float64": "F64", "complex64": "C64", "complex128": "C128",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """Bands, type and values of a mosaic."""

    names: tuple[str, ...] = ("b1",)
    """Of the bands."""
    dtype: str = "uint8"
    ranges: tuple[BandRange, ...] = ()
    """Of the values of each band, in some place where scenes are; empty without scenes."""
    step: float | None = None
    """The size of the scenes' own pixels, in units of the service's CRS."""
    nodata: float | None = None
    """None where it is no finite number, too."""

    @property
    def pixel_type(self) -> str:
        """The data type by ArcGIS's name."""
        return _PIXEL_TYPES.get(self.dtype, "UNKNOWN")


@dataclass(frozen=True, slots=True)
class ServiceSamples:
    """Takes samples of mosaics, and keeps each for a minute: what a viewer sees as a stretch may
    follow newer scenes as late."""

    _known: TTLCache[Any, ServiceSample] = field(
        default_factory=lambda: TTLCache(_MOSAICS, _KEPT_S)
    )

    async def find(
        self, services: Services, mosaic: Mosaic, read: Read = _OWN, rule: Rule = DEFAULT
    ) -> ServiceSample:
        """Returns the sample of a mosaic; a usual one without scenes.

        Of the values that a read has, in whatever place; of a rule only what changes values counts:
        an operation such as `sum`, and the render that draws scenes.
        """
        read = replace(read, resampling="nearest")
        operation = rule.operation if rule.operation in COMPUTED else DEFAULT.operation
        rule = Rule(operation=operation, item_render=rule.item_render)
        key = mosaic.identity, mosaic.shown_assets, repr((mosaic.rules, mosaic.renders, read, rule))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = await _taken(services, mosaic, read, rule)
        return known


async def _taken(services: Services, mosaic: Mosaic, read: Read, rule: Rule) -> ServiceSample:
    found = await sample_of(services, mosaic, read, Render(), rule)
    kind = await services.kinds.find(services.tiler, mosaic, read, rule)
    if found is None:
        return ServiceSample()
    crs = service_crs(mosaic)
    names = kind.names if kind else found.pixels.names
    dtype = np.dtype(kind.dtype).name if kind else found.pixels.data.dtype.name
    nodata = None if kind is None or kind.nodata is None else float(kind.nodata)
    if nodata is not None and not math.isfinite(nodata):
        nodata = None  # JSON has no such number
    return ServiceSample(names, dtype, _ranges(found), found.step(crs), nodata)


def _ranges(sample: SampleImage) -> tuple[BandRange, ...]:
    pixels = sample.pixels
    if np.iscomplexobj(pixels.data):
        return ()
    return tuple(_range(band[pixels.valid].astype(np.float64)) for band in pixels.data)


def _range(values: NDArray[np.float64]) -> BandRange:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return BandRange(0, 0, 0, 0)
    # Sums of squares of the largest numbers are infinite; of parts of the largest they are not.
    largest = float(np.abs(finite).max()) or 1.0
    parts = finite / largest
    mean, deviation = float(parts.mean()) * largest, float(parts.std()) * largest
    return BandRange(float(finite.min()), float(finite.max()), mean, deviation)


def service_crs(mosaic: Mosaic) -> CRS:
    """Returns the CRS of an image service: that of the mosaic's TileMatrixSet."""
    crs: CRS = tile_matrix_set(mosaic.tms).rasterio_crs
    return crs
