"""Polygons in degrees, and the pixels of any grid whose centres lie in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.geo.box import lonlat_bounds
from livemosaic.geo.crs import transformer
from livemosaic.geo.footprint import footprint
from livemosaic.model.raster import Grid

_AT_ONCE: Final = 1 << 18
"""Pixels that are looked at together."""
_MAX_TEXT: Final = 64_000
_MAX_VERTICES: Final = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class ClipArea:
    """Polygons in degrees, within ±180."""

    polygons: MultiPolygon

    def mask(self, grid: Grid, lonlat: CRS) -> NDArray[np.bool_] | None:
        """Shape (height, width): True for pixels whose centre lies inside; None where all do.

        `lonlat` is longitude and latitude on the body of the polygons. On a grid that shows several
        worlds, each has them. Raises `NoTransformError` for a grid of another body.
        """
        around = lonlat_boxes(lonlat_bounds(grid, lonlat))
        if all(map(self.polygons.contains, around)):
            return None
        if not any(map(self.polygons.intersects, around)):
            return np.zeros((grid.height, grid.width), np.bool_)
        shapely.prepare(self.polygons)
        step = max(1, _AT_ONCE // grid.width)
        parts = [self._rows(grid, lonlat, row, step) for row in range(0, grid.height, step)]
        return np.concatenate(parts)

    def _rows(self, grid: Grid, lonlat: CRS, first: int, count: int) -> NDArray[np.bool_]:
        rows = np.arange(first, min(first + count, grid.height)) + 0.5
        columns, lines = np.meshgrid(np.arange(grid.width) + 0.5, rows)
        x, y = grid.transform @ (columns.ravel(), lines.ravel())
        lon, lat = transformer(grid.crs, lonlat).transform(x, y)
        places = np.isfinite(lon) & np.isfinite(lat)
        lon = (np.where(places, lon, 0.0) + 180.0) % 360.0 - 180.0
        # Their edge is inside, or the line of ±180 would be missing, where two parts meet.
        inside = shapely.intersects_xy(self.polygons, lon, np.where(places, lat, 0.0))
        found: NDArray[np.bool_] = (inside & places).reshape(columns.shape)
        return found


def clip_text(geometry: Mapping[str, Any]) -> str:
    """Returns a Polygon or MultiPolygon of GeoJSON, or a Feature of one, as text to be kept.

    Raises `InvalidRequestError` for anything else, and for one that is too long.
    """
    inner = geometry.get("geometry") if geometry.get("type") == "Feature" else geometry
    try:
        text = json.dumps(inner, separators=(",", ":"))
    except RecursionError as error:
        raise InvalidRequestError("clip_to_boundary is nested too deeply") from error
    if len(text) > _MAX_TEXT:
        raise InvalidRequestError(
            f"clip_to_boundary takes {len(text):,} bytes, at most {_MAX_TEXT:,} are kept: "
            "simplify it"
        )
    clip_area(text)
    return text


@lru_cache(64)
def clip_area(text: str) -> ClipArea:
    """Returns the polygons of `clip_text`; raises `InvalidRequestError` where they are none."""
    try:
        found, given = footprint(json.loads(text)), shapely.from_geojson(text)
    except (InvalidItemError, shapely.errors.GEOSException) as error:
        raise InvalidRequestError(f"clip_to_boundary {error}") from error
    vertices = int(shapely.get_num_coordinates(given))
    if vertices > _MAX_VERTICES:
        raise InvalidRequestError(
            f"clip_to_boundary has {vertices:,} vertices, at most {_MAX_VERTICES:,} are kept: "
            "simplify it"
        )
    if not given.is_valid:  # a footprint is repaired to too much
        why = shapely.is_valid_reason(given)
        raise InvalidRequestError(f"clip_to_boundary is no valid polygon: {why[:200]}")
    return ClipArea(found)
