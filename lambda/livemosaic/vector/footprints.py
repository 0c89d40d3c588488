"""The layer of footprints: each scene once in a tile, whole, whatever index cells cut it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from livemosaic.geo.cells import CellGrid
from livemosaic.geo.covering import rings_of
from livemosaic.geo.crs import NoTransformError
from livemosaic.index.partitions import Area
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.vector.frame import TileFrame
from livemosaic.vector.mvt import Shapes, TileLayer
from livemosaic.vector.parts import even_odd, outlines

NAME: Final = "footprints"
Listed = IndexedScene | Scene
"""A scene as an index cell has it, or a whole one."""
_NOWHERE: Final = (np.inf, np.inf, -np.inf, -np.inf)


def meeting(scenes: Sequence[Listed], area: Area) -> list[Listed]:
    """Returns the scenes whose bounds meet an area; some have a part in its index cells alone."""
    found = [scene for scene in scenes if isinstance(scene, IndexedScene)]
    if len(found) < len(scenes):
        return list(scenes)
    parts = outlines(found, area.grid, _NOWHERE)
    several = shapely.is_missing(parts)
    west, south, east, north = shapely.bounds(parts).T
    met = several
    for left, bottom, right, top in area.boxes:
        met = met | ((west < right) & (east > left) & (south < top) & (north > bottom))
    return [scene for scene, here in zip(scenes, met.tolist(), strict=True) if here]


def footprints(
    index: Index, mosaic: Mosaic, frame: TileFrame, cells: CellGrid, scenes: Sequence[Listed]
) -> TileLayer:
    """Returns the footprints of scenes, the topmost last, as maps draw the last on top."""
    upwards = scenes[::-1]
    drawn = frame.drawn(_shapes(index, mosaic, frame, cells, upwards))
    here = ~shapely.is_empty(drawn)
    shown = [scene for scene, is_here in zip(upwards, here.tolist(), strict=True) if is_here]
    return TileLayer(NAME, drawn[here], [properties_of(mosaic, scene) for scene in shown])


def are_drawn(
    index: Index, mosaic: Mosaic, frame: TileFrame, scenes: Sequence[Listed]
) -> NDArray[np.bool_]:
    """Returns whether each footprint shows in a tile, or in the buffer around it."""
    projected = np.array(_whole(index, mosaic, frame, scenes), np.object_)
    drawn = frame.drawn(shapely.transform(projected, frame.units))
    found: NDArray[np.bool_] = ~shapely.is_empty(drawn)
    return found


def properties_of(mosaic: Mosaic, scene: Listed) -> Mapping[str, Any]:
    """Returns what a scene's feature has: the properties that clients are given, and what
    identifies it."""
    own = {"id": scene.id, "collection": scene.collection or None, "datetime": scene.datetime}
    return {**mosaic.given_of(scene.properties), **own}


def _shapes(
    index: Index, mosaic: Mosaic, frame: TileFrame, cells: CellGrid, scenes: Sequence[Listed]
) -> Shapes:
    """Returns footprints in units of a tile: of rows where they have all that it shows."""
    found = np.full(len(scenes), None, np.object_)
    if frame.crs == cells.crs:
        rows = {at: scene for at, scene in enumerate(scenes) if isinstance(scene, IndexedScene)}
        if rows:
            found[list(rows)] = outlines(list(rows.values()), cells, frame.reach)
    cut = np.flatnonzero(shapely.is_missing(found)).tolist()
    found[cut] = _whole(index, mosaic, frame, [scenes[at] for at in cut])
    shapes: Shapes = shapely.transform(found, frame.units)
    return shapes


def _whole(
    index: Index, mosaic: Mosaic, frame: TileFrame, scenes: Sequence[Listed]
) -> list[shapely.Geometry]:
    """Returns whole footprints, projected; empty where a scene is gone since it was listed."""
    met = [scene for scene in scenes if isinstance(scene, IndexedScene)]
    known = {scene.key: scene.footprint for scene in scenes if isinstance(scene, Scene)}
    lonlat = known | (index.footprints(mosaic, met) if met else {})
    near = frame.near
    cut = {k: each if near is None else each.intersection(near) for k, each in lonlat.items()}
    return [_polygons(_projected(frame.projection, cut[scene.key])) for scene in scenes]


def _projected(projection: CellGrid, lonlat: shapely.Geometry) -> shapely.Geometry:
    """Projects a footprint; of one that reaches where the projection has no place, what has one."""
    try:
        return projection.hold(lonlat)
    except NoTransformError:
        rings = map(projection.places, rings_of(shapely.segmentize(lonlat, 1.0)))
        known = (ring[np.isfinite(ring).all(axis=1)] for ring in rings)
        return even_odd([shapely.Polygon(ring) for ring in known if len(ring) > 2])


def _polygons(shape: shapely.Geometry) -> shapely.Geometry:
    """Returns the polygons of a shape: cut at an edge, it may also have lines."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    return shapely.MultiPolygon([*_areas(shapely.get_parts(shape))])


def _areas(parts: Iterable[shapely.Geometry]) -> Iterable[shapely.Geometry]:
    for part in parts:
        if part.geom_type == "Polygon":
            yield part
        elif part.geom_type == "MultiPolygon":
            yield from part.geoms
