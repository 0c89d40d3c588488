"""Shapes of GeoJSON: the pixels of a picture that lie in one, in any CRS (RFC 7946)."""

from collections.abc import Mapping, Sequence
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
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import FARTHEST, Box
from livemosaic.geo.cells import SEGMENTS
from livemosaic.geo.crs import NoTransformError, transformer
from livemosaic.geo.frame import around
from livemosaic.model.raster import Grid

_KINDS: Final = ("Polygon", "MultiPolygon", "LineString", "MultiLineString")

_MANY: Final = 5000
"""Vertices, between which there is little left to bend."""

Line = NDArray[np.float64]
"""Shape (n, 2): x, y."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Polygons, of which rings that cross fill by the even-odd rule, or lines."""

    crs: CRS
    geometry: BaseGeometry
    """In `crs`, x before y; across the antimeridian it goes on beyond 180 and does not jump."""

    @classmethod
    def of(cls, feature: Mapping[str, Any], crs: CRS, max_vertices: int) -> "Shape":
        """Of a GeoJSON Feature, whose coordinates are in `crs`; else `InvalidRequestError`.

        One that is cut at the antimeridian, or jumps across it, becomes one piece again.
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
        return cls(crs, _in_one_piece(found, world) if world else found)

    @property
    def box(self) -> Box:
        """The box around it; `InvalidRequestError` where it has no area or is off the map."""
        return Box(self.crs, self.geometry.bounds)

    def on(self, grid: Grid) -> BaseGeometry:
        """It in the CRS of a grid, and on the grid's turn around the world."""
        same = self.crs == grid.crs
        there = self.geometry if same else self._moved(_fine(self.geometry), grid.crs)
        world = around(grid.crs)
        return _beside(there, world, (grid.bounds[0] + grid.bounds[2]) / 2) if world else there

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
            f"the coordinates are not those of a {kind}: {str(error)[:200]}"
        ) from error
    return flat


def _fine(geometry: BaseGeometry) -> BaseGeometry:
    """With edges cut so short that they bend in another CRS as they should, if they are few."""
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

    return _together([cut(part) for part in shapely.get_parts(geometry)])


def _in_one_piece(geometry: BaseGeometry, world: float) -> BaseGeometry:
    """Parts on both sides of the edge of the world together, if that is nearer."""
    parts = [_unwrapped(part, world) for part in shapely.get_parts(geometry)]
    whole = _together(parts)
    left, _, right, _ = whole.bounds
    beyond = _together([_shifted(p, world * (_middle(p) < 0)) for p in parts])
    west, _, east, _ = beyond.bounds
    return beyond if east - west < right - left else whole


def _beside(geometry: BaseGeometry, world: float, centre: float) -> BaseGeometry:
    """Each part on that turn around the world on which it is nearest to a place."""
    parts = [_unwrapped(part, world) for part in shapely.get_parts(geometry)]
    return _together([_shifted(p, _turns(p, world, centre)) for p in parts])


def _unwrapped(part: Polygon | LineString, world: float) -> BaseGeometry:
    """Lines that run on instead of jumping more than half the world; holes in what has them."""
    if isinstance(part, LineString):
        return LineString(_run_on(part, world))
    shell = Polygon(_run_on(part.exterior, world))
    holes = [Polygon(_run_on(ring, world)) for ring in part.interiors]
    inside = [_shifted(hole, _turns(hole, world, _middle(shell))).exterior for hole in holes]
    return Polygon(shell.exterior, inside)


def _run_on(line: BaseGeometry, world: float) -> Line:
    xy: Line = shapely.get_coordinates(line)
    steps = np.diff(xy[:, 0])
    # A jump of just the whole is no jump: it is as wide as the map.
    jumps = (np.abs(steps) > world / 2) & ~np.isclose(np.abs(steps), world)
    xy[1:, 0] -= world * np.cumsum(np.where(jumps, np.sign(steps), 0))
    return xy


def _turns(part: BaseGeometry, world: float, centre: float) -> float:
    """How far to go around the world so that a part is nearest to a place."""
    return float(world * np.round((centre - _middle(part)) / world))


def _middle(part: BaseGeometry) -> float:
    left, _, right, _ = part.bounds
    return float(left + right) / 2


def _shifted(part: BaseGeometry, x: float) -> BaseGeometry:
    return shapely.transform(part, lambda xy: np.add(xy, (x, 0))) if x else part


def _together(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    return (MultiPolygon if isinstance(parts[0], Polygon) else MultiLineString)(parts)
