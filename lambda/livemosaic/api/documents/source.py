"""Tiles as a raster: all that GDAL must know of them before it reads one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rasterio.dtypes import dtype_rev, typename_fwd

from livemosaic.api.documents.sample import SampleImage, TileProfile, shown_by
from livemosaic.api.documents.window import DataWindow
from livemosaic.api.params.pixels import allowed_format, format_of
from livemosaic.api.urls import TileURLs
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Format
from livemosaic.tiler.tilesets import Reach

_READABLE: Final[Sequence[Format]] = ("png", "jpeg", "webp", "jp2", "tif")
"""Formats that GDAL reads."""
_FINER: Final = 1.01
"""A zoom shows the pixels of a scene if its own are at most this much larger."""


@dataclass(frozen=True, slots=True)
class TileSource:
    """The tiles of a request in one TileMatrixSet."""

    mosaic: str
    title: str
    reach: Reach
    window: DataWindow
    profile: TileProfile
    extension: str
    edge: int
    """Pixels of a tile's edge."""
    tiles: TileURLs

    @property
    def tms(self) -> str:
        """Id of the TileMatrixSet."""
        return str(self.reach.tms.id)

    @property
    def crs_wkt(self) -> str:
        """The CRS in WKT that GDAL reads since 2.x, where it can be written so."""
        return str(self.reach.tms.rasterio_crs.to_wkt())

    @property
    def gdal_type(self) -> str:
        """The data type as GDAL names it, such as `Float32`."""
        return str(typename_fwd[dtype_rev[self.profile.dtype]])

    @property
    def template(self) -> str:
        """URL of a tile for GDAL's TMS minidriver."""
        return self.tiles.at(f"{self.tms}/${{z}}/${{x}}/${{y}}.{self.extension}")

    @property
    def capabilities(self) -> str:
        """URL of WMTS capabilities with the same zooms, parameters and format."""
        own = (
            ("tms", self.tms),
            ("zooms", f"{self.tms}::{self.reach.minzoom},{self.window.level}"),
            ("tile_format", self.extension),
        )
        tiles = self.tiles.without("tilesize")
        base = tiles.base.removesuffix("/tiles")
        return replace(tiles, base=base, query=(*own, *tiles.query)).at("WMTSCapabilities.xml")

    @property
    def empty_codes(self) -> str:
        """HTTP statuses of tiles without data: 404 where the window has tiles that cannot be."""
        return "204" if self.window.is_within(self.reach.tms, self.edge) else "204,404"

    @property
    def extent(self) -> BBox:
        """What the mosaic covers, x before y, in the CRS of the TileMatrixSet."""
        return self.reach.extent


def gdal_format(name: str | None, sample: SampleImage, mosaic: Mosaic) -> str:
    """Returns the file extension of tiles: the given one, or one that keeps every value.

    PNG of one or three bands, with alpha; TIFF of all others. Raises `InvalidRequestError` for
    formats that GDAL does not read.
    """
    if name is None:
        png = sample.pixels.data.shape[0] in (1, 3) and shown_by(sample) == "png"
        best: Format = "png" if png else "tif"
        allowed = [each for each in (best, *_READABLE) if each in (mosaic.formats or (best,))]
        name = allowed[0] if allowed else best
    allowed_format(mosaic, format_of(name))
    if format_of(name) not in _READABLE:
        known = ", ".join(_READABLE)
        raise InvalidRequestError(f"GDAL reads no tiles of format {name[:20]!r}; it reads {known}")
    return name


def native_zoom(sample: SampleImage, reach: Reach, edge: int) -> int:
    """Returns the lowest zoom of a reach that shows the sampled scene's own pixels."""
    step = sample.step(reach.tms.rasterio_crs)
    if step is None:
        return reach.maxzoom

    def pixel(zoom: int) -> float:
        matrix = reach.tms.matrix(zoom)
        return float(matrix.cellSize) * matrix.tileWidth / edge

    zooms = range(reach.minzoom, reach.maxzoom + 1)
    return next((zoom for zoom in zooms if pixel(zoom) <= step * _FINER), reach.maxzoom)
