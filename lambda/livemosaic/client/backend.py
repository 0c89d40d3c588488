"""A mosaic backend of rio-tiler over an index or an API, for TiTiler's `MosaicTilerFactory`."""

from collections.abc import Iterable, Mapping
from typing import Any

import attr
from morecantile import Tile, TileMatrixSet
from rasterio.crs import CRS
from rio_tiler.constants import WEB_MERCATOR_TMS
from rio_tiler.io import BaseReader, MultiBaseReader, Reader
from rio_tiler.mosaic.backend import BaseBackend, MosaicInfo

from livemosaic.api.params.crs import name_of
from livemosaic.client.mosaic import OpenMosaic
from livemosaic.client.reader import MosaicPlace, SharesConnections
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Box, lonlat_bounds
from livemosaic.geo.crs import transformer
from livemosaic.geo.frame import is_cylinder
from livemosaic.model.raster import BBox, Grid
from livemosaic.stac.items import OTHER_KIND
from livemosaic.storage.hrefs import local_path


@attr.s
class MosaicBackend(SharesConnections, BaseBackend):
    """Finds the files of a live mosaic for rio-tiler, which reads them and puts them together:
    `MosaicTilerFactory(backend=livemosaic.MosaicBackend)`.

    `input` is a mosaic that is open, or its place (`client.reader.mosaic_at`). Files are of one
    asset, `asset`, by default the one that the mosaic shows. Methods take the parameters of a rule
    as `search_options`, which decide on files and their order. rio-tiler knows nothing of what only
    Items state, such as nodata and scale, nor of overviews of the mosaic: `livemosaic.Reader` does.
    """

    input: str | OpenMosaic = attr.ib()
    tms: TileMatrixSet = attr.ib(default=WEB_MERCATOR_TMS)
    reader: type[BaseReader] | type[MultiBaseReader] = attr.ib(default=Reader)
    reader_options: dict[str, Any] = attr.ib(factory=dict)
    asset: str | None = attr.ib(default=None)

    def __attrs_post_init__(self) -> None:
        place = MosaicPlace.of(self.input, self.tms)
        self.mosaic, self.crs, self.bounds = place.mosaic, place.crs, place.bounds
        self.minzoom, self.maxzoom = place.zooms
        self._info = place.info

    def info(self) -> MosaicInfo:  # type: ignore[override]  # as rio-tiler's own
        """Describes the mosaic, by the names of cogeo-mosaic's backends."""
        return MosaicInfo(
            bounds=self.bounds,
            crs=name_of(self.crs),
            name=self._info.title or self._info.id,
            mosaic_tilematrixset=self._info.tms,
            mosaic_minzoom=self._info.minzoom,
            mosaic_maxzoom=self._info.deepest_zoom,
        )

    def assets_for_tile(self, x: int, y: int, z: int, **rule: Any) -> list[str]:
        """Returns the files of a tile, the top one first."""
        return self.assets_for_bbox(
            *self.tms.xy_bounds(Tile(x, y, z)), coord_crs=self.tms.rasterio_crs, **rule
        )

    def assets_for_point(
        self, lng: float, lat: float, coord_crs: CRS | None = None, **rule: Any
    ) -> list[str]:
        """Returns the files at a point, the top one first."""
        lon, lat = transformer(coord_crs or self.crs, self.crs).transform(lng, lat)
        return self._files((lon, lat, lon, lat), rule)

    def assets_for_bbox(
        self,
        xmin: float,
        ymin: float,
        xmax: float,
        ymax: float,
        coord_crs: CRS | None = None,
        **rule: Any,
    ) -> list[str]:
        """Returns the files in a box, by default in degrees of the mosaic's body, top first."""
        return self._files(self._degrees(coord_crs or self.crs, (xmin, ymin, xmax, ymax)), rule)

    def _degrees(self, crs: CRS, bounds: BBox) -> BBox:
        """Returns a box in degrees: exactly where its sides stay straight, else somewhat larger."""
        if crs.is_geographic or is_cylinder(crs):
            return _within(Box.of(crs, bounds).to(self.crs).bounds)
        return lonlat_bounds(Grid(crs, bounds, 1, 1), self.crs)

    def _files(self, bounds: BBox, rule: Mapping[str, Any]) -> list[str]:
        asset = self.asset or self._shown()
        scenes = self.mosaic.scenes(bounds, **rule)
        return [*dict.fromkeys(_hrefs(scenes, asset))]

    def _shown(self) -> str:
        shown = self._info.shown_assets
        if len(shown) != 1:
            raise InvalidRequestError(
                f"mosaic {self._info.id!r} shows the assets {', '.join(shown)[:200] or '(none)'}: "
                "name one of them as asset"
            )
        return shown[0]


def _within(bounds: BBox) -> BBox:
    """Returns a box in degrees within ±180 and ±90; west > east where it crosses ±180."""
    west, south, east, north = bounds
    south, north = max(-90.0, south), min(90.0, north)
    if east - west >= 360:
        return -180.0, south, 180.0, north
    if west >= -180 and east <= 180:
        return west, south, east, north
    return (west + 180) % 360 - 180, south, (east + 180) % 360 - 180, north


def _hrefs(scenes: Iterable[Mapping[str, Any]], asset: str) -> Iterable[str]:
    """Yields the files of an asset, without the ones of another kind."""
    for scene in scenes:
        found = scene["assets"].get(asset)
        if found and OTHER_KIND not in found:
            yield local_path(found["href"])
