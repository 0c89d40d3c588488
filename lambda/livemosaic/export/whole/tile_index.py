"""A mosaic as GTI, the tile index of GDAL 3.9 and later, in a GeoPackage.

GDAL opens it as one raster, on the grid of the mosaic's tiles, and reads the scenes' files itself,
with the scene on top of the mosaic's stored order last.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import shapely
from shapely.geometry import Polygon

from livemosaic.errors import InvalidRequestError
from livemosaic.export.whole.geopackage import PolygonLayer, PolygonRow
from livemosaic.geo.cells import cell_grid
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.scene import Scene
from livemosaic.storage.hrefs import local_path, without_query

_COLUMNS: Final = ("location", "position", "id", "collection", "datetime", "properties")


@dataclass(frozen=True, slots=True)
class IndexRaster:
    """The raster that GDAL makes of a tile index."""

    bounds: BBox
    """In the CRS of the mosaic's TileMatrixSet, x before y."""
    pixel: float
    """Width and height of a pixel."""
    bands: Mapping[str, str] = field(default_factory=dict)
    """`BAND_COUNT`, `DATA_TYPE`, `NODATA`, …, as GDAL's documentation of GTI names them. GDAL looks
    for what is not stated in a scene's file."""

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata items of the index."""
        edges = dict(zip(("MINX", "MINY", "MAXX", "MAXY"), map(repr, self.bounds), strict=True))
        return {**edges, "RESX": repr(self.pixel), "RESY": repr(self.pixel), **self.bands}


def write_tile_index(
    mosaic: Mosaic, scenes: Iterable[Scene], asset: str, raster: IndexRaster | None, path: Path
) -> int:
    """Writes a tile index of one asset of each scene that has it, and returns their number.

    Without `raster`, GDAL takes pixels from one scene. Raises `InvalidRequestError` where no scene
    has the asset.
    """
    order = {"LOCATION_FIELD": "location", "SORT_FIELD": "position", "SORT_FIELD_ASC": "NO"}
    stated = raster.metadata if raster else {}
    layer = PolygonLayer(cell_grid(mosaic.tms).crs, _COLUMNS, {**order, **stated})
    count = layer.write(_rows(mosaic, scenes, asset), path)
    if not count:
        raise InvalidRequestError(f"no scene of mosaic {mosaic.id!r} has an asset {asset[:80]!r}")
    return count


def _rows(mosaic: Mosaic, scenes: Iterable[Scene], asset: str) -> Iterator[PolygonRow]:
    grid = cell_grid(mosaic.tms)
    for scene in scenes:
        if not scene.shows(asset):
            continue
        parts = shapely.get_parts(grid.project(scene.footprint))
        polygons = [part for part in parts if isinstance(part, Polygon) and not part.is_empty]
        if polygons:
            yield PolygonRow(shapely.multipolygons(polygons), _values(mosaic, scene, asset))


def _values(mosaic: Mosaic, scene: Scene, asset: str) -> dict[str, str | None]:
    return {
        "location": gdal_path(without_query(scene.assets[asset])),
        "position": f"{scene.rank}#{scene.key}",
        "id": scene.id,
        "collection": scene.collection or None,
        "datetime": scene.datetime,
        "properties": json.dumps(dict(mosaic.given_of(scene.properties)), ensure_ascii=False),
    }


def gdal_path(href: str) -> str:
    """Returns the name by which GDAL opens an href: a virtual path, or that of a local file."""
    if href.startswith("s3://"):
        return f"/vsis3/{href.removeprefix('s3://')}"
    if href.startswith(("https://", "http://")):
        return f"/vsicurl/{href}"
    return local_path(href)
