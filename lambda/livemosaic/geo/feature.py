"""GeoJSON shapes in any CRS (RFC 7946), and the pixels of a grid that they touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.session import DummySession
from shapely.errors import ShapelyError
from shapely.geometry import LineString, Polygon, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import beside, in_one_piece, together
from livemosaic.geo.box import FARTHEST, Box
from livemosaic.geo.cells import SEGMENTS
from livemosaic.geo.crs import NoTransformError, transformer
from livemosaic.geo.frame import around
from livemosaic.model.raster import Grid

_KINDS: Final = ("Polygon", "MultiPolygon", "LineString", "MultiLineString")

_MANY: Final = 5000
"""Vertices; the edges between so many are too short to bend."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Polygons, of which rings that cross fill by the even-odd rule, or lines."""

    crs: CRS
    geometry: BaseGeometry
    """In `crs`, x before y; across the antimeridian it goes on beyond 180 and does not jump."""

    @classmethod
    def of(cls, feature: Mapping[str, Any], crs: CRS, max_vertices: int) -> "Shape":
        """Reads a GeoJSON Feature in `crs`; raises `InvalidRequestError` if it is invalid.

        A shape that is cut at the antimeridian, or jumps across it, becomes one piece again.
        """
        found = _geometry(feature)
        vertices = shapely.get_num_coordinates(found)
        if vertices > max_vertices:
            raise InvalidRequestError(
                f"the geometry has {vertices:,} vertices, at most {max_vertices:,} are read; "
                "simplify it"
            )
        if not (vertices and (np.abs(shapely.get_coordinates(found)) < FARTHEST).all()):
            raise InvalidRequestError("the geometry has no coordinates, or some far off Earth")
        world = around(crs)
        return cls(crs, in_one_piece(found, world) if world else found)

    @property
    def box(self) -> Box:
        """The box around it; `InvalidRequestError` where it has no area or is off the map."""
        return Box(self.crs, self.geometry.bounds)

    def on(self, grid: Grid) -> BaseGeometry:
        """Projects the shape to the CRS of a grid, on the grid's turn around the world."""
        same = self.crs == grid.crs
        there = self.geometry if same else self._moved(_fine(self.geometry), grid.crs)
        world = around(grid.crs)
        return beside(there, world, (grid.bounds[0] + grid.bounds[2]) / 2) if world else there

    def mask(self, grid: Grid) -> NDArray[np.bool_]:
        """Shape (height, width): True for the pixels that it touches, as in rio-tiler."""
        with rasterio.Env(DummySession()):
            burnt = rasterize(
                [self.on(grid)],
                out_shape=(grid.height, grid.width),
                transform=grid.transform,
                all_touched=True,
                dtype="uint8",
            )
        touched: NDArray[np.bool_] = burnt.view(np.bool_)
        return touched

    def _moved(self, geometry: BaseGeometry, crs: CRS) -> BaseGeometry:
        try:
            way = transformer(self.crs, crs)
        except NoTransformError as error:
            raise self._misplaced(crs) from error
        moved = shapely.transform(geometry, lambda xy: np.column_stack(way.transform(*xy.T)))
        if not np.isfinite(shapely.get_coordinates(moved)).all():
            raise self._misplaced(crs)
        return moved

    def _misplaced(self, crs: CRS) -> InvalidRequestError:
        return InvalidRequestError(f"the geometry has no place in {crs.to_string()[:40]}")


def _geometry(feature: Mapping[str, Any]) -> BaseGeometry:
    geometry = feature.get("geometry") if feature.get("type") == "Feature" else None
    if not isinstance(geometry, Mapping):
        raise InvalidRequestError(
            "a GeoJSON Feature that has a geometry is needed; this is a "
            f"{feature.get('type')!s:.40} whose geometry is {geometry!s:.40}"
        )
    kind = geometry.get("type")
    if kind not in _KINDS:
        raise InvalidRequestError(
            f"geometry is a {kind!s:.40}; it must be one of {', '.join(_KINDS)}"
        )
    try:
        with np.errstate(invalid="ignore"):  # GEOS warns of NaN, which is refused later
            flat: BaseGeometry = shapely.force_2d(shape(geometry))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidRequestError(
            f"the coordinates do not make a {kind}: {str(error)[:200]}"
        ) from error
    return flat


def _fine(geometry: BaseGeometry) -> BaseGeometry:
    """Cuts edges so short that they bend in another CRS as they should, if they are few."""
    if shapely.get_num_coordinates(geometry) > _MANY:
        return geometry
    left, bottom, right, top = geometry.bounds
    length = max(right - left, top - bottom) / SEGMENTS

    def cut(part: Polygon | LineString) -> BaseGeometry:
        if isinstance(part, LineString):
            return shapely.segmentize(part, length)
        # By its rings: of a polygon that is not valid, GEOS would drop parts.
        rings = (part.exterior, *part.interiors)
        shell, *holes = (shapely.segmentize(ring, length) for ring in rings)
        return Polygon(shell, holes)

    return together([cut(part) for part in shapely.get_parts(geometry)])
